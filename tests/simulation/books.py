"""What checkers keep of a history as they read it: which offsets are finished, whose a partition is."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from typing import Final

from broker.core.records import TopicPartition
from tests.simulation.history import Event

ENDINGS: Final = {
    "receipt.delivered",
    "receipt.rejected",
    "receipt.expired",
    "notice.undeliverable",
}
BROKER_SAYS: Final = "tongban/"
"""How names of what the broker itself says begin."""


class Books:
    """Which offset needs nothing more, by durable facts alone."""

    def __init__(self) -> None:
        self.committed: dict[TopicPartition, int] = {}
        self.ends: Counter[TopicPartition] = Counter()
        self._records: dict[tuple[TopicPartition, int], tuple[int, Event]] = {}
        self._firsts: dict[tuple[TopicPartition, str], tuple[TopicPartition, int]] = {}
        self._told: dict[str, list[int]] = defaultdict(list)
        self._effects: set[str] = set()
        self._desk: set[tuple[TopicPartition, int]] = set()
        self._rows: set[str] = set()
        self._index = 0

    def see(self, event: Event) -> None:
        self._index += 1
        match event.what:
            case "outbox" if event.place is not None:
                self.ends[event.place] = max(self.ends[event.place], event.offset + 1)
                self._records[event.place, event.offset] = self._index, event
                if event.proof:
                    self._firsts.setdefault((event.place, event.proof), (event.place, event.offset))
            case "ledger" if event.detail in ENDINGS:
                self._told[event.name].append(self._index)
            case "effect":
                self._effects.add(event.name)
            case "desk" if event.place is not None:
                self._desk.add((event.place, event.offset))
            case "stored":
                self._rows.add(row_of(event))
            case _:
                pass

    def is_finished(self, place: TopicPartition, offset: int) -> bool:
        index, record = self._records[place, offset]
        if record.proof and self._firsts[place, record.proof] != (place, offset):
            return True  # a repeat needs nothing: its first stands below it, and is judged by itself
        if record.detail == "control" or (place, offset) in self._desk:
            return True
        if f"{place.topic.rpartition('.')[2]} {place.partition} {offset}" in self._rows:
            return True
        if record.name.startswith(BROKER_SAYS):
            return record.name in self._effects
        told = self._told.get(record.name, [])
        return bisect_left(told, index) < len(told)


class Owners:
    """Which process the group has given a partition to."""

    def __init__(self) -> None:
        self.owners: dict[TopicPartition, str] = {}

    def see(self, event: Event) -> None:
        if event.what == "owner" and event.place is not None:
            self.owners[event.place] = event.who.rpartition("-")[0]

    def is_zombie(self, event: Event) -> bool:
        return event.place is not None and self.owners.get(event.place, event.who) != event.who


def row_of(event: Event) -> str:
    return f"{event.partner} {event.number} {event.offset}"
