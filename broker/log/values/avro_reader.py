"""A strict reader of Avro binary: what it takes, it takes whole; what it refuses, it names.

Common Avro libraries are lenient where it hurts: negative indexes, over-long integers, counts beyond the
data and trailing bytes pass in silence. This reader refuses them, so that no partner's bytes can spend our
time or memory: its work is bounded by the bytes given, its depth by the schema (``core/avro/schema_safety.py``
keeps that finite). A schema is compiled once into closures; reading is then as quick as fastavro.

Source: Apache Avro 1.12 specification, "Binary Encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

from broker.core.avro.avro_model import (
    MAX_ITEMS,
    ArrayType,
    EnumType,
    Facets,
    Fixed,
    MapType,
    Node,
    Primitive,
    RecordField,
    RecordType,
    Recursive,
    UnionType,
    branch_name,
)
from broker.log.values.avro_record import Field, ReadFields, compile_fields
from broker.log.values.avro_scalars import (
    SHORT,
    Misfit,
    Read,
    bounded_reader,
    fixed_reader,
    primitive_reader,
    read_long,
    read_string,
)


class RecordReader:
    """Reads a schema's top record, and knows where its last field starts: the sealed one, if there is one."""

    __slots__ = ("_head", "_last", "_last_name")

    def __init__(self, record: RecordType, *, bounded: bool = False) -> None:
        last = record.fields[-1]
        self._head = _read_fields(record.fields[:-1], bounded=bounded)
        self._last_name, self._last = last.name, compile_reader(last.type, bounded=bounded)

    def read(self, buffer: bytes, at: int) -> tuple[dict[str, object], int]:
        """The record that fills ``buffer`` from ``at`` to its end, and where its last field starts.

        Raises :class:`Misfit`.
        """
        datum, last_at = self._head(buffer, at)
        datum[self._last_name] = self.read_last(buffer, last_at)
        return datum, last_at

    def read_head(self, buffer: bytes, at: int) -> tuple[dict[str, object], int]:
        """All fields but the last, and where that starts; what follows there is not looked at. Raises Misfit."""
        return self._head(buffer, at)

    def read_last(self, buffer: bytes, at: int) -> object:
        """The last field, which fills ``buffer`` from ``at`` to its end. Raises :class:`Misfit`."""
        try:
            last, end = self._last(buffer, at)
        except Misfit as misfit:
            raise misfit.within(self._last_name) from None
        except IndexError:
            raise Misfit(SHORT).within(self._last_name) from None
        if end != len(buffer):
            raise Misfit(f"no bytes after the value: {len(buffer) - end} follow it")
        return last

    def last_field_at(self, buffer: bytes, at: int) -> int:
        """Where the last field starts; what follows there is not looked at. Raises :class:`Misfit`."""
        return self._head(buffer, at)[1]


def compile_reader(node: Node, *, bounded: bool = False) -> Read:
    """The reader of a type that is safe (``dangers(schema) == []``); ``bounded`` also holds it to its facets."""
    match node:
        case Primitive():
            read = primitive_reader(node)
        case Fixed():
            read = fixed_reader(node)
        case EnumType():
            read = _enum(node)
        case ArrayType():
            read = _array(compile_reader(node.items, bounded=bounded), _most(node.facets))
        case MapType():
            read = _map(compile_reader(node.values, bounded=bounded), _most(node.facets))
        case UnionType():
            read = _union(node, bounded=bounded)
        case RecordType():
            read = _read_fields(node.fields, bounded=bounded)
        case Recursive():
            raise ValueError(f"recursive type {node.name}")
        case _:
            assert_never(node)
    return bounded_reader(node, read) if bounded else read


def _most(facets: Facets) -> int:
    return MAX_ITEMS if facets.max_items is None else facets.max_items


def _read_fields(fields: Sequence[RecordField], *, bounded: bool) -> ReadFields:
    return compile_fields(
        [Field(each.name, each.type, compile_reader(each.type, bounded=bounded), bounded) for each in fields]
    )


def _enum(node: EnumType) -> Read:
    symbols, count = node.symbols, len(node.symbols)

    def read(buffer: bytes, at: int) -> tuple[object, int]:
        index, at = read_long(buffer, at)
        if not 0 <= index < count:
            raise Misfit(f"a symbol's index of 0 to {count - 1}")
        return symbols[index], at

    return read


def _union(node: UnionType, *, bounded: bool) -> Read:
    readers = [compile_reader(branch, bounded=bounded) for branch in node.branches]
    count = len(readers)
    names = ", ".join(branch_name(branch) for branch in node.branches)

    def read(buffer: bytes, at: int) -> tuple[object, int]:
        index, at = read_long(buffer, at)
        if not 0 <= index < count:
            raise Misfit(f"a branch's index of 0 to {count - 1} ({names})")
        return readers[index](buffer, at)

    def read_nullable(buffer: bytes, at: int) -> tuple[object, int]:
        byte = buffer[at]
        if byte == 0:
            return None, at + 1
        if byte == 2:
            return readers[1](buffer, at + 1)
        return read(buffer, at)

    first = node.branches[0]
    nullable = count > 1 and isinstance(first, Primitive) and first.kind == "null"
    return read_nullable if nullable else read


def _blocks(buffer: bytes, at: int, most: int, item: Callable[[bytes, int], int]) -> int:
    """Walk the blocks of an array or map; ``item`` reads one and returns the offset after it.

    Every item takes at least one byte (``core/avro/schema_safety.py``), so a count above the bytes left lies.
    """
    left = most
    while True:
        if buffer[at] == 0:
            return at + 1
        count, at = read_long(buffer, at)
        end = None
        if count < 0:
            count = -count
            size, at = read_long(buffer, at)
            if not 0 < size <= len(buffer) - at:
                raise Misfit("a block's size within the value")
            end = at + size
        if count > len(buffer) - at:
            raise Misfit("a block's count within the value")
        left -= count
        if left < 0:
            raise Misfit(f"at most {most} items")
        for _ in range(count):
            at = item(buffer, at)
        if end is not None and at != end:
            raise Misfit("a block of the size that it states")


def _array(read_item: Read, most: int) -> Read:
    def read(buffer: bytes, at: int) -> tuple[object, int]:
        items: list[object] = []

        def item(buffer: bytes, at: int) -> int:
            try:
                value, at = read_item(buffer, at)
            except Misfit as misfit:
                raise misfit.within(str(len(items))) from None
            items.append(value)
            return at

        if buffer[at] == 0:
            return items, at + 1
        return items, _blocks(buffer, at, most, item)

    return read


def _map(read_value: Read, most: int) -> Read:
    """Keys are a partner's own text, and may name a person: a fault within an entry is the map's own."""

    def read(buffer: bytes, at: int) -> tuple[object, int]:
        entries: dict[str, object] = {}

        def entry(buffer: bytes, at: int) -> int:
            key, at = read_string(buffer, at)
            if key in entries:
                raise Misfit("a map whose keys are distinct")
            try:
                entries[key], at = read_value(buffer, at)
            except Misfit as misfit:
                raise Misfit(f"in each value, {misfit.expected}") from None
            return at

        return entries, _blocks(buffer, at, most, entry)

    return read
