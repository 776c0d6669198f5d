"""A record of the log as bytes, verbatim, for the tables that hold records.

One frame: version 1, offset and time as int64, partition as int32, the number of headers, then topic, key,
value and each header's name and value, every one behind its length. Big-endian; no byte is left over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from broker.core.records import Position, Record
from broker.errors import Corrupt

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BqqiI")
_LENGTH: Final = struct.Struct(">I")


def pack(record: Record) -> bytes:
    """The frame of a record; :func:`unpack` gives the same record."""
    where = record.position
    parts = [where.topic.encode(), record.key, record.value]
    for name, value in record.headers:
        parts += (name.encode(), value)
    frame = bytearray(
        _HEAD.pack(_VERSION, where.offset, record.timestamp_ms, where.partition, len(record.headers))
    )
    for part in parts:
        frame += _LENGTH.pack(len(part))
        frame += part
    return bytes(frame)


def unpack(frame: bytes) -> Record:
    """The record of a frame. Raises :class:`Corrupt` for anything that :func:`pack` did not make."""
    try:
        version, offset, timestamp_ms, partition, header_count = _HEAD.unpack_from(frame)
        if version != _VERSION:
            raise Corrupt(f"a stored record has frame version {version}, this release reads {_VERSION}")
        parts = list(_parts(frame))
        if len(parts) != 3 + 2 * header_count:
            raise Corrupt("a stored record is cut off or has bytes left over")
        topic, key, value, *pairs = parts
        headers = tuple((name.decode(), text) for name, text in zip(pairs[::2], pairs[1::2], strict=True))
        position = Position(topic.decode(), partition, offset)
    except (struct.error, UnicodeDecodeError) as fault:
        raise Corrupt("a stored record does not read as a frame") from fault
    return Record(position=position, timestamp_ms=timestamp_ms, key=key, value=value, headers=headers)


def _parts(frame: bytes) -> Iterator[bytes]:
    at = _HEAD.size
    while at < len(frame):
        (length,) = _LENGTH.unpack_from(frame, at)
        at += _LENGTH.size
        if at + length > len(frame):
            raise Corrupt("a stored record is cut off")
        yield frame[at : at + length]
        at += length
