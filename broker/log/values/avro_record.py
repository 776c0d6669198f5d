"""The reader of a record's fields as one generated function: what is plain is read in place, the rest by its reader.

A record is read by every stage, and most of what it cost were calls: one for a field, one for its union, one for
its text, one for its bounds. Here a short text, a symbol, an absent value and an empty list cost no call.
Whatever is not plainly right (a longer text, a length that is negative, a value out of bounds) is left to the
field's own strict reader (``avro_reader.py``), so that nothing is taken that it refuses, and what is refused is
named by it.

Source: Apache Avro 1.12 specification, "Binary Encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

from broker.core.avro.avro_model import ArrayType, EnumType, Node, Primitive, UnionType
from broker.log.values.avro_kinds import length_of
from broker.log.values.avro_scalars import NOT_UTF8, SHORT, Misfit, Read

ReadFields: TypeAlias = Callable[[bytes, int], tuple[dict[str, object], int]]
"""Reads fields from an offset on; returns them by name, and the offset after them. Raises Misfit."""


class Field(NamedTuple):
    """A field to read. ``bounded``: ``read`` holds it to its facets."""

    name: str
    type: Node
    read: Read
    bounded: bool


def compile_fields(fields: Sequence[Field]) -> ReadFields:
    """The reader of ``fields``, one after the other."""
    scope: dict[str, Any] = {"Misfit": Misfit, "SHORT": SHORT, "NOT_UTF8": NOT_UTF8}
    body: list[str] = []
    for number, field in enumerate(fields):
        scope[f"read{number}"] = field.read
        if isinstance(field.type, EnumType):
            scope[f"symbols{number}"] = {
                index << 1: symbol for index, symbol in enumerate(field.type.symbols[:_IN_ONE_BYTE])
            }
        body += [f"name = {field.name!r}", *_lines(number, field.type, bounded=field.bounded)]
    members = ", ".join(f"{field.name!r}: v{number}" for number, field in enumerate(fields))
    lines = (
        "def read(buffer, at):",
        " size = len(buffer)",
        " name = ''",
        " try:",
        *(f"  {line}" for line in body or ["pass"]),
        " except Misfit as misfit: raise misfit.within(name) from None",
        " except IndexError: raise Misfit(SHORT).within(name) from None",
        " except UnicodeDecodeError: raise Misfit(NOT_UTF8).within(name) from None",
        f" return {{{members}}}, at",
    )
    exec("\n".join(lines), scope)  # noqa: S102 - of names that the parser of schemas has checked, and quoted
    return cast("ReadFields", scope["read"])


_IN_ONE_BYTE: Final = 0x40
"""Indexes and lengths below this have one byte."""


def _lines(number: int, node: Node, *, bounded: bool) -> Iterator[str]:
    """The source that reads one field into ``v<number>`` and moves ``at`` behind it."""
    as_it_is = f"v{number}, at = read{number}(buffer, at)"
    match node:
        case Primitive(kind="string", logical=None) if node.facets.format is None or not bounded:
            yield from _text(number, node, bounded=bounded, start="at")
        case EnumType():
            yield f"v{number} = symbols{number}.get(buffer[at])"
            yield f"if v{number} is None: {as_it_is}"
            yield "else: at += 1"
        case UnionType(branches=(Primitive(kind="null"), Primitive(kind="string", logical=None) as text)) if (
            text.facets.format is None or not bounded
        ):
            yield "byte = buffer[at]"
            yield f"if byte == 0: v{number} = None; at += 1"
            yield f"elif byte != 2: {as_it_is}"
            yield "else:"
            yield from (f" {line}" for line in _text(number, text, bounded=bounded, start="at + 1"))
        case UnionType(branches=(Primitive(kind="null"), *_)):
            yield f"if buffer[at] == 0: v{number} = None; at += 1"
            yield f"else: {as_it_is}"
        case ArrayType() if not (bounded and node.facets.min_items):
            yield f"if buffer[at] == 0: v{number} = []; at += 1"
            yield f"else: {as_it_is}"
        case _:
            yield as_it_is


def _text(number: int, node: Primitive, *, bounded: bool, start: str) -> Iterator[str]:
    """A text whose length stands at ``start``: in place when it is short, whole and of its bounds."""
    as_it_is = f"v{number}, at = read{number}(buffer, at)"
    length = length_of(node.facets) if bounded else None
    beyond = "" if length is None else f" or not {length[0]} <= len(v{number}) <= {length[1]}"
    yield f"start = {start} + 1"
    yield "length = buffer[start - 1]"
    yield "end = start + (length >> 1)"
    yield f"if length & 0x81 or end > size: {as_it_is}"
    yield "else:"
    yield f" v{number} = buffer[start:end].decode()"
    yield f" if '\\0' in v{number}{beyond}: {as_it_is}"
    yield " else: at = end"
