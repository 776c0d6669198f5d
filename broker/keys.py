"""The broker's own keys: made by ``tongban setup``, kept in files that only their owner reads.

The signing key (Ed25519) proves to partners that a delivery is ours. Key-encryption keys wrap the cases'
keys in the vault. Shared secrets serve partners that can only sign with ``v1``.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.core.documents import DocumentInvalid, Fault, read_toml
from broker.core.signatures import SEED_BYTES, SigningKey, parse_secret
from broker.errors import ConfigurationInvalid
from broker.settings import KeySettings

KEK_BYTES: Final = 32
FIRST_KEK: Final = "kek-1"
FROM_SETTING: Final = "kek-setting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The broker's keys in memory. ``current_kek`` wraps new case keys; the others still unwrap."""

    signing: SigningKey
    keks: Mapping[str, bytes]
    current_kek: str
    secrets: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"Keys(keks={sorted(self.keks)}, secrets={sorted(self.secrets)})"


def create_missing_keys(settings: KeySettings) -> list[str]:
    """Make the key files that do not exist; returns their paths. An existing file is never touched."""
    made = []
    if not settings.signing_key_file.exists():
        _write(
            settings.signing_key_file, SigningKey.from_seed(secrets.token_bytes(SEED_BYTES)).to_text() + "\n"
        )
        made.append(str(settings.signing_key_file))
    if not settings.kek and not settings.kek_file.exists():
        encoded = base64.b64encode(secrets.token_bytes(KEK_BYTES)).decode()
        _write(
            settings.kek_file,
            f'# Without this file no sealed paper can be opened: back it up.\n{FIRST_KEK} = "{encoded}"\n',
        )
        made.append(str(settings.kek_file))
    return made


def load_keys(settings: KeySettings) -> Keys:
    """Read every key. Raises :class:`ConfigurationInvalid` with every fault; no key is ever repeated in it."""
    faults: list[Fault] = []
    signing: SigningKey | None = None
    try:
        signing = SigningKey.parse(settings.signing_key_file.read_text(encoding="utf-8").strip())
    except OSError:
        faults.append(_fault(settings.signing_key_file, "-", "expected the file; `tongban setup` makes it"))
    except ValueError:
        faults.append(_fault(settings.signing_key_file, "-", "expected one whsk_… key"))
    keks = _keks(settings, faults)
    shared = _secrets(settings.secrets_file, faults)
    if faults or signing is None:
        raise ConfigurationInvalid(tuple(faults))
    return Keys(signing=signing, keks=keks, current_kek=list(keks)[-1], secrets=shared)


def _keks(settings: KeySettings, faults: list[Fault]) -> dict[str, bytes]:
    if settings.kek:
        texts: Mapping[str, object] | None = {FROM_SETTING: settings.kek}
        origin = "keys.kek"
    else:
        texts = _texts(settings.kek_file, "expected the file; `tongban setup` makes it", faults)
        origin = str(settings.kek_file)
    if texts is None:
        return {}
    found: dict[str, bytes] = {}
    for name, text in texts.items():
        try:
            key = base64.b64decode(str(text), validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEK_BYTES:
            faults.append(Fault(file=origin, key=name, expected="expected the base64 of 32 bytes"))
        found[name] = key
    if not found:
        faults.append(
            Fault(file=origin, key="-", expected='expected at least one line: name = "base64 of 32 bytes"')
        )
    return found


def _texts(path: Path, without: str, faults: list[Fault]) -> Mapping[str, object] | None:
    """The lines of a file of keys; None, and a fault more, when it cannot be read. ``without``: what is said then."""
    try:
        return read_toml(str(path), path.read_text(encoding="utf-8"))
    except OSError:
        faults.append(_fault(path, "-", without))
    except DocumentInvalid as invalid:
        faults.extend(invalid.faults)
    return None


def _secrets(path: Path | None, faults: list[Fault]) -> dict[str, bytes]:
    if path is None or (texts := _texts(path, "expected the file to exist", faults)) is None:
        return {}
    found: dict[str, bytes] = {}
    for name, text in texts.items():
        try:
            found[name] = parse_secret(str(text))
        except ValueError:
            faults.append(_fault(path, name, "expected one whsec_… secret"))
    return found


def _fault(path: Path, key: str, expected: str) -> Fault:
    return Fault(file=str(path), key=key, expected=expected)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
