"""JSON as the partner API takes it: one meaning per text, bounded in every direction.

orjson is quick and refuses NaN, broken UTF-8 and lone surrogates. What it lets through (a key twice, whose
last one silently wins; integers that become floats; a thousand levels) is refused here.
Source: RFC 8259, RFC 7493 (I-JSON); issue 3, "Bad input".
"""

from __future__ import annotations

import json
import math
from typing import Final, NoReturn

import orjson

from broker.core.problems import FieldError

MAX_DEPTH: Final = 64
_LONGEST_INTEGER: Final = 20  # characters of 2**64 - 1; keeps int() away from its quadratic inputs
_LEAST, _MOST = -(2**63), 2**64 - 1
_NESTS: Final = frozenset({dict, list})


class NotStrict(ValueError):
    """A text that is not acceptable JSON. ``error`` says where and what was expected, never what stood there."""

    def __init__(self, expected: str, *, pointer: str = "", got: str | None = None) -> None:
        super().__init__(expected)
        self.error = FieldError(pointer=pointer, expected=expected, got=got)


def read(body: bytes, *, depth: int = MAX_DEPTH) -> object:
    """The value of one JSON text. Raises :class:`NotStrict`."""
    value = _load(body)
    _refuse_deeper(body, value, depth)
    if b"\\" in body or body.count(b'"') != _plain_marks(value):
        _DECODER.decode(body.decode())
    return value


def read_array(body: bytes, *, depth: int = MAX_DEPTH) -> list[tuple[object, int, int]]:
    """The elements of a JSON array with the bytes that each stands in: ``(value, start, end)``.

    ``body[start:end]`` is the element verbatim. Raises :class:`NotStrict`.
    """
    values = _load(body)
    if not isinstance(values, list):
        raise NotStrict("an array of events")
    plain = _plain_elements(body, values) if depth > 1 else None
    if plain is not None:
        return plain
    _refuse_deeper(body, values, depth)
    return _elements(body.decode(), values)


def _plain_elements(body: bytes, values: list[object]) -> list[tuple[object, int, int]] | None:
    """The elements when all are flat objects that are certainly strict, found by their braces; else None.

    From an element's brace to the next closing one no other opens, and all its quotation marks stand there: so
    that one closes it, and nothing is nested in it.
    """
    if b"\\" in body:
        return None
    find = body.find
    found: list[tuple[object, int, int]] = []
    end = 0
    for value in values:
        start = find(b"{", end)
        end = find(b"}", start) + 1
        if body.count(b'"', start, end) != _plain_marks(value) or find(b"{", start + 1, end) >= 0:
            return None
        found.append((value, start, end))
    return found


def _elements(text: str, values: list[object]) -> list[tuple[object, int, int]]:
    found: list[tuple[int, int]] = []
    at = _skip(text, text.index("[") + 1)
    for _ in values:
        _, end = _DECODER.raw_decode(text, at)
        found.append((at, end))
        at = _skip(text, _skip(text, end) + 1)
    if not text.isascii():
        found = _in_bytes(text, found)
    return [(value, start, end) for value, (start, end) in zip(values, found, strict=True)]


def _load(body: bytes) -> object:
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise NotStrict(f"UTF-8 JSON (RFC 8259); the reader stopped at character {fault.pos}") from None
    return value


def _refuse_deeper(body: bytes, value: object, depth: int) -> None:
    if body.count(b"[") + body.count(b"{") > depth and _deeper(value, depth):
        raise NotStrict(f"at most {depth} levels of nesting")


def _plain_marks(value: object) -> int:
    """How many quotation marks a flat object has if its text has no backslash; -1: only the decoder can judge it.

    Every quotation mark begins or ends a key or a text then: where there are more, the reader has dropped a
    member whose key came twice. Integers beyond 64 bits come out of the reader as floats, if at all.
    """
    if type(value) is not dict:
        return -1
    strings = len(value)
    for member in value.values():
        kind = type(member)
        if kind is str:
            strings += 1
        elif kind is not int and member is not None and kind is not bool:
            return -1
    return 2 * strings


def _deeper(node: object, levels: int) -> bool:
    """Whether a list or object has more than ``levels`` levels of them."""
    if not isinstance(node, dict | list):
        return False
    if levels == 0:
        return True
    for each in node.values() if isinstance(node, dict) else node:
        if type(each) in _NESTS and _deeper(each, levels - 1):
            return True
    return False


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrict("each key once in its object", got="a key twice")
    return members


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER or not _LEAST <= int(text) <= _MOST:
        raise NotStrict("integers within 64 bits", got=f"an integer of {len(text)} characters")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotStrict("finite numbers")
    return number


def _no_constant(text: str) -> NoReturn:
    del text
    raise NotStrict("finite numbers")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_no_constant
)


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\n", "\r"):
        at += 1
    return at


def _in_bytes(text: str, found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    moved: list[tuple[int, int]] = []
    characters = position = 0
    for start, end in found:
        first = position + len(text[characters:start].encode())
        position = first + len(text[start:end].encode())
        characters = end
        moved.append((first, position))
    return moved
