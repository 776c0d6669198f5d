"""Delivery's tables in memory: doubles of the store's own functions, hundreds of times faster than SQLite.

A double takes the place of its function for connections that are :class:`Tables`; any other connection gets the
real one. ``test_store.py`` runs the same seeds on the real statements and compares the histories.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from types import ModuleType
from typing import Any, Final

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.records import TopicPartition
from broker.store.delivering import (
    attempts,
    awaiting,
    blocked,
    commit_notes,
    line_status,
    mailbox,
    marks,
    parked,
)
from broker.store.delivering.awaiting import Awaited
from broker.store.delivering.blocked import BlockedMessage, Release
from broker.store.delivering.parked import ParkedLane, ParkedMessage
from broker.store.rows import AttemptRow, Name
from broker.store.view import desk, messages

Place = tuple[str, int, int]
"""Partner, outbox partition, outbox offset."""


class Tables:
    """What the database would hold."""

    def __init__(self) -> None:
        self.lanes: Final[dict[tuple[str, str], ParkedLane]] = {}
        self.parked: Final[dict[Place, ParkedMessage]] = {}
        self.awaiting: Final[dict[tuple[str, str, str], Awaited]] = {}
        self.marks: Final[dict[tuple[str, int], dict[int, int]]] = {}
        self.attempts: Final[dict[tuple[object, ...], AttemptRow]] = {}
        self.ended: Final[set[tuple[str, str]]] = set()
        """Messages of whom the view has a receipt."""
        self.dossiers: Final[dict[tuple[str, str], tuple[bool, int]]] = {}
        """Whether it is closed, and how often its message has failed."""
        self.blocked: Final[dict[tuple[str, str, str], BlockedMessage]] = {}
        self.notes: Final[dict[tuple[str, int], tuple[str, ...]]] = {}

    def held(self) -> set[tuple[str, Place]]:
        """The places that rows of delivery vouch for."""
        found = {("parked", place) for place in self.parked}
        found.update(
            ("awaiting", (row.partner, row.outbox_partition, row.outbox_offset))
            for row in self.awaiting.values()
        )
        found.update(
            ("blocked", (partner, row.outbox_partition, row.outbox_offset))
            for (partner, _, _), row in self.blocked.items()
        )
        return found


# parked


def _park(tables: Tables, partner: PartnerId, lane: ParkedLane, rows: Sequence[ParkedMessage]) -> None:
    known = tables.lanes.get((partner, lane.case))
    parked_at = lane.parked_at if known is None else known.parked_at
    tables.lanes[partner, lane.case] = replace(lane, parked_at=parked_at)
    _insert(tables, partner, rows)


def _append(tables: Tables, partner: PartnerId, rows: Sequence[ParkedMessage], now_ms: int) -> None:
    for case in dict.fromkeys(row.case for row in rows):
        fresh = ParkedLane(
            case=case, parked_at=now_ms, attempts=0, next_at=now_ms, reason="behind others of its case"
        )
        tables.lanes.setdefault((partner, case), fresh)
    _insert(tables, partner, rows)


def _insert(tables: Tables, partner: PartnerId, rows: Sequence[ParkedMessage]) -> None:
    for row in rows:
        tables.parked.setdefault((partner, row.outbox_partition, row.outbox_offset), row)


def _lanes(tables: Tables, partner: PartnerId, outbox_partition: int) -> list[ParkedLane]:
    here = {
        row.case
        for (owner, partition, _), row in tables.parked.items()
        if owner == partner and partition == outbox_partition
    }
    found = [lane for (owner, case), lane in tables.lanes.items() if owner == partner and case in here]
    return sorted(found, key=lambda lane: lane.next_at)


def _postpone(tables: Tables, partner: PartnerId, times: Collection[tuple[str, int]]) -> None:
    for case, next_at in times:
        lane = tables.lanes.get((partner, case))
        if lane is not None:
            tables.lanes[partner, case] = replace(lane, next_at=next_at)


def _messages(
    tables: Tables, partner: PartnerId, case: CaseId, limit: int = 1000, after: int = -1
) -> list[ParkedMessage]:
    found = [
        row
        for (owner, _, offset), row in tables.parked.items()
        if owner == partner and row.case == case and offset > after
    ]
    return sorted(found, key=lambda row: (row.outbox_partition, row.outbox_offset))[:limit]


def _parked_held(tables: Tables, partner: PartnerId, partition: int) -> list[ParkedMessage]:
    found = []
    for (owner, where, offset), row in tables.parked.items():
        holding = tables.blocked.get((partner, row.source, row.id))
        if (owner, where) == (partner, partition) and holding and holding.outbox_offset == offset:
            found.append(row)
    return sorted(found, key=lambda row: row.outbox_offset)


def _settle(tables: Tables, partner: PartnerId, case: CaseId, places: Collection[tuple[int, int]]) -> bool:
    for partition, offset in places:
        tables.parked.pop((partner, partition, offset), None)
    if any(owner == partner and row.case == case for (owner, _, _), row in tables.parked.items()):
        lane = tables.lanes.get((partner, case))
        if lane is not None:
            tables.lanes[partner, case] = replace(lane, attempts=0)
        return False
    tables.lanes.pop((partner, case), None)
    return True


def _parked_known(tables: Tables, partner: PartnerId, partition: int, offsets: Collection[int]) -> set[int]:
    return {offset for offset in offsets if (partner, partition, offset) in tables.parked}


# awaiting


def _await(tables: Tables, items: Sequence[Awaited]) -> None:
    for item in items:
        tables.awaiting[item.partner, item.source, item.id] = item


def _due(tables: Tables, now_ms: int, limit: int, partners: Collection[PartnerId]) -> list[Awaited]:
    found = [item for item in tables.awaiting.values() if item.due_at <= now_ms and item.partner in partners]
    return sorted(found, key=lambda item: (item.due_at, item.outbox_offset))[:limit]


def _awaiting_known(tables: Tables, partner: PartnerId, partition: int, offsets: Collection[int]) -> set[int]:
    return {
        item.outbox_offset
        for item in tables.awaiting.values()
        if item.partner == partner and item.outbox_partition == partition and item.outbox_offset in offsets
    }


def _find(tables: Tables, partner: PartnerId, names: Collection[Name]) -> list[Awaited]:
    return [
        item for source, name in names if (item := tables.awaiting.get((partner, source, name))) is not None
    ]


def _remove(tables: Tables, partner: PartnerId, names: Collection[Name]) -> int:
    gone = [tables.awaiting.pop((partner, source, name), None) for source, name in names]
    return sum(each is not None for each in gone)


# the rest


def _read_marks(tables: Tables, topic: str, partition: int) -> dict[int, int]:
    return dict(tables.marks.get((topic, partition), {}))


def _write_marks(tables: Tables, found: Mapping[TopicPartition, marks.Marks]) -> None:
    for place, each in found.items():
        known = tables.marks.setdefault((place.topic, place.partition), {})
        for partition, offset in each.items():
            known[partition] = max(offset, known.get(partition, -1))


def _settled(tables: Tables, of: Collection[Name]) -> set[Name]:
    return {(Party(a), MessageId(b)) for a, b in of if (a, b) in tables.ended}


def _backlogs(tables: Tables) -> list[messages.Backlog]:
    return []


def _redrives_settled(tables: Tables, redriven: Collection[tuple[Name, int]]) -> set[tuple[Name, int]]:
    found: set[tuple[Name, int]] = set()
    for name, number in redriven:
        closed, failures = tables.dossiers.get(name, (False, -1))
        if closed or number < failures:
            found.add((name, number))
    return found


def _put_attempts(tables: Tables, rows: Sequence[AttemptRow]) -> None:
    for row in rows:
        tables.attempts[row.partner, row.source, row.id, row.redrive, row.attempt] = row


def _so_far(
    tables: Tables, partner: PartnerId, wanted: Collection[Name]
) -> Mapping[tuple[Party, MessageId, int], tuple[int, int]]:
    found: dict[tuple[Party, MessageId, int], tuple[int, int]] = {}
    for row in tables.attempts.values():
        if row.partner == partner and (row.source, row.id) in wanted:
            key = (row.source, row.id, row.redrive)
            most, counted = found.get(key, (0, 0))
            counts = row.result == attempts.COUNTED and row.next_at is not None
            found[key] = max(most, row.attempt), counted + counts
    return found


def _block(tables: Tables, partner: PartnerId, rows: Sequence[BlockedMessage]) -> None:
    for row in rows:
        tables.blocked[partner, row.source, row.id] = row


def _release(tables: Tables, releases: Collection[Release]) -> None:
    for each in releases:
        row = tables.blocked.get((each.partner, each.source, each.id))
        if row is not None and row.outbox_offset < each.outbox_offset:
            del tables.blocked[each.partner, each.source, each.id]


def _read_blocked(tables: Tables, partner: PartnerId, outbox_partition: int) -> list[BlockedMessage]:
    found = [
        row
        for (owner, _, _), row in tables.blocked.items()
        if owner == partner and row.outbox_partition == outbox_partition
    ]
    return sorted(found, key=lambda row: row.outbox_offset)


def _read_notes(tables: Tables, topic: str, partition: int) -> frozenset[str]:
    return frozenset(tables.notes.get((topic, partition), ()))


def _write_notes(tables: Tables, notes: Mapping[TopicPartition, tuple[int, Sequence[str]]]) -> None:
    for place, (_, digests) in notes.items():
        tables.notes[place.topic, place.partition] = tuple(digests)


def _nothing(tables: Tables, *_: object) -> None:
    """What is for people only, and never read by delivery."""


def _mailbox_known(tables: Tables, partner: PartnerId, partition: int, offsets: Collection[int]) -> set[int]:
    return set()


DOUBLES: Final[list[tuple[ModuleType, str, Callable[..., Any]]]] = [
    (parked, "park", _park),
    (parked, "append", _append),
    (parked, "postpone", _postpone),
    (parked, "lanes", _lanes),
    (parked, "messages", _messages),
    (parked, "held", _parked_held),
    (parked, "settle", _settle),
    (parked, "known", _parked_known),
    (awaiting, "put", _await),
    (awaiting, "due", _due),
    (awaiting, "known", _awaiting_known),
    (awaiting, "find", _find),
    (awaiting, "remove", _remove),
    (marks, "read", _read_marks),
    (marks, "write", _write_marks),
    (messages, "settled", _settled),
    (desk, "settled", _redrives_settled),
    (messages, "backlogs", _backlogs),
    (attempts, "put", _put_attempts),
    (attempts, "so_far", _so_far),
    (blocked, "put", _block),
    (blocked, "release", _release),
    (blocked, "read", _read_blocked),
    (commit_notes, "read", _read_notes),
    (commit_notes, "write", _write_notes),
    (line_status, "put", _nothing),
    (line_status, "remove", _nothing),
    (mailbox, "known", _mailbox_known),
]


def _either(real: Callable[..., Any], double: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(real)
    def chosen(connection: object, *args: Any, **kwargs: Any) -> Any:
        return (double if type(connection) is Tables else real)(connection, *args, **kwargs)

    return chosen


_CHOICES: Final = [
    (module, name, getattr(module, name), _either(getattr(module, name), double))
    for module, name, double in DOUBLES
]


@contextmanager
def doubled() -> Iterator[None]:
    """While open, the store's functions take :class:`Tables` too."""
    for module, name, _, chosen in _CHOICES:
        setattr(module, name, chosen)
    try:
        yield
    finally:
        for module, name, real, _ in _CHOICES:
            setattr(module, name, real)
