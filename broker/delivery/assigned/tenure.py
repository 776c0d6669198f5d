"""One assignment of one outbox partition: what is unfinished, what may be committed, what was seen before.

A tenure ends with its assignment. Results that come later find it ended and touch nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from broker.core.ids import PartnerId
from broker.core.lane.offset_map import OffsetMap, digest
from broker.core.lane.offset_note import NOTHING, Note, encode
from broker.core.lane.offsets import OffsetTracker, Window
from broker.core.message import Message
from broker.core.records import Position, Record, TopicPartition
from broker.delivery.assigned.blocking import Blocking
from broker.delivery.assigned.parked_cases import ParkedCases
from broker.store.delivering.blocked import Release

_OBJECT_BYTES: Final = 4096
"""A message of 1 KB in hand was measured at 4 to 5 KB: headers, parsed facts, places in lane and tracker."""
_NOTE_S: Final = 0.1
"""How often a note is committed by itself: what ends between two of them is delivered again after a kill."""
_CUT_NOTE_S: Final = 0.5
"""How often one that had to be cut is: to cut one costs milliseconds."""
_NOTE_LATEST_S: Final = 1.0
_NOTE_WORTH: Final = 16
"""So many new endings above the commit are worth a commit of their own after ``_NOTE_S``; fewer wait longer."""
_CARRIED: Final = 50_000
"""So many unfinished offsets not yet read are carried over from the note at assignment to the next one."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be committed of one tenure. All of it was read in one breath: nothing finished in between."""

    offset: int
    note: Note
    marks: Mapping[int, int] | None
    """The marks as of ``offset``; None when they are as they were."""
    releases: tuple[Release, ...]
    """What records below ``offset`` have taken from the desk: their rows go before the commit."""
    digests: tuple[str, ...]
    """By which this note, and the one last acknowledged, are known again."""
    changes: int


class Tenure:
    """From assignment to revocation. ``alive`` False: nothing of it counts any more."""

    def __init__(self, place: TopicPartition, partner: PartnerId, *, again: bool = False) -> None:
        self.place = place
        self.partner = partner
        self.there = 0
        self.again = again
        """Begun anew within one assignment: reading has to go back."""
        self.alive = True
        self.prepared = False
        self.closing = False
        self.paused = False
        self.busy = 0
        """Attempts and settlements under way: what a drain waits for."""
        self.entries: dict[int, Entry] = {}
        self.parked = ParkedCases()
        self.blocked = Blocking()
        self.note: Note = NOTHING
        """As last committed."""
        self.unblocked: deque[Release] = deque()
        """What was taken from the desk, in the order of the records that did it; stored with :meth:`due`."""
        self._tracker = OffsetTracker(0)
        self._known: OffsetMap | None = None
        self._acknowledged: tuple[str, ...] = ()
        self._committed = 0
        self._committed_s = 0.0
        self._noted = 0
        self._seen: dict[int, int] = {}
        self._sources: deque[tuple[int, int, int]] = deque()
        self._marks: dict[int, int] = {}
        self._marks_changed = False

    def prepare(
        self,
        start: int,
        marks: Mapping[int, int],
        known: OffsetMap | None = None,
        digest: str = "",
        *,
        there: int = 0,
    ) -> None:
        """Begin at ``start``, the committed offset, with the marks that were stored for it.

        ``there``: where the partition ended then; of what is before it an earlier holder may have had something.

        ``known``: what the commit's note says, if it is believed, and the ``digest`` that it has.
        """
        self.there = there
        self._tracker = OffsetTracker(start)
        self._committed = start
        self._known = known
        self._acknowledged = (digest,) if digest else ()
        self._seen = dict(marks)
        self._marks = dict(marks)
        self.prepared = True

    @property
    def committed_to(self) -> int:
        """The offset that the group has committed last, as far as this tenure knows."""
        return self._committed

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
        if self._known is not None and offset >= self._known.end:
            self._known = None
        if source is not None:
            if self._seen.get(source.partition, -1) >= source.offset:
                self._tracker.finished(offset)
                return False
            self._seen[source.partition] = source.offset
            self._sources.append((offset, source.partition, source.offset))
        return True

    def was_finished(self, offset: int) -> bool:
        """Whether the note of the commit at which this tenure began says that the record needs nothing more."""
        return self._known is not None and offset in self._known

    def enter(self, entry: Entry) -> None:
        self.entries[entry.record.position.offset] = entry

    def finish(self, offset: int) -> None:
        """The record needs nothing more, durably."""
        self.entries.pop(offset, None)
        self._tracker.finished(offset)

    def due(self, now_s: float) -> Due | None:
        """What to commit now, or None when it is not worth a commit. ``now_s`` is monotonic.

        There is no ``await`` in here, and must not be: offset, note and marks of different moments would say of
        an unfinished record that it is finished (Parallel Consumer's silent loss).
        """
        tracker = self._tracker
        offset = tracker.safe
        if not (self._moved(offset, now_s) or self._note_is_due(now_s)):
            return None
        window = self._window()
        note = encode(window.unfinished, window.end) if window is not None else NOTHING
        return Due(
            offset=offset,
            note=note,
            marks=self._marks_below(offset),
            releases=tuple(each for each in self.unblocked if each.outbox_offset < offset),
            digests=(digest(offset, note.text), *self._acknowledged) if note.text else (),
            changes=tracker.changes,
        )

    def committed(self, due: Due, now_s: float) -> None:
        """The group has acknowledged ``due``. What ended since then is still to be committed."""
        self._committed = max(self._committed, due.offset)
        self._committed_s = now_s
        self._noted = due.changes
        self._acknowledged = due.digests[:1]
        self.note = due.note
        if due.marks is not None:
            self._marks_changed = False
        while self.unblocked and self.unblocked[0].outbox_offset < due.offset:
            self.unblocked.popleft()

    def _moved(self, offset: int, now_s: float) -> bool:
        if offset <= self._committed:
            return False
        return self.closing or not self.note.left_out or now_s - self._committed_s >= _CUT_NOTE_S

    def _note_is_due(self, now_s: float) -> bool:
        """Whether what was finished above the commit since the last note is worth one by itself."""
        new = self._tracker.changes - self._noted
        if new == 0 or self._tracker.finished_above_safe() == 0:
            return False
        soon_s = _CUT_NOTE_S if self.note.left_out else _NOTE_S
        wait_s = soon_s if new >= _NOTE_WORTH else _NOTE_LATEST_S
        return self.closing or now_s - self._committed_s >= wait_s

    def _window(self) -> Window | None:
        """What the next note can say: what is finished here, and what was known of records not read yet."""
        tracker, known = self._tracker, self._known
        if known is None or known.end <= tracker.next:
            return tracker.window()
        unfinished, start = list(tracker.unfinished()), tracker.next
        if not unfinished:
            # The next record is called unfinished, whatever was known of it: it is where the commit stands.
            unfinished, start = [start], start + 1
        more, end = known.unfinished(start, _CARRIED)
        if end <= start:
            return tracker.window()
        unfinished += more
        return Window(unfinished[0], unfinished, end)

    def _marks_below(self, offset: int) -> Mapping[int, int] | None:
        """The marks as of ``offset``; None when they are as they were.

        A mark never covers a record that is not below the commit: after a crash that record is read again
        and must not look like a repeat. That holds of those, too, that the note calls finished.
        """
        sources = self._sources
        while sources and sources[0][0] < offset:
            _, partition, source_offset = sources.popleft()
            self._marks[partition] = source_offset
            self._marks_changed = True
        if not self._marks_changed:
            return None
        return dict(self._marks)
