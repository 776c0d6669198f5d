"""One assignment of one outbox partition: what is unfinished, what may be committed, what was seen before.

A tenure ends with its assignment. Results that come later find it ended and touch nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from broker.core.ids import CaseId, PartnerId
from broker.core.message import Message
from broker.core.offsets import OffsetTracker
from broker.core.records import Position, Record, TopicPartition

_OBJECT_BYTES: Final = 4096
"""A message of 1 KB in hand was measured at 4 to 5 KB: headers, parsed facts, places in lane and tracker."""


class Entry:
    """One message in hand. ``attempts`` counts all, ``counted`` those that the schedule counts."""

    __slots__ = ("attempts", "begun_s", "counted", "key", "message", "record", "tenure")

    def __init__(self, record: Record, message: Message, tenure: Tenure, key: bytes | None) -> None:
        self.record = record
        self.message = message
        self.tenure = tenure
        self.key = key
        self.attempts = 0
        self.counted = 0
        self.begun_s = 0.0

    @property
    def size_bytes(self) -> int:
        return size_bytes(self.record)


def size_bytes(record: Record) -> int:
    """What a record in hand costs in memory, nearly: its value, and its headers as objects."""
    return len(record.value) + _OBJECT_BYTES


class ParkedCase:
    """One parked lane of this partition: its rows are in the store, its time is here."""

    __slots__ = ("appending", "attempts", "busy", "due_ms")

    def __init__(self, *, due_ms: int, attempts: int) -> None:
        self.due_ms = due_ms
        self.attempts = attempts
        self.appending = 0
        """Records on their way to the lane's end: it is not gone before they are there."""
        self.busy = False


class Tenure:
    """From assignment to revocation. ``alive`` False: nothing of it counts any more."""

    def __init__(
        self, place: TopicPartition, partner: PartnerId, *, assigned_ms: int, again: bool = False
    ) -> None:
        self.place = place
        self.partner = partner
        self.assigned_ms = assigned_ms
        self.again = again
        """Begun anew within one assignment: reading has to go back."""
        self.alive = True
        self.prepared = False
        self.closing = False
        self.paused = False
        self.busy = 0
        """Attempts and settlements under way: what a drain waits for."""
        self.entries: dict[int, Entry] = {}
        self.parked: dict[CaseId, ParkedCase] = {}
        self._tracker = OffsetTracker(0)
        self._committed = 0
        self._seen: dict[int, int] = {}
        self._sources: deque[tuple[int, int, int]] = deque()
        self._marks: dict[int, int] = {}
        self._marks_changed = False

    def prepare(self, start: int, marks: Mapping[int, int]) -> None:
        """Begin at ``start``, the committed offset, with the marks that were stored for it."""
        self._tracker = OffsetTracker(start)
        self._committed = start
        self._seen = dict(marks)
        self._marks = dict(marks)
        self.prepared = True

    @property
    def pending_bytes(self) -> int:
        return self._tracker.pending_bytes

    @property
    def pending(self) -> int:
        return self._tracker.pending

    @property
    def next(self) -> int:
        return self._tracker.next

    @property
    def safe(self) -> int:
        return self._tracker.safe

    def begin(self, record: Record, source: Position | None) -> bool:
        """The record was read. False: it is a repeat (its source does not rise) and needs nothing."""
        offset = record.position.offset
        self._tracker.started(offset, size_bytes(record))
        if source is not None:
            if self._seen.get(source.partition, -1) >= source.offset:
                self._tracker.finished(offset)
                return False
            self._seen[source.partition] = source.offset
            self._sources.append((offset, source.partition, source.offset))
        return True

    def enter(self, entry: Entry) -> None:
        self.entries[entry.record.position.offset] = entry

    def finish(self, offset: int) -> None:
        """The record needs nothing more, durably."""
        self.entries.pop(offset, None)
        self._tracker.finished(offset)

    def due_commit(self) -> int | None:
        """The offset to commit now, or None when nothing has moved."""
        safe = self._tracker.safe
        return safe if safe > self._committed else None

    def marks_below(self, offset: int) -> Mapping[int, int] | None:
        """The marks as of ``offset``, a commit of :meth:`due_commit`; None when they are as they were.

        A mark never covers a record that is not below the commit: after a crash that record is read again
        and must not look like a repeat.
        """
        sources = self._sources
        while sources and sources[0][0] < offset:
            _, partition, source_offset = sources.popleft()
            self._marks[partition] = source_offset
            self._marks_changed = True
        if not self._marks_changed:
            return None
        return dict(self._marks)

    def committed(self, offset: int, *, marks: bool) -> None:
        self._committed = max(self._committed, offset)
        if marks:
            self._marks_changed = False
