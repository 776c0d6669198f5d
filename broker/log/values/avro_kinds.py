"""What values a type takes: kinds, words for them, and the facets that bound them.

The one place where Python's values meet Avro's types; the checks of a datum and the JSON mapping share it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sized
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias, assert_never
from uuid import UUID

from broker.core.avro.avro_model import (
    FORMATS,
    MAX_ITEMS,
    ArrayType,
    EnumType,
    Facets,
    Fixed,
    MapType,
    Node,
    Primitive,
    RecordType,
    Recursive,
    UnionType,
)

Holds: TypeAlias = Callable[[object], bool]

Bounds: TypeAlias = Callable[[Any], str | None]
"""What was expected, when a value is out of its bounds; else None. The value is of the right kind already."""

INT: Final = (-(2**31), 2**31 - 1)
LONG: Final = (-(2**63), 2**63 - 1)
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_text(value: object) -> bool:
    """Text that UTF-8 can hold and every database can keep: no lone surrogates, no U+0000."""
    if not isinstance(value, str):
        return False
    return "\0" not in value and (value.isascii() or not _SURROGATE.search(value))


def _whole(lowest: int, highest: int) -> Holds:
    def fits(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest

    return fits


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_moment(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _is_day(value: object) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


_MOMENT = (_is_moment, "a moment with a time zone")
_HOLDS: Final[Mapping[tuple[str, str | None], tuple[Holds, str]]] = {
    ("null", None): (lambda value: value is None, "null"),
    ("boolean", None): (lambda value: isinstance(value, bool), "true or false"),
    ("int", None): (_whole(*INT), "an integer of 32 bits"),
    ("long", None): (_whole(*LONG), "an integer of 64 bits"),
    ("float", None): (_is_number, "a finite number"),
    ("double", None): (_is_number, "a finite number"),
    ("bytes", None): (lambda value: isinstance(value, bytes), "bytes"),
    ("string", None): (is_text, "text"),
    ("int", "date"): (_is_day, "a date"),
    ("long", "timestamp-millis"): _MOMENT,
    ("long", "timestamp-micros"): _MOMENT,
    ("string", "uuid"): (lambda value: isinstance(value, UUID), "a UUID"),
}


def compile_holds(node: Node) -> Holds:
    """Whether a value is of the type at its top: what a union needs to know to choose a branch."""
    match node:
        case Primitive(logical="decimal") | Fixed(logical="decimal"):
            found = _decimal_holds(node)
        case Primitive():
            found = _HOLDS[node.kind, node.logical][0]
        case Fixed():
            found = _fixed_holds(node.size)
        case EnumType():
            found = _enum_holds(frozenset(node.symbols))
        case ArrayType():
            found = _is_list
        case MapType():
            found = _is_object
        case RecordType():
            found = _record_holds(node)
        case UnionType() | Recursive():
            raise ValueError("a union has branches, not a kind; a recursive type is not safe")
        case _:
            assert_never(node)
    return found


def compile_branch(union: UnionType) -> Callable[[object], int | None]:
    """The index of the union's branch that a value belongs to; None: it fits none of them."""
    tests = [compile_holds(branch) for branch in union.branches]

    def branch_of(value: object) -> int | None:
        for index, fits in enumerate(tests):
            if fits(value):
                return index
        return None

    return branch_of


def _fixed_holds(size: int) -> Holds:
    def fits(value: object) -> bool:
        return isinstance(value, bytes) and len(value) == size

    return fits


def _enum_holds(symbols: frozenset[str]) -> Holds:
    def fits(value: object) -> bool:
        return isinstance(value, str) and value in symbols

    return fits


def _decimal_holds(node: Primitive | Fixed) -> Holds:
    """A decimal that its scale and precision hold exactly."""

    def fits(value: object) -> bool:
        if not isinstance(value, Decimal) or not value.is_finite():
            return False
        _, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)
        return -exponent <= node.scale and len(digits) + exponent + node.scale <= (node.precision or 1)

    return fits


def _record_holds(record: RecordType) -> Holds:
    names = frozenset(each.name for each in record.fields)
    required = frozenset(each.name for each in record.fields if not each.has_default)

    def fits(value: object) -> bool:
        return isinstance(value, dict) and value.keys() <= names and required <= value.keys()

    return fits


def expectation(node: Node) -> str:
    """What a field of this type must be, in words for the one who sent something else."""
    match node:
        case Primitive(logical="decimal") | Fixed(logical="decimal"):
            words = f"a decimal of at most {node.precision} digits, {node.scale} of them behind the point"
        case Primitive():
            words = _HOLDS[node.kind, node.logical][1]
        case Fixed():
            words = f"{node.size} bytes"
        case EnumType():
            words = f"one of {', '.join(node.symbols)}"
        case UnionType():
            words = " or ".join(expectation(branch) for branch in reversed(node.branches))
        case ArrayType():
            words = "a list"
        case MapType() | RecordType() | Recursive():
            words = "an object"
        case _:
            assert_never(node)
    return words


def bounds_of(node: Node) -> Bounds | None:
    """The facets of a type as one function; None when it has none. Arrays and maps always have a bound."""
    match node:
        case ArrayType() | MapType():
            most = MAX_ITEMS if node.facets.max_items is None else node.facets.max_items
            return _count_bounds(node.facets.min_items or 0, most)
        case Primitive(kind="string" | "bytes"):
            return _text_bounds(node.facets)
        case Primitive(kind="int" | "long", logical=None):
            return _number_bounds(node.facets)
        case _:
            return None


def _count_bounds(least: int, most: int) -> Bounds:
    expected = f"{least} to {most} items"

    def check(value: Sized) -> str | None:
        return None if least <= len(value) <= most else expected

    return check


def _text_bounds(facets: Facets) -> Bounds | None:
    if facets.format is not None:
        return _format_bounds(*FORMATS[facets.format])
    length = length_of(facets)
    if length is None:
        return None
    least, most = length
    at_least = f"at least {least} long"
    return _length_bounds(least, most, at_least if facets.max_length is None else f"{least} to {most} long")


def length_of(facets: Facets) -> tuple[int, int] | None:
    """How long a text or bytes may be; None when any length will do."""
    if facets.max_length is not None:
        return facets.min_length or 0, facets.max_length
    return (facets.min_length, 2**31) if facets.min_length else None


def _length_bounds(least: int, most: int, expected: str) -> Bounds:
    def check(value: Sized) -> str | None:
        return None if least <= len(value) <= most else expected

    return check


def _format_bounds(pattern: re.Pattern[str], expected: str) -> Bounds:
    match = pattern.fullmatch

    def check(value: str) -> str | None:
        return None if match(value) else expected

    return check


def _number_bounds(facets: Facets) -> Bounds | None:
    if facets.minimum is None and facets.maximum is None:
        return None
    least = LONG[0] if facets.minimum is None else facets.minimum
    most = LONG[1] if facets.maximum is None else facets.maximum
    expected = f"{least} or more" if facets.maximum is None else f"{least} to {most}"

    def check(value: int) -> str | None:
        return None if least <= value <= most else expected

    return check
