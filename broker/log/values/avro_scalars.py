"""The scalars of Avro binary, read strictly: each in its shortest form only, within its bounds, or refused.

Source: Apache Avro 1.12 specification, "Primitive Types", "Logical Types".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, TypeAlias
from uuid import UUID

from broker.core.avro.avro_defaults import EPOCH, EPOCH_DAY
from broker.core.avro.avro_model import Fixed, Node, Primitive
from broker.log.values.avro_kinds import bounds_of

Read: TypeAlias = Callable[[bytes, int], tuple[object, int]]
"""Reads one value at an offset; returns it and the offset after it. Raises :class:`Misfit`."""

_INT = (-(2**31), 2**31 - 1)
_LONG = (-(2**63), 2**63 - 1)


class Misfit(Exception):
    """The bytes are not a value of the schema. ``path`` leads to the field; no value is ever repeated."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.path: list[str] = []

    def within(self, step: str) -> Misfit:
        self.path.insert(0, step)
        return self

    @property
    def pointer(self) -> str:
        return "".join(f"/{step}" for step in self.path)


SHORT: Final = "more bytes: the value ends within this field"
NOT_UTF8: Final = "text in UTF-8"


def read_long(buffer: bytes, at: int) -> tuple[int, int]:
    """A zig-zag integer of at most 64 bits in its shortest form. Raises Misfit; IndexError past the end."""
    byte = buffer[at]
    at += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at
    number, shift = byte & 0x7F, 7
    while True:
        byte = buffer[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise Misfit("an integer of at most 10 bytes")
    if byte == 0 or number >> 64:
        raise Misfit("an integer of 64 bits in its shortest form")
    return (number >> 1) ^ -(number & 1), at


_ONE: Final = tuple(bytes((bits,)) for bits in range(0x80))
MORE: Final = tuple(bytes((0x80 | bits,)) for bits in range(0x80))
"""Seven bits of a number of which more follow."""


def write_long(number: int) -> bytes:
    """The zig-zag form of a 64-bit integer: what :func:`read_long` reads."""
    number = (number << 1) ^ (number >> 63)
    if number < 0x80:
        return _ONE[number]
    if number < 0x4000:
        return MORE[number & 0x7F] + _ONE[number >> 7]
    out = bytearray()
    while number > 0x7F:
        out.append((number & 0x7F) | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def primitive_reader(node: Primitive) -> Read:
    """The reader of a primitive type under its logical type."""
    match node.kind, node.logical:
        case "int", logical:
            return _integer(*_INT, logical)
        case "long", logical:
            return _integer(*_LONG, logical)
        case "bytes", "decimal":
            return _decimal(node)
        case "string", "uuid":
            return _read_uuid
        case kind, _:
            return _PLAIN[kind]


def _read_null(_buffer: bytes, at: int) -> tuple[object, int]:
    return None, at


def _read_boolean(buffer: bytes, at: int) -> tuple[object, int]:
    byte = buffer[at]
    if byte > 1:
        raise Misfit("a boolean, 0 or 1")
    return byte == 1, at + 1


def _integer(lowest: int, highest: int, logical: str | None) -> Read:
    def read(buffer: bytes, at: int) -> tuple[int, int]:
        byte = buffer[at]
        if byte < 0x80:
            return (byte >> 1) ^ -(byte & 1), at + 1
        number, at = read_long(buffer, at)
        if not lowest <= number <= highest:
            raise Misfit("an integer of 32 bits")
        return number, at

    if logical is None:
        return read
    epoch, unit = _UNITS[logical]

    def read_moment(buffer: bytes, at: int) -> tuple[object, int]:
        number, at = read(buffer, at)
        try:
            return epoch + number * unit, at
        except OverflowError:
            raise Misfit("a moment within the years 1 to 9999") from None

    return read_moment


_UNITS: Final[Mapping[str, tuple[date, timedelta]]] = {
    "date": (EPOCH_DAY, timedelta(days=1)),
    "timestamp-millis": (EPOCH, timedelta(milliseconds=1)),
    "timestamp-micros": (EPOCH, timedelta(microseconds=1)),
}
"""From when, and in which steps, an integer of a logical type counts."""


def _float(form: struct.Struct) -> Read:
    def read(buffer: bytes, at: int) -> tuple[object, int]:
        if at + form.size > len(buffer):
            raise Misfit(SHORT)
        (number,) = form.unpack_from(buffer, at)
        if not math.isfinite(number):
            raise Misfit("a finite number")
        return number, at + form.size

    return read


def _read_span(buffer: bytes, at: int) -> tuple[int, int]:
    """Start and end of a length-prefixed span."""
    length, start = read_long(buffer, at)
    if length < 0:
        raise Misfit("a length that is not negative")
    end = start + length
    if end > len(buffer):
        raise Misfit(SHORT)
    return start, end


def _read_bytes(buffer: bytes, at: int) -> tuple[object, int]:
    start, end = _read_span(buffer, at)
    return buffer[start:end], end


def read_string(buffer: bytes, at: int) -> tuple[str, int]:
    """Text. Lengths of one or two bytes, which nearly all have, are read without a call."""
    length = buffer[at]
    at += 1
    if length >= 0x80:
        second = buffer[at]
        if 0 < second < 0x80:
            length = (length & 0x7F) | second << 7
            at += 1
        else:
            length, at = read_long(buffer, at - 1)
            length <<= 1
    if length & 1 or length < 0:
        raise Misfit("a length that is not negative")
    end = at + (length >> 1)
    if end > len(buffer):
        raise Misfit(SHORT)
    try:
        text = buffer[at:end].decode()
    except UnicodeDecodeError:
        raise Misfit(NOT_UTF8) from None
    if "\0" in text:
        raise Misfit("text without U+0000")
    return text, end


def bounded_reader(node: Node, read: Read) -> Read:
    """``read``, held to the facets of the type as well (``avro_kinds.py``)."""
    bounds = bounds_of(node)
    if bounds is None:
        return read

    def read_bounded(buffer: bytes, at: int) -> tuple[object, int]:
        value, at = read(buffer, at)
        expected = bounds(value)
        if expected is not None:
            raise Misfit(expected)
        return value, at

    return read_bounded


def _read_uuid(buffer: bytes, at: int) -> tuple[object, int]:
    text, at = read_string(buffer, at)
    try:
        found = UUID(text)
    except ValueError:
        raise Misfit("a UUID") from None
    if str(found) != text:
        raise Misfit("a UUID in lower case with hyphens")
    return found, at


def _decimal(node: Primitive | Fixed) -> Read:
    """``precision`` bounds both the digits and the bytes that are looked at."""
    precision = node.precision or 1
    most_bytes = node.size if isinstance(node, Fixed) else (10**precision).bit_length() // 8 + 1

    def read(buffer: bytes, at: int) -> tuple[object, int]:
        start, end = (at, at + most_bytes) if isinstance(node, Fixed) else _read_span(buffer, at)
        if end > len(buffer):
            raise Misfit(SHORT)
        if not 0 < end - start <= most_bytes:
            raise Misfit(f"a decimal of 1 to {most_bytes} bytes")
        unscaled = int.from_bytes(buffer[start:end], signed=True)
        if abs(unscaled) >= 10**precision:
            raise Misfit(f"a decimal of at most {precision} digits")
        digits = tuple(int(digit) for digit in str(abs(unscaled)))
        return Decimal((int(unscaled < 0), digits, -node.scale)), end

    return read


def fixed_reader(node: Fixed) -> Read:
    if node.logical == "decimal":
        return _decimal(node)
    size = node.size

    def read(buffer: bytes, at: int) -> tuple[object, int]:
        end = at + size
        if end > len(buffer):
            raise Misfit(SHORT)
        return buffer[at:end], end

    return read


_PLAIN: Final[Mapping[str, Read]] = {
    "null": _read_null,
    "boolean": _read_boolean,
    "float": _float(struct.Struct("<f")),
    "double": _float(struct.Struct("<d")),
    "bytes": _read_bytes,
    "string": read_string,
}
