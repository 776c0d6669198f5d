"""Choosing how to write an offset map, so that it fits: the smallest that says all, else the one that says most.

Pure. What a note leaves out is delivered again after a restart, so leaving out is always safe; calling an
unfinished offset finished never is. When not everything fits, runs of finished offsets are left out whole, the
shortest first, or the bits end earlier: whichever covers the most.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import add, sub
from typing import Final

from broker.core.lane.offset_map import FORMS, Form, bits_body, runs_body, wrap

NOTE_BYTES: Final = 4096
"""Kafka's default ``offset.metadata.max.bytes``."""
ALL_FORMS: Final = "nleoJasp"
_BITS_MOST: Final = 1 << 18
"""So many offsets are tried as packed bits; beyond, runs say more in less."""
_RUNS_MOST: Final = 1 << 12
_TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """``text`` for the commit; how many finished offsets it covers, and how many it leaves out."""

    text: str
    covered: int
    left_out: int


NOTHING: Final = Note(text="", covered=0, left_out=0)


def encode(unfinished: Sequence[int], end: int, *, limit: int = NOTE_BYTES, forms: str = ALL_FORMS) -> Note:
    """Write that all offsets from ``unfinished[0]``, the commit's own, to before ``end`` are finished but these.

    ``unfinished`` rises strictly and lies below ``end``. The text has at most ``limit`` characters, all of one
    byte. ``forms``: the magics to choose from. O(unfinished) while a plain form holds everything, else
    O(n log n) and a bounded number of packings. Raises ValueError.
    """
    if unfinished and unfinished[-1] >= end:
        raise ValueError("an unfinished offset lies at or above the end")
    unfinished, end = _trimmed(unfinished, end)
    if not unfinished:
        return NOTHING
    room = max(0, limit // 4 * 3 - 1)  # bytes of a body, once base64 and the magic have had theirs
    chosen = [FORMS[magic] for magic in forms]
    plain = [form for form in chosen if not form.packed]
    text = _as_bits(unfinished, end, plain, room)
    if text is not None:
        return Note(text=text, covered=end - unfinished[0] - len(unfinished), left_out=0)
    window = _Window(unfinished, end)
    text = _whole(window, plain, room)
    if text is not None:
        return Note(text=text, covered=window.finished, left_out=0)
    packed = [form for form in chosen if form.packed]
    parts = [*_plain_parts(window, plain, room), *_packed_parts(window, packed, room)]
    covered, text = max(parts, default=(0, ""), key=lambda part: (part[0], -len(part[1])))
    return Note(text=text if covered else "", covered=covered, left_out=window.finished - covered)


class _Window:
    """The offsets from the commit on, relative to it: where runs of finished ones begin, how long they are."""

    def __init__(self, unfinished: Sequence[int], end: int) -> None:
        self.base = unfinished[0]
        self.unfinished = unfinished
        self.count = end - self.base
        self.finished = self.count - len(unfinished)
        steps = list(map(sub, unfinished[1:], unfinished))
        if steps and min(steps) < 1:
            raise ValueError("unfinished offsets do not rise")
        after = 1 - self.base
        self.starts = [unfinished[place] + after for place, step in enumerate(steps) if step != 1]
        self.starts.append(unfinished[-1] + after)
        self.lengths = [step - 1 for step in steps if step != 1]
        self.lengths.append(end - 1 - unfinished[-1])

    @cached_property
    def runs(self) -> list[int]:
        """All of it as alternating lengths, unfinished first."""
        runs = [0] * (2 * len(self.starts))
        runs[1::2] = self.lengths
        runs[0::2] = map(sub, self.starts, [0, *map(add, self.starts, self.lengths)])
        return runs

    @cached_property
    def longest_first(self) -> list[int]:
        return sorted(range(len(self.lengths)), key=self.lengths.__getitem__, reverse=True)

    @cached_property
    def covered_by_longest(self) -> list[int]:
        """How many offsets the first, the first two, … of the longest runs hold."""
        return list(accumulate(map(self.lengths.__getitem__, self.longest_first)))

    def longest_runs(self, count: int) -> list[int]:
        """Alternating lengths in which only the ``count`` longest finished runs are said to be finished."""
        if count >= len(self.starts):
            return self.runs
        runs: list[int] = []
        last = 0
        for place in sorted(self.longest_first[:count]):
            start, length = self.starts[place], self.lengths[place]
            runs += (start - last, length)
            last = start + length
        return runs

    def bits(self, count: int) -> bytes:
        """Of the first ``count`` offsets, LSB first, 1 = finished."""
        place = bisect_left(self.unfinished, self.base + count)
        return _bits(_flags(self.unfinished[:place], self.base, count))

    def covered(self, count: int) -> int:
        """How many of the first ``count`` offsets are finished."""
        return count - bisect_left(self.unfinished, self.base + count)

    def trimmed(self, count: int) -> int:
        """``count`` without unfinished offsets at its end."""
        place = bisect_left(self.unfinished, self.base + count)
        return _trimmed(self.unfinished[:place], self.base + count)[1] - self.base


def _trimmed(unfinished: Sequence[int], end: int) -> tuple[Sequence[int], int]:
    """Without what is unfinished at the end: a map ends with a finished offset."""
    place = len(unfinished)
    while place and unfinished[place - 1] == end - 1:
        place -= 1
        end -= 1
    return (unfinished if place == len(unfinished) else unfinished[:place]), end


def _flags(unfinished: Sequence[int], base: int, count: int) -> bytearray:
    """A character for each offset: 1 finished, 0 not."""
    flags = bytearray(b"1") * count
    for offset in unfinished:
        flags[offset - base] = 48
    return flags


def _bits(flags: bytearray) -> bytes:
    count = len(flags)
    flags.reverse()
    return int(flags, 2).to_bytes((count + 7) // 8, "little")


def _as_bits(unfinished: Sequence[int], end: int, forms: Sequence[Form], room: int) -> str | None:
    """Everything as bits, when they fit and runs would not be smaller: the common case, found quickly."""
    base = unfinished[0]
    count = end - base
    sizes = [
        (form.width + (count + 7) // 8 + 1, form) for form in forms if form.bits and count <= form.largest
    ]
    size, chosen = min(sizes, default=(room + 1, None), key=lambda each: each[0])
    if chosen is None or size > room:
        return None
    flags = _flags(unfinished, base, count)
    if flags.count(48) != len(unfinished):
        raise ValueError("unfinished offsets do not rise")
    number = min((form.width for form in forms if not form.bits and count <= form.largest), default=size)
    if 2 * number * flags.count(b"01") < size:
        return None
    return wrap(chosen, bits_body(chosen, _bits(flags), count))


def _whole(window: _Window, forms: Sequence[Form], room: int) -> str | None:
    """Everything in the smallest of these forms, if it fits."""
    longest = max(window.runs)
    sizes = [
        (form.width + (window.count + 7) // 8 + 1 if form.bits else form.width * len(window.runs), form)
        for form in forms
        if (window.count if form.bits else longest) <= form.largest
    ]
    size, chosen = min(sizes, default=(room + 1, None), key=lambda each: each[0])
    if chosen is None or size > room:
        return None
    if chosen.bits:
        return wrap(chosen, bits_body(chosen, window.bits(window.count), window.count))
    return wrap(chosen, runs_body(chosen, window.runs))


def _plain_parts(window: _Window, forms: Sequence[Form], room: int) -> list[tuple[int, str]]:
    """What each form can say in ``room`` bytes: how many finished offsets it covers, and its text."""
    parts: list[tuple[int, str]] = []
    for form in forms:
        if form.bits:
            most = max(0, room - form.width - 1) * 8
            count = window.trimmed(min(window.count, form.largest, most))
            text = wrap(form, bits_body(form, window.bits(count), count)) if count else ""
            parts.append((window.covered(count), text))
        elif count := min(len(window.starts), room // (2 * form.width)):
            runs = window.longest_runs(count)
            if max(runs) <= form.largest:
                parts.append((window.covered_by_longest[count - 1], wrap(form, runs_body(form, runs))))
    return parts


def _packed_parts(window: _Window, forms: Sequence[Form], room: int) -> list[tuple[int, str]]:
    limit = (room + 1) // 3 * 4
    parts: list[tuple[int, str]] = []
    bit_forms = [form for form in forms if form.bits]
    if bit_forms:
        most = min(window.count, _BITS_MOST)
        bits = window.bits(most)

        def write_bits(size: int) -> str | None:
            # beyond ``count`` the last byte holds zeros only: what was trimmed is unfinished
            count = window.trimmed(min(size * 8, most))
            return _packed(bit_forms, count, lambda form: bits_body(form, bits[: (count + 7) // 8], count))

        if found := _most(write_bits, len(bits), limit):
            parts.append((window.covered(min(found[0] * 8, most)), found[1]))
    run_forms = [form for form in forms if not form.bits]
    if run_forms:

        def write_runs(size: int) -> str | None:
            runs = window.longest_runs(size)
            return _packed(run_forms, max(runs), lambda form: runs_body(form, runs))

        if found := _most(write_runs, min(len(window.starts), _RUNS_MOST), limit):
            parts.append((window.covered_by_longest[found[0] - 1], found[1]))
    return parts


def _packed(forms: Sequence[Form], largest: int, body: Callable[[Form], bytes]) -> str | None:
    """In the narrowest form that holds ``largest``: what the wider one adds are zeros."""
    fitting = [form for form in forms if largest <= form.largest]
    if not fitting:
        return None
    form = min(fitting, key=lambda each: each.width)
    return wrap(form, body(form))


def _most(write: Callable[[int], str | None], high: int, limit: int) -> tuple[int, str] | None:
    """The largest size up to ``high`` whose text was seen to fit, by a few guesses in proportion."""
    best: tuple[int, str] | None = None
    low, size = 1, high
    for _ in range(_TRIES):
        text = write(size)
        if text is None:
            return best
        if len(text) <= limit:
            best = (size, text)
            low = size + 1
        else:
            high = size - 1
        if low > high:
            break
        size = min(high, max(low, size * limit * 98 // (len(text) * 100)))
    return best
