"""Configuration: every fault at once, by file and key, near names given, secrets never repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.errors import ConfigurationInvalid
from broker.keys import create_missing_keys, load_keys
from broker.settings import KeySettings, Settings, load


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


def test_keys_are_made_once_readable_by_their_owner_only(tmp_path: Path) -> None:
    settings = KeySettings(signing_key_file=tmp_path / "k" / "s.whsk", kek_file=tmp_path / "k" / "kek.toml")
    assert len(create_missing_keys(settings)) == 2
    assert create_missing_keys(settings) == []
    keys = load_keys(settings)
    assert len(keys.keks[keys.current_kek]) == 32
    assert {path.stat().st_mode & 0o777 for path in (settings.signing_key_file, settings.kek_file)} == {0o600}
    assert "whsk_" not in repr(keys)


def test_faulty_keys_are_all_named_and_never_repeated(tmp_path: Path) -> None:
    signing, kek, secrets = tmp_path / "s", tmp_path / "kek.toml", tmp_path / "secrets.toml"
    signing.write_text("whsk_topsecret")
    kek.write_text('old = "dG9vIHNob3J0"\n')
    secrets.write_text('city = "plainsecret"\n')
    with pytest.raises(ConfigurationInvalid) as raised:
        load_keys(KeySettings(signing_key_file=signing, kek_file=kek, secrets_file=secrets))
    text = str(raised.value)
    assert len(text.splitlines()) == 3
    for secret in ("topsecret", "dG9vIHNob3J0", "plainsecret"):
        assert secret not in text


def test_a_new_line_rotates_the_key_encryption_key(tmp_path: Path) -> None:
    settings = KeySettings(signing_key_file=tmp_path / "s.whsk", kek_file=tmp_path / "kek.toml")
    create_missing_keys(settings)
    with settings.kek_file.open("a") as file:
        file.write('kek-2 = "' + "A" * 43 + '="\n')
    keys = load_keys(settings)
    assert keys.current_kek == "kek-2"
    assert len(keys.keks) == 2
