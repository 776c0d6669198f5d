"""Flat records (receipts, above all) checked and written in one pass, field by field.

fastavro and a check of the whole datum before it do the same for every record, at four times the cost. A flat
record has nothing but text, integers and moments, any of them perhaps null. The bytes are fastavro's own, and
what is refused here is what the check of the whole refuses: tests hold them equal.

Source: Apache Avro 1.12 specification, "Binary Encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeAlias

from broker.core.avro.avro_model import Node, Primitive, RecordType, UnionType
from broker.core.times import epoch_ms
from broker.log.values.avro_kinds import Bounds, bounds_of, compile_holds
from broker.log.values.avro_scalars import MORE, write_long

Write: TypeAlias = Callable[[object], bytes]
"""Writes one value of a field. Raises ValueError for one that does not fit."""

WriteRecord: TypeAlias = Callable[[Mapping[str, object]], bytes | None]
"""Writes a datum; None when it does not fit, or leaves a field out."""

_NULL: Final = Primitive(kind="null")
_write_often: Final = lru_cache(maxsize=8192)(write_long)
"""Lengths of texts, numbers of attempts: few and small."""


def compile_flat(model: RecordType) -> WriteRecord | None:
    """The writer of a flat record; None for one that is not."""
    compiled = [(each.name, _compile(each.type)) for each in model.fields]
    writers = [(name, _remembering(write)) for name, write in compiled if write is not None]
    if len(writers) < len(compiled):
        return None

    def write_record(datum: Mapping[str, object]) -> bytes | None:
        if len(datum) != len(writers):
            return None
        try:
            return b"".join([write(datum[name]) for name, write in writers])
        except (KeyError, ValueError):
            return None

    return write_record


def _remembering(write: Write) -> Write:
    """As ``write``, but the very same object (all that is written here is immutable) is not written twice running.

    The receipts of one answer share recipient, moment, code and more.
    """
    last: object = write
    written = b""

    def write_again(value: object) -> bytes:
        nonlocal last, written
        if value is not last:
            written = write(value)
            last = value
        return written

    return write_again


def _compile(node: Node) -> Write | None:
    match node:
        case Primitive(kind="string", logical=None):
            return _text(bounds_of(node))
        case Primitive(kind="int" | "long", logical=None):
            return _whole(node)
        case Primitive(kind="long", logical="timestamp-millis"):
            return _moment
        case UnionType(branches=branches) if len(branches) == 2 and _NULL in branches:
            index = branches.index(_NULL)
            write = _compile(branches[1 - index])
            return None if write is None else _nullable(write, null=index)
        case _:
            return None


def _nullable(write: Write, *, null: int) -> Write:
    absent, present = write_long(null), write_long(1 - null)

    def write_nullable(value: object) -> bytes:
        return absent if value is None else present + write(value)

    return write_nullable


def _text(bounds: Bounds | None) -> Write:
    def write(value: object) -> bytes:
        if not isinstance(value, str) or "\0" in value or (bounds is not None and bounds(value)):
            raise ValueError
        raw = value.encode()  # a lone surrogate is a ValueError too
        return _write_often(len(raw)) + raw

    return write


def _whole(node: Primitive) -> Write:
    holds, bounds = compile_holds(node), bounds_of(node)

    def write(value: object) -> bytes:
        if not holds(value) or (bounds is not None and bounds(value)):
            raise ValueError
        assert isinstance(value, int)
        return _write_often(value)

    return write


def _moment(value: object) -> bytes:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError
    number = epoch_ms(value)
    zigzag = (number << 1) ^ (number >> 63)
    if zigzag < 0x4000:
        return write_long(number)
    return MORE[zigzag & 0x7F] + MORE[zigzag >> 7 & 0x7F] + _write_above(zigzag >> 14)


@lru_cache(maxsize=4096)  # moments come close together: these bits change every 8 seconds
def _write_above(zigzag: int) -> bytes:
    """What follows the lowest 14 bits of a moment: :func:`write_long` of the number whose zig-zag form it is."""
    return write_long((zigzag >> 1) ^ -(zigzag & 1))
