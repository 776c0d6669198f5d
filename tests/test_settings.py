"""Configuration: every fault at once, by file and key, near names given, secrets never repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.errors import ConfigurationInvalid
from broker.settings import Settings, load


def test_without_a_file_the_defaults_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({}) == Settings()


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tongban.toml"
    file.write_text('[intake]\nport = 9000\n[kafka]\nbootstrap = "a:1"\n')
    settings = load({"TONGBAN_INTAKE_PORT": "9001", "TONGBAN_STORE_URL": "postgresql://db/x"}, file)
    assert (settings.intake.port, settings.kafka.bootstrap) == (9001, "a:1")
    assert settings.store.url == "postgresql://db/x"


def test_every_fault_is_reported_at_once_with_file_and_key(tmp_path: Path) -> None:
    file = tmp_path / "tongban.toml"
    file.write_text(
        '[intake]\nprot = 1\nport = "x"\n[kafka]\nledger_partitions = 0\n[kafak]\nbootstrap = "a:1"\n'
    )
    environment = {"TONGBAN_DELIVERY_DRAIN": "1", "TONGBAN_STORE_URL": "mysql://secret@db/x"}
    with pytest.raises(ConfigurationInvalid) as raised:
        load(environment, file)
    lines = str(raised.value).splitlines()
    assert len(lines) == 6
    assert any(f"{file}: intake.prot: unknown key, did you mean port" in line for line in lines)
    assert any(f"{file}: kafak: unknown key, did you mean kafka" in line for line in lines)
    assert any("kafka.ledger_partitions" in line for line in lines)
    assert any(line.startswith("environment: TONGBAN_STORE_URL") for line in lines)
    assert any(
        "TONGBAN_DELIVERY_DRAIN: unknown setting, did you mean TONGBAN_DELIVERY_DRAIN_S" in line
        for line in lines
    )
    assert "secret" not in str(raised.value)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="expected the file to exist"):
        load({"TONGBAN_CONFIG": str(tmp_path / "none.toml")})
