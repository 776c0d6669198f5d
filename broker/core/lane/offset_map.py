"""Which offsets above a commit are finished already: the note that travels in the commit's metadata.

Pure, and byte-compatible with Confluent Parallel Consumer 0.5 (``OffsetEncoding``, ``BitSetEncoder``,
``RunLengthEncoder``), in both directions: base64 of a magic byte and a body, over the offsets from the
committed one to the highest finished one.

======  ===========  =====================================================================================
magic   same, zstd   body
======  ===========  =====================================================================================
``l``   ``a``        int16 count, bits (LSB first, 1 = finished), one pad byte
``o``   ``s``        int32 count, bits, one pad byte
``n``   ``J``        int16 runs: unfinished, finished, unfinished, …
``e``   ``p``        int32 runs
======  ===========  =====================================================================================

Numbers are big-endian and signed. Offsets that no record has (compaction, transactions) count as finished:
nobody will ever read them.
"""

from __future__ import annotations

import base64
import binascii
import re
import sys
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from cramjam import DecompressionError, zstd

MOST_BODY: Final = 1 << 20
"""Bytes that a note may unpack to: eight million offsets. A larger one is not read."""
_MOST_TEXT: Final = 1 << 16
_LEVEL: Final = 3
_DIGEST: Final = 32
_FINISHED: Final = re.compile("1+")


class Form(NamedTuple):
    """One way to write a map. ``width``: bytes of a number."""

    magic: str
    bits: bool
    width: int
    packed: bool

    @property
    def largest(self) -> int:
        return (1 << (8 * self.width - 1)) - 1


FORMS: Final = {
    form.magic: form
    for form in (
        Form("l", bits=True, width=2, packed=False),
        Form("a", bits=True, width=2, packed=True),
        Form("o", bits=True, width=4, packed=False),
        Form("s", bits=True, width=4, packed=True),
        Form("n", bits=False, width=2, packed=False),
        Form("J", bits=False, width=2, packed=True),
        Form("e", bits=False, width=4, packed=False),
        Form("p", bits=False, width=4, packed=True),
    )
}


class NoteUnreadable(ValueError):
    """A commit's note that is no map of this partition. The message holds nothing of its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetMap:
    """What a note says. Offsets before ``base`` are finished by the commit, those from ``end`` on unknown."""

    base: int
    end: int
    finished: tuple[range, ...]
    """Rising, none empty, none touching the next; all between ``base`` and ``end``."""

    def __contains__(self, offset: object) -> bool:
        """Whether the note says that ``offset`` is finished."""
        if not isinstance(offset, int):
            return False
        place = bisect_right(self.finished, offset, key=lambda each: each.start)
        return place > 0 and offset in self.finished[place - 1]

    @property
    def count(self) -> int:
        """How many offsets it says are finished."""
        return sum(map(len, self.finished))

    def unfinished(self, start: int, most: int) -> tuple[list[int], int]:
        """The first ``most`` offsets from ``start`` on that it does not call finished, and up to where that is all."""
        found: list[int] = []
        at = max(start, self.base)
        for each in self.finished[bisect_right(self.finished, at, key=lambda each: each.stop) :]:
            if len(found) + each.start - at > most:
                return found, at
            found += range(at, each.start)
            at = each.stop
        return found, at


def decode(text: str, *, base: int, log_end: int) -> OffsetMap:
    """Read the note of a commit at ``base``, of a partition whose next new offset is ``log_end``.

    Strict: everything that no encoder writes is refused. Above all, a map that calls the committed offset
    itself finished was made at another moment than its commit (the silent loss of Parallel Consumer), and one
    that reaches beyond the log was made for another log. Raises NoteUnreadable.
    """
    form, body = _unwrap(text)
    finished, count = _read_bits(form, body) if form.bits else _read_runs(form, body)
    if finished and finished[0].start == 0:
        raise NoteUnreadable("says that the committed offset itself is finished")
    if base + count > log_end:
        raise NoteUnreadable("reaches beyond the end of the log")
    return OffsetMap(
        base=base,
        end=base + count,
        finished=tuple(range(base + each.start, base + each.stop) for each in finished),
    )


def digest(offset: int, text: str) -> str:
    """By which a note is known again as the one that was written with the commit at ``offset``."""
    return sha256(f"{offset} {text}".encode()).hexdigest()[:_DIGEST]


def wrap(form: Form, body: bytes) -> str:
    """The note's text."""
    content = bytes(zstd.compress(body, level=_LEVEL)) if form.packed else body
    return base64.b64encode(form.magic.encode() + content).decode()


def runs_body(form: Form, runs: Sequence[int]) -> bytes:
    """Alternating lengths, unfinished first. Raises OverflowError when one does not fit the form."""
    numbers = array("h" if form.width == 2 else "i", runs)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()


def bits_body(form: Form, bits: bytes, count: int) -> bytes:
    """``bits``: of the first ``count`` offsets, LSB first, 1 = finished. Raises OverflowError."""
    return count.to_bytes(form.width, "big", signed=True) + bits + b"\0"


def _unwrap(text: str) -> tuple[Form, bytes]:
    if len(text) > _MOST_TEXT:
        raise NoteUnreadable("is longer than any cluster allows")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteUnreadable("is not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise NoteUnreadable("is not canonical base64")
    form = FORMS.get(chr(raw[0])) if raw else None
    if form is None:
        raise NoteUnreadable("has no magic byte of an offset map")
    return form, _unpack(raw[1:]) if form.packed else raw[1:]


def _unpack(packed: bytes) -> bytes:
    room = bytearray(MOST_BODY)  # a bomb finds no more than this
    try:
        size = zstd.decompress_into(packed, room)
    except DecompressionError:
        raise NoteUnreadable("does not unpack") from None
    return bytes(room[:size])


def _read_bits(form: Form, body: bytes) -> tuple[list[range], int]:
    count = int.from_bytes(body[: form.width], "big", signed=True)
    size = (count + 7) // 8
    if len(body) < form.width or count < 0 or len(body) != form.width + size + 1:
        raise NoteUnreadable("is torn: its length is not that of its bits")
    value = int.from_bytes(body[form.width :], "little")
    if value >> count:
        raise NoteUnreadable("has bits beyond its length")
    flags = bin(value)[:1:-1]
    return [range(*found.span()) for found in _FINISHED.finditer(flags)], count


def _read_runs(form: Form, body: bytes) -> tuple[list[range], int]:
    if not body or len(body) % form.width:
        raise NoteUnreadable("is torn: its length is not that of runs")
    numbers = array("h" if form.width == 2 else "i", body)
    if sys.byteorder == "little":
        numbers.byteswap()
    if numbers[0] == 0 and len(numbers) > 1:
        raise NoteUnreadable("says that the committed offset itself is finished")
    if min(numbers) < 1 and list(numbers) != [0]:
        raise NoteUnreadable("has a run without length")
    finished: list[range] = []
    at = 0
    for place, length in enumerate(numbers):
        if place % 2:
            finished.append(range(at, at + length))
        at += length
    return finished, at
