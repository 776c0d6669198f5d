"""Who plays: halls, their processes and code tables, as ``roster.toml`` lists them, and which documents introduce them.

A hall is one partner of the exchange, with keys, ledger and codes of its own; a process may host several, as
a city's data centre does for its departments.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any, Final

from deploy.demo import provincial

HERE: Final = files("deploy.demo")
SOON: Final = timedelta(weeks=3)
"""How far off the end of the agreement is that the play shows to be expiring."""
_HOUSE: Final = "halls"
"""The process of those that have none of their own."""
_RETRY_S: Final = (1.0, 1.0, 2.0, 2.0, 5.0, 5.0, 10.0, 30.0, 60.0)
"""Outages of the demo last seconds, and so do the waits between attempts."""
_ALSO: Final = {"jiaotong": {"dajian-yunshu-xuke": "review"}}
"""What a provincial unit handles beside its share of the 1,707 items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A process that hosts halls. ``inbox_port`` is the one it would like; None: it only calls out."""

    name: str
    inbox_port: int | None = None
    window_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HallRole:
    """One hall: a partner of the exchange. ``short`` is its name on the board; ``process`` the seat it shares.

    ``batch``: how many messages it submits at once at most.
    """

    id: str
    name: str
    short: str
    numbering: str
    codes: str
    contact: str = "跨省通办专窗"
    process: str = _HOUSE
    encoding: str = "json"
    on_repeat: int = 200
    batch: int = 20
    procedures: Mapping[str, str] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=dict)
    treasury_for: tuple[str, ...] = ()


@cache
def seats() -> Mapping[str, Seat]:
    """Every process, by name."""
    return {each["name"]: Seat(**each) for each in _tables()["process"]}


@cache
def halls() -> Mapping[str, HallRole]:
    """Every hall that can play, by partner id."""
    tables = _tables()
    listed = [
        HallRole(**{**each, "treasury_for": tuple(each.get("treasury_for", ()))}) for each in tables["hall"]
    ]
    units = [
        HallRole(
            id=provincial.unit_id(key),
            name=f"湖南{name}",
            short=name.removeprefix("省"),
            numbering=f"HN{number:02d}",
            codes=("digits", "letters", "words", "mixed")[number % 4],
            procedures={**provincial.procedures(number), **_ALSO.get(key, {})},
        )
        for number, (key, name) in enumerate(tables["units"].items())
    ]
    return {each.id: each for each in (*listed, *units)}


@cache
def styles() -> Mapping[str, Mapping[str, str]]:
    """The code tables, by name: what each message type is called in a hall's own files."""
    styles: Mapping[str, Mapping[str, str]] = _tables()["styles"]
    return styles


def name_of(hall: str) -> str:
    """A hall's short name; its id where the roster does not know it."""
    known = halls().get(hall)
    return known.short if known else hall


@cache
def item_documents() -> Mapping[str, str]:
    """The items' documents by file name, those of the provincial hall's 1,707 among them."""
    own = {each.name: each.read_text(encoding="utf-8") for each in (HERE / "directory" / "items").iterdir()}
    return {**own, **provincial.item_documents()}


def documents(cast: Iterable[str], today: date) -> dict[str, str]:
    """The directory's documents that need no keys, ``{path: text}``: what these halls have agreed, and its items."""
    present = frozenset(cast)
    agreements = {
        name: table
        for name, table in _agreements(today)
        if present.issuperset(tomllib.loads(table)["partners"])
    }
    bundles = {
        each.name: text
        for each in (HERE / "directory" / "bundles").iterdir()
        if present.issuperset(_of_bundle(text := each.read_text(encoding="utf-8"))[0])
    }
    wanted = {item for text in agreements.values() for item in tomllib.loads(text)["items"]}
    wanted |= {item for text in bundles.values() for item in _of_bundle(text)[1]}
    wanted |= {item for hall in present if hall in halls() for item in _own_items(halls()[hall])}
    items = {name: text for name, text in item_documents().items() if name.removesuffix(".toml") in wanted}
    return {
        **{f"agreements/{name}": text for name, text in agreements.items()},
        **{f"bundles/{name}": text for name, text in bundles.items()},
        **{f"items/{name}": text for name, text in items.items()},
    }


def partner_extras(role: HallRole) -> str:
    """What a hall's directory document says beyond name, connector and keys."""
    lines = []
    if role.treasury_for:
        places = ", ".join(_toml(each) for each in role.treasury_for)
        lines.append(f"treasury_for = [{places}]")
    if role.schedule:
        lines.append("\n[schedule] # 重试排程很短：办不成的，即刻上台\n" + toml_lines(role.schedule))
    else:
        waits = ", ".join(str(each) for each in _RETRY_S)
        lines.append("\n# 演示中停机以秒计，重试亦以秒计；生产环境省去此段，按平台的分钟至天级排程")
        lines.append(f"[schedule]\nparked_s = [{waits}]")
    return "\n".join(lines) + "\n"


def toml_lines(table: Mapping[str, Any]) -> str:
    """A flat table of text and numbers as TOML."""
    return "\n".join(f'"{key}" = {_toml(value)}' for key, value in table.items())


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _own_items(role: HallRole) -> Iterator[str]:
    return (item for item in role.procedures if not provincial.is_provincial(item))


def _agreements(today: date) -> Iterator[tuple[str, str]]:
    for each in (HERE / "directory" / "agreements").iterdir():
        template = Template(each.read_text(encoding="utf-8"))
        yield each.name, template.substitute(in_three_weeks=(today + SOON).isoformat())
    yield from provincial.agreement_documents(_tables()["units"])


def _of_bundle(text: str) -> tuple[set[str], set[str]]:
    """The partners and the items that a bundle names."""
    table = tomllib.loads(text)
    parts = table.get("parts", [])
    items = {
        table["code"],
        *(part["item"] for part in parts),
        *([table["route_item"]] if "route_item" in table else []),
    }
    return {table["lead"], *(part["authority"] for part in parts)}, items


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads((HERE / "roster.toml").read_text(encoding="utf-8"))
