"""What makes an Avro schema dangerous to a reader: refused when a schema is registered.

A few bytes written by a dangerous schema crash, hang or fill a common Avro library: recursive data
overflows its stack, an array of things without bytes is as long as its count says, a decimal without a
bound is arithmetic without a bound. None of them has a use in the exchange of cases.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, assert_never

from broker.core.avro.avro_defaults import default_value
from broker.core.avro.avro_model import (
    ArrayType,
    EnumType,
    Fixed,
    MapType,
    Node,
    Primitive,
    RecordField,
    RecordType,
    Recursive,
    SchemaInvalid,
    UnionType,
)
from broker.core.avro.avro_parser import read_schema

MAX_TEXT_BYTES: Final = 256 * 1024
MAX_NESTING: Final = 12
MAX_FIELDS: Final = 128
MAX_BRANCHES: Final = 16
MAX_SYMBOLS: Final = 512
MAX_FIXED_BYTES: Final = 4096
MAX_PRECISION: Final = 38
MAX_EXPANDED: Final = 2000
"""Types that a single value can hold when every named type is written out where it is used."""

LOGICAL: Final = {
    "date": ("int",),
    "timestamp-millis": ("long",),
    "timestamp-micros": ("long",),
    "decimal": ("bytes", "fixed"),
    "uuid": ("string",),
}
"""The logical types that are read here, and on what."""


def dangers(schema: object) -> list[str]:
    """Every reason not to register ``schema`` (parsed JSON), each with its place; empty: it is safe.

    It never raises and takes time in proportion to the schema's text, whatever the schema is.
    """
    try:
        if len(json.dumps(schema)) > MAX_TEXT_BYTES:
            return [f"schema: larger than {MAX_TEXT_BYTES} bytes"]
        node = read_schema(schema)
    except SchemaInvalid as invalid:
        return [str(invalid)]
    except RecursionError:
        return ["schema: JSON nested too deeply"]
    except (TypeError, ValueError):
        return ["schema: not JSON"]
    if _Expansion().of(node) > MAX_EXPANDED:
        return [f"schema: written out, a value holds more than {MAX_EXPANDED} types"]
    return list(dict.fromkeys(_Walk().visit(node, "schema", 1)))


@dataclass(slots=True)
class _Walk:
    """One walk over a schema; each record is looked into once, at its definition."""

    seen: set[str] = field(default_factory=set)
    emptiness: dict[str, bool] = field(default_factory=dict)

    def visit(self, node: Node, place: str, depth: int) -> Iterator[str]:
        if depth > MAX_NESTING:
            yield f"{place}: types nest deeper than {MAX_NESTING}"
            return
        match node:
            case ArrayType():
                yield from self._container("array of items", node.items, f"{place}[]", depth)
            case MapType():
                yield from self._container("map of values", node.values, f"{place}{{}}", depth)
            case UnionType():
                if len(node.branches) > MAX_BRANCHES:
                    yield f"{place}: union of more than {MAX_BRANCHES} branches"
                for branch in node.branches:
                    yield from self.visit(branch, place, depth + 1)
            case RecordType():
                yield from self._record(node, place, depth)
            case Primitive() | Fixed() | EnumType() | Recursive():
                yield from _leaf(node, place)
            case _:
                assert_never(node)

    def _container(self, what: str, inner: Node, place: str, depth: int) -> Iterator[str]:
        if self._can_be_empty(inner):
            yield f"{place}: {what} that may take no bytes"
        yield from self.visit(inner, place, depth + 1)

    def _record(self, record: RecordType, place: str, depth: int) -> Iterator[str]:
        if record.name in self.seen:
            return
        self.seen.add(record.name)
        if len(record.fields) > MAX_FIELDS:
            yield f"{place}: record of more than {MAX_FIELDS} fields"
        for each in record.fields:
            inner = f"{record.name}.{each.name}"
            yield from self.visit(each.type, inner, depth + 1)
            yield from _default(each, inner)

    def _can_be_empty(self, node: Node) -> bool:
        """Whether a value can take no bytes at all, so that a count of a billion of them costs nothing."""
        match node:
            case Primitive():
                return node.kind == "null"
            case Fixed():
                return node.size == 0
            case RecordType():
                if node.name not in self.emptiness:
                    self.emptiness[node.name] = all(self._can_be_empty(each.type) for each in node.fields)
                return self.emptiness[node.name]
            case _:
                return False


@dataclass(slots=True)
class _Expansion:
    """How many types a value holds with every named type written out; linear, for it remembers names."""

    known: dict[str, int] = field(default_factory=dict)

    def of(self, node: Node) -> int:
        match node:
            case ArrayType():
                return 1 + self.of(node.items)
            case MapType():
                return 1 + self.of(node.values)
            case UnionType():
                return 1 + max(self.of(branch) for branch in node.branches)
            case RecordType():
                if node.name not in self.known:
                    self.known[node.name] = 1 + sum(self.of(each.type) for each in node.fields)
                return self.known[node.name]
            case _:
                return 1


def _leaf(node: Primitive | Fixed | EnumType | Recursive, place: str) -> Iterator[str]:
    match node:
        case Primitive():
            yield from _logical(node.kind, node.logical, node.precision, node.scale, place)
        case Fixed():
            yield from _fixed(node, place)
        case EnumType():
            if len(node.symbols) > MAX_SYMBOLS:
                yield f"{place}: enum of more than {MAX_SYMBOLS} symbols"
        case Recursive():
            yield f"{place}: recursive type {node.name}"


def _logical(kind: str, logical: str | None, precision: int | None, scale: int, place: str) -> Iterator[str]:
    if logical is None:
        return
    if logical not in LOGICAL:
        yield f"{place}: logical type {logical} is not read here"
    elif kind not in LOGICAL[logical]:
        yield f"{place}: logical type {logical} on {kind}"
    elif logical == "decimal":
        if not precision or precision > MAX_PRECISION:
            yield f"{place}: decimal without a precision of 1 to {MAX_PRECISION}"
        elif scale > precision:
            yield f"{place}: decimal with a scale above its precision"


def _fixed(node: Fixed, place: str) -> Iterator[str]:
    if node.size > MAX_FIXED_BYTES:
        yield f"{place}: fixed of more than {MAX_FIXED_BYTES} bytes"
    if node.logical == "decimal" and node.size > 16:
        yield f"{place}: decimal on a fixed of more than 16 bytes"
    yield from _logical("fixed", node.logical, node.precision, node.scale, place)


def _default(each: RecordField, place: str) -> Iterator[str]:
    if not each.has_default:
        return
    try:
        default_value(each.type, each.default)
    except (ValueError, RecursionError):
        yield f"{place}: a default that does not fit the field's type"
