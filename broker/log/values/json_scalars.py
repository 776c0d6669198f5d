"""The scalars of plain JSON: which text or number stands for which value of a leaf type.

Source: RFC 3339 (times), RFC 4648 section 4 (base64); ``json_render.py`` states the mapping as a whole.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from broker.core.avro.avro_model import Fixed, Node, Primitive
from broker.log.values.avro_kinds import compile_holds, expectation

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]{0,37})(\.[0-9]{1,38})?")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def conversion(node: Node) -> tuple[Callable[[object], object], str]:
    """How a leaf's JSON becomes its value (ValueError: it does not), and what is expected of it, in words."""
    match node:
        case Primitive(logical="decimal") | Fixed(logical="decimal"):
            return _decimal_of(node), f"text that is {expectation(node)}"
        case Fixed():
            return _fixed_of(node), f"{node.size} bytes in base64 (RFC 4648, section 4)"
        case Primitive() if (key := node.logical or node.kind) in _TEXTUAL:
            return _TEXTUAL[key]
        case _:
            return _as_it_is(node), expectation(node)


def _as_it_is(node: Node) -> Callable[[object], object]:
    holds = compile_holds(node)

    def convert(value: object) -> object:
        if not holds(value):
            raise ValueError
        return value

    return convert


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _bytes_of(value: object) -> bytes:
    return base64.b64decode(_text(value).encode("ascii"), validate=True)


def _fixed_of(node: Fixed) -> Callable[[object], object]:
    def convert(value: object) -> object:
        found = _bytes_of(value)
        if len(found) != node.size:
            raise ValueError
        return found

    return convert


def _decimal_of(node: Primitive | Fixed) -> Callable[[object], object]:
    holds = compile_holds(node)

    def convert(value: object) -> object:
        text = _text(value)
        if not _DECIMAL.fullmatch(text) or not holds(Decimal(text)):
            raise ValueError
        return Decimal(text)

    return convert


def _time_of(unit_us: int) -> Callable[[object], object]:
    def convert(value: object) -> object:
        text = _text(value)
        if not _TIME.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
        return moment.replace(microsecond=moment.microsecond // unit_us * unit_us)

    return convert


def _day_of(value: object) -> date:
    text = _text(value)
    if not _DAY.fullmatch(text):
        raise ValueError
    return date.fromisoformat(text)


def _uuid_of(value: object) -> UUID:
    text = _text(value)
    if not _UUID.fullmatch(text):
        raise ValueError
    return UUID(text)


_TEXTUAL: Final[Mapping[str, tuple[Callable[[object], object], str]]] = {
    "bytes": (_bytes_of, "bytes in base64 (RFC 4648, section 4)"),
    "date": (_day_of, "a date, such as 2026-03-02"),
    "timestamp-millis": (_time_of(1000), "a time of RFC 3339, such as 2026-03-02T09:00:00.000+08:00"),
    "timestamp-micros": (_time_of(1), "a time of RFC 3339, such as 2026-03-02T09:00:00.000000+08:00"),
    "uuid": (_uuid_of, "a UUID in lower case with hyphens"),
}
