"""Configuration: one TOML file and ``TONGBAN_*``, read once, every fault reported at once, then frozen.

``TONGBAN_<SECTION>_<KEY>`` overrides ``[section] key``; its text is read as a TOML value where it is one,
else as plain text. ``TONGBAN_CONFIG`` names the file (default: ``tongban.toml`` where the command runs).
No other module looks at the environment for settings.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, get_type_hints

from pydantic import Field

from broker.core.documents import FORBID_UNKNOWN, DocumentInvalid, Fault, read_record, read_toml
from broker.delivery.options import DeliveryOptions
from broker.errors import ConfigurationInvalid
from broker.exchange.options import ExchangeOptions
from broker.intake.options import IntakeOptions
from broker.log.options import KafkaOptions
from broker.supervision.options import SupervisionOptions

DEFAULT_FILE: Final = "tongban.toml"
NOT_SETTINGS: Final = frozenset({"TONGBAN_CONFIG", "TONGBAN_CACHE", "TONGBAN_OPERATOR"})
"""Variables of ours that are no settings; ``TONGBAN_TEST_*`` belong to the tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where the view and the vault live: SQLite files by default, PostgreSQL by URL."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    url: Annotated[str, Field(pattern=r"^(sqlite|postgresql)://")] = "sqlite:///.tongban/tongban.db"
    vault_url: Annotated[str, Field(pattern=r"^(sqlite|postgresql)://")] = "sqlite:///.tongban/vault.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """Files that hold the broker's own keys; ``tongban setup`` makes them, readable by their owner only.

    ``signing_key_file`` holds one ``whsk_…`` (Ed25519). ``kek_file`` holds ``name = "base64 of 32 bytes"``
    lines (TOML), the last being the current key-encryption key; ``kek`` gives one instead, as base64.
    ``secrets_file`` holds the shared secrets of partners that sign with ``v1`` (``name = "whsec_…"``).
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    signing_key_file: Path = Path(".tongban/keys/signing.whsk")
    kek_file: Path = Path(".tongban/keys/kek.toml")
    kek: Annotated[str, Field(repr=False)] = dataclasses.field(default="", repr=False)
    secrets_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """``folder`` holds what processes on this machine share; not needed to survive anything."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    folder: Path = Path(".tongban/serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingSettings:
    """What goes to standard error."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration; each room brings its own section."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    kafka: KafkaOptions = field(default_factory=KafkaOptions)
    store: StoreSettings = field(default_factory=StoreSettings)
    keys: KeySettings = field(default_factory=KeySettings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    intake: IntakeOptions = field(default_factory=IntakeOptions)
    exchange: ExchangeOptions = field(default_factory=ExchangeOptions)
    delivery: DeliveryOptions = field(default_factory=DeliveryOptions)
    supervision: SupervisionOptions = field(default_factory=SupervisionOptions)
    logging: LoggingSettings = field(default_factory=LoggingSettings)


def load(environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Read file and environment. Raises :class:`ConfigurationInvalid` with every fault, before anything starts."""
    named = file or (Path(environment["TONGBAN_CONFIG"]) if "TONGBAN_CONFIG" in environment else None)
    path = named or Path(DEFAULT_FILE)
    tables: dict[str, Any] = {}
    faults: list[Fault] = []
    if path.exists():
        try:
            tables = read_toml(str(path), path.read_text(encoding="utf-8"))
        except DocumentInvalid as invalid:
            raise ConfigurationInvalid(invalid.faults) from None
    elif named is not None:
        raise ConfigurationInvalid((Fault(file=str(path), key="-", expected="expected the file to exist"),))
    origins: dict[str, str] = {}
    for variable, text in sorted(environment.items()):
        if (
            not variable.startswith("TONGBAN_")
            or variable in NOT_SETTINGS
            or variable.startswith("TONGBAN_TEST_")
        ):
            continue
        placed = _place(variable)
        if isinstance(placed, Fault):
            faults.append(placed)
            continue
        section, key = placed
        tables.setdefault(section, {})[key] = _value(text)
        origins[f"{section}.{key}"] = variable
    try:
        settings = read_record(str(path), Settings, tables)
    except DocumentInvalid as invalid:
        faults.extend(
            dataclasses.replace(fault, file="environment", key=origins[fault.key])
            if fault.key in origins
            else fault
            for fault in invalid.faults
        )
    if faults:
        raise ConfigurationInvalid(tuple(faults))
    return settings


def _place(variable: str) -> tuple[str, str] | Fault:
    """Section and key that a variable names, or the fault with the nearest name."""
    section, _, key = variable.removeprefix("TONGBAN_").lower().partition("_")
    sections = {each.name: get_type_hints(Settings)[each.name] for each in dataclasses.fields(Settings)}
    if section in sections and key in {each.name for each in dataclasses.fields(sections[section])}:
        return section, key
    known = [
        f"TONGBAN_{name}_{each.name}".upper()
        for name, kind in sections.items()
        for each in dataclasses.fields(kind)
    ]
    near = difflib.get_close_matches(variable, known, n=1)
    hint = f", did you mean {near[0]}" if near else ""
    return Fault(file="environment", key=variable, expected=f"unknown setting{hint}")


def _value(text: str) -> Any:
    """A variable's text as TOML reads it; what is no TOML value is plain text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
