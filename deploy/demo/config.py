"""A city's configuration: one TOML file, read once, every fault of it named at once.

The file holds what the city decides itself (name, code table, procedures) and what it has agreed with the
exchange (address, keys). ``deploy/demo/city.toml`` is its form, ``roster.toml`` what each hall fills in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

from nacl.signing import SigningKey, VerifyKey

from deploy.demo import keys
from deploy.demo.office import Procedure

_T = TypeVar("_T")
_SECTIONS: Final = ("exchange", "keys", "listen")


class ConfigurationInvalid(Exception):
    """The configuration has faults; each line names file, key and expectation."""

    def __init__(self, file: Path, faults: list[str]) -> None:
        super().__init__("\n".join(f"{file}: {fault}" for fault in faults))


@dataclass(frozen=True, slots=True, kw_only=True)
class CityConfig:
    """One city. ``inbox_port`` None: it only calls out and pulls its mailbox. Secrets are in files of their own."""

    id: str
    name: str
    numbering: str
    """How this city's case numbers begin."""
    encoding: Literal["json", "avro"]
    on_repeat: Literal[200, 409]
    """What it answers to a repeated ``webhook-id``; the contract allows both."""
    exchange_url: str
    exchange_keys: tuple[VerifyKey, ...]
    signing_key: SigningKey
    token: str
    inbox_port: int | None
    window_port: int
    ledger: Path
    pace_s: float
    batch: int
    """How many messages it submits at once at most."""
    first_requests_away: int
    codes: Mapping[str, str]
    procedures: Mapping[str, Procedure]
    promises: Mapping[str, int]
    """Working days by item, as the agreements promise them."""


def read_config(path: Path) -> CityConfig:
    """Read a city's file. Relative paths in it are from its folder. Raises :class:`ConfigurationInvalid`."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as fault:
        raise ConfigurationInvalid(path, [f"-: expected a TOML file: {fault}"]) from None
    reader = _Reader(tables)
    config = CityConfig(
        id=reader.text("id"),
        name=reader.text("name"),
        numbering=reader.text("numbering"),
        encoding="avro" if reader.one_of("encoding", ("json", "avro")) == "avro" else "json",
        on_repeat=409 if reader.one_of("on_repeat", (200, 409)) == 409 else 200,
        exchange_url=reader.text("exchange.url").rstrip("/"),
        exchange_keys=tuple(reader.public_keys("exchange.keys")),
        signing_key=reader.signing_key("keys.signing", path.parent),
        token=reader.secret_text("keys.token", path.parent),
        inbox_port=reader.port("listen.inbox_port") if reader.has("listen.inbox_port") else None,
        window_port=reader.port("listen.window_port"),
        ledger=path.parent / reader.text("ledger"),
        pace_s=reader.number("pace_s"),
        batch=max(1, int(reader.number("batch"))),
        first_requests_away=int(reader.number("first_requests_away")),
        codes=reader.table("codes"),
        procedures=reader.procedures("procedures"),
        promises=reader.counts("promises"),
    )
    reader.refuse_unknown()
    if reader.faults:
        raise ConfigurationInvalid(path, reader.faults)
    return config


class _Reader:
    """Takes values out by dotted key and collects faults; never repeats a value, which may be a secret."""

    def __init__(self, tables: Mapping[str, object]) -> None:
        self._flat = dict(_flatten(tables))
        self._seen: set[str] = set()
        self.faults: list[str] = []

    def has(self, key: str) -> bool:
        return key in self._flat

    def text(self, key: str) -> str:
        value = self._take(key)
        return value if isinstance(value, str) and value else self._fault(key, "text", "")

    def number(self, key: str) -> float:
        value = self._take(key)
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        return float(str(value)) if plain else self._fault(key, "a number", 0.0)

    def port(self, key: str) -> int:
        value = self._take(key)
        return (
            value
            if isinstance(value, int) and 0 < value < 65536
            else self._fault(key, "a port, 1 to 65535", 0)
        )

    def one_of(self, key: str, allowed: tuple[object, ...]) -> object:
        value = self._take(key)
        return value if value in allowed else self._fault(key, f"one of {allowed}", allowed[0])

    def table(self, key: str) -> Mapping[str, str]:
        value = self._take(key)
        if isinstance(value, dict) and all(isinstance(each, str) for each in value.values()):
            return value
        return self._fault(key, "a table of text", {})

    def counts(self, key: str) -> Mapping[str, int]:
        value = self._take(key)
        if isinstance(value, dict) and all(type(each) is int for each in value.values()):
            return value
        return self._fault(key, "a table of whole numbers", {})

    def procedures(self, key: str) -> Mapping[str, Procedure]:
        try:
            return {item: Procedure(name) for item, name in self.table(key).items()}
        except ValueError:
            return self._fault(key, f"one of {', '.join(Procedure)}", {})

    def public_keys(self, key: str) -> list[VerifyKey]:
        value = self._take(key)
        if not isinstance(value, list):
            return self._fault(key, "a list of whpk_… keys", [])
        try:
            return [keys.parse_public(str(text)) for text in value]
        except ValueError as fault:
            return self._fault(key, str(fault), [])

    def signing_key(self, key: str, folder: Path) -> SigningKey:
        try:
            return keys.parse_secret(self.secret_text(key, folder))
        except ValueError as fault:
            return self._fault(key, f"in its file: {fault}", SigningKey(bytes(32)))

    def secret_text(self, key: str, folder: Path) -> str:
        try:
            return (folder / self.text(key)).read_text(encoding="utf-8").strip()
        except OSError:
            return self._fault(key, "the name of a file that can be read", "")

    def refuse_unknown(self) -> None:
        self.faults.extend(f"{key}: unknown key" for key in sorted(self._flat.keys() - self._seen))

    def _take(self, key: str) -> object:
        self._seen.add(key)
        return self._flat.get(key)

    def _fault(self, key: str, expected: str, instead: _T) -> _T:
        self.faults.append(f"{key}: expected {expected}")
        return instead


def _flatten(tables: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Dotted keys for what stands in the sections; the code table and the like stay tables."""
    for name, value in tables.items():
        if name in _SECTIONS and isinstance(value, dict):
            yield from ((f"{name}.{key}", each) for key, each in value.items())
        else:
            yield name, value
