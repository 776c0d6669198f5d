"""The broker's keys: made once, read with every fault at once, and never repeated in one."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from broker.errors import ConfigurationInvalid
from broker.keys import FROM_SETTING, create_missing_keys, load_keys
from broker.settings import KeySettings

KEK = base64.b64encode(b"k" * 32).decode()


def files(folder: Path, *, kek: str = "", secrets: str | None = None) -> KeySettings:
    path = None
    if secrets is not None:
        path = folder / "secrets.toml"
        path.write_text(secrets)
    return KeySettings(
        signing_key_file=folder / "signing.whsk", kek_file=folder / "kek.toml", kek=kek, secrets_file=path
    )


def told(wanted: KeySettings) -> list[str]:
    with pytest.raises(ConfigurationInvalid) as invalid:
        load_keys(wanted)
    return [f"{Path(fault.file).name} {fault.key}: {fault.expected}" for fault in invalid.value.faults]


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


def test_a_key_from_the_settings_needs_no_file(tmp_path: Path) -> None:
    create_missing_keys(files(tmp_path))
    (tmp_path / "kek.toml").unlink()
    assert load_keys(files(tmp_path, kek=KEK)).keks == {FROM_SETTING: b"k" * 32}


def test_every_file_that_is_missing_is_told(tmp_path: Path) -> None:
    wanted = files(tmp_path, secrets="")
    (tmp_path / "secrets.toml").unlink()
    assert told(wanted) == [
        "signing.whsk -: expected the file; `tongban setup` makes it",
        "kek.toml -: expected the file; `tongban setup` makes it",
        "secrets.toml -: expected the file to exist",
    ]


def test_what_does_not_read_is_told_by_its_name_and_never_repeated(tmp_path: Path) -> None:
    wanted = files(tmp_path, secrets='"430423" = "whsec_nonsense!"\n')
    create_missing_keys(wanted)
    (tmp_path / "kek.toml").write_text('a = "c2hvcnQ="\nb = "not base64"\n')
    faults = told(wanted)
    assert [fault.partition(":")[0] for fault in faults] == [
        "kek.toml a",
        "kek.toml b",
        "secrets.toml 430423",
    ]
    assert not any("c2hvcnQ" in fault or "nonsense" in fault for fault in faults)
    (tmp_path / "kek.toml").write_text("")
    assert 'kek.toml -: expected at least one line: name = "base64 of 32 bytes"' in told(wanted)
    (tmp_path / "kek.toml").write_text("no toml")
    assert [fault.partition(" ")[0] for fault in told(wanted)] == ["kek.toml", "secrets.toml"]
