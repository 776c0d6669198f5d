"""Which offset of a partition may be committed, when its records finish out of order.

Pure. The tracker belongs to one assignment of one partition: a new assignment starts a new tracker, so that
results of the old one never touch it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_TRIM_ABOVE: Final = 4096


class Window(NamedTuple):
    """What is known above the commit, all of one moment. ``unfinished`` rises; ``end``: after the highest finished."""

    safe: int
    unfinished: Sequence[int]
    end: int


class OffsetTracker:
    """Records of one partition from their start to their end. Amortised O(1) an offset.

    ``start`` is the offset at which reading begins: the committed one. Memory: 8 bytes for each offset from
    the lowest unfinished one up, and a dictionary entry for each unfinished one; runs of finished offsets
    at the front cost nothing.
    """

    def __init__(self, start: int) -> None:
        if start < 0:
            raise ValueError("offsets count from 0")
        self._start = start
        self._pending: dict[int, int] = {}
        self._bytes = 0
        self._started = array("q")
        """Every offset started and not yet trimmed, rising; those before ``_front`` are finished."""
        self._front = 0
        self._next = start
        self.changes: int = 0
        """How many endings there were: whether anything is new since one looked last."""

    def started(self, offset: int, size_bytes: int) -> None:
        """``offset`` was read and is unfinished. Raises ValueError when it is not above all started before."""
        if offset < self._next:
            raise ValueError(f"offset {offset} does not rise: {self._next} is the next")
        self._next = offset + 1
        self._pending[offset] = size_bytes
        self._started.append(offset)
        self._bytes += size_bytes

    def finished(self, offset: int) -> bool:
        """``offset`` needs nothing more. False: it was not pending (finished before, or never started)."""
        size_bytes = self._pending.pop(offset, None)
        if size_bytes is None:
            return False
        self._bytes -= size_bytes
        self.changes += 1
        if self._started[self._front] == offset:
            self._advance()
        return True

    @property
    def safe(self) -> int:
        """What may be committed: the lowest unfinished offset; without one, the offset after the last started."""
        return self._started[self._front] if self._pending else self._next

    @property
    def pending(self) -> int:
        """How many offsets are unfinished."""
        return len(self._pending)

    @property
    def pending_bytes(self) -> int:
        """The sizes of unfinished records together, as they were started."""
        return self._bytes

    @property
    def next(self) -> int:
        """The offset after the last one started (``start`` when none was)."""
        return self._next

    def unfinished(self) -> Iterator[int]:
        """The unfinished offsets, rising."""
        return iter(self._pending)

    def finished_above_safe(self) -> int:
        """How many records are finished and would be delivered again if all were read anew from ``safe``."""
        return len(self._started) - self._front - len(self._pending)

    def window(self) -> Window | None:
        """What a note to a commit at ``safe`` can say; None when nothing is finished above it.

        Offsets from ``safe`` to before ``end`` that are not in ``unfinished`` are finished, or no record has them.
        """
        if self.finished_above_safe() == 0:
            return None
        unfinished, started = list(self._pending), self._started
        last = len(started) - 1
        while started[last] == unfinished[-1]:  # what lies above the highest finished one
            unfinished.pop()
            last -= 1
        return Window(unfinished[0], unfinished, started[last] + 1)

    def _advance(self) -> None:
        started, pending, front = self._started, self._pending, self._front
        end = len(started)
        while front < end and started[front] not in pending:
            front += 1
        if front == end or (front > _TRIM_ABOVE and front * 2 > end):
            del started[:front]
            front = 0
        self._front = front
