"""From the group's reader to the lines: repeats dropped, keys fetched, what is settled already passed over."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

from broker.core.ids import BROKER, CaseId, MessageId, Party
from broker.core.message import BadRecord, Message, from_record
from broker.core.records import Record, TopicPartition
from broker.delivery.held import Held
from broker.delivery.line import PartnerLine
from broker.delivery.parking import Parking
from broker.delivery.ports import Opening, Reader, Rows
from broker.delivery.pressure import Pressure
from broker.delivery.settlement import Settlement
from broker.delivery.tenure import Entry, Tenure
from broker.errors import Unreachable
from broker.store import awaiting, mailbox, marks, messages, parked
from broker.telemetry import REPEATED

_CATCH_UP_MS: Final = 5_000
"""Clocks of this machine and of the log may differ by this much when it is asked what was there before."""

Read = Sequence[tuple[Record, Message | BadRecord]]


class Reading:
    """Takes what was polled. Everything that may wait comes first; then each batch is handed over at once."""

    def __init__(
        self,
        *,
        held: Held,
        store: Rows,
        papers: Opening,
        settlement: Settlement,
        parking: Parking,
        pressure: Pressure,
    ) -> None:
        self._held = held
        self._store = store
        self._papers = papers
        self._settlement = settlement
        self._parking = parking
        self._pressure = pressure

    async def prepare(self, reader: Reader) -> None:
        """Tell every fresh tenure where it begins and what was seen before it. Raises Unreachable."""
        fresh = [tenure for tenure in self._held.tenures.values() if not tenure.prepared]
        if not fresh:
            return
        committed = await reader.committed([tenure.place for tenure in fresh])
        for tenure in fresh:
            line = self._held.line_of(tenure)
            if line is None:
                continue
            stored = await self._store.read(marks.read, *tenure.place)
            await self._parking.load(line, tenure)
            if not self._held.is_current(tenure):
                continue
            commit = committed.get(tenure.place)
            tenure.prepare(commit.offset if commit is not None else 0, stored)
            reader.resume([tenure.place])
            if commit is not None or tenure.again:
                reader.seek(tenure.place, tenure.next)

    async def take(self, reader: Reader, polled: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Hand records to their lines. Raises Unreachable; they are then read again."""
        # A rebalance may come at every await: only the tenure that read a record may have it.
        tenures = {place: tenure for place in polled if (tenure := self._held.tenures.get(place)) is not None}
        read = {place: _read(polled[place]) for place in tenures}
        try:
            keys = await self._papers.keys(_cases(read.values()))
            settled = {place: await self._settled(tenures[place], each) for place, each in read.items()}
        except Unreachable:
            for tenure in tenures.values():
                self._go_back(reader, tenure, polled)
            raise
        for place, tenure in tenures.items():
            line = self._held.line_of(tenure)
            if tenure.closing or not tenure.alive:
                continue  # its next holder begins at what is committed
            if line is None or not tenure.prepared:
                self._go_back(reader, tenure, polled)
                continue
            self._hand_over(line, tenure, read[place], settled[place], keys)
            self._pressure.weigh(reader, line, tenure)

    def _go_back(
        self, reader: Reader, tenure: Tenure, polled: Mapping[TopicPartition, Sequence[Record]]
    ) -> None:
        if self._held.is_current(tenure):
            reader.seek(tenure.place, polled[tenure.place][0].position.offset)

    def _hand_over(
        self,
        line: PartnerLine,
        tenure: Tenure,
        read: Read,
        settled: Collection[int],
        keys: Mapping[CaseId, bytes],
    ) -> None:
        for record, message in read:
            offset = record.position.offset
            if offset < tenure.next:
                continue  # read twice within one assignment
            if isinstance(message, BadRecord):
                tenure.begin(record, None)
                done = partial(_finish, tenure, offset)
                self._settlement.unreadable(record, tenure.partner, str(message), done)
                continue
            if not tenure.begin(record, message.source_position) or offset in settled:
                tenure.finish(offset)
                REPEATED.labels(stage="delivery").inc()
                continue
            entry = Entry(record, message, tenure, keys.get(message.case))
            tenure.enter(entry)
            if not line.add(entry):
                self._parking.append(tenure, entry)

    async def _settled(self, tenure: Tenure, read: Read) -> set[int]:
        """Which of the records that were there at assignment are settled, parked, held or awaited already."""
        before = tenure.assigned_ms + _CATCH_UP_MS
        offsets: dict[tuple[Party, MessageId], int] = {}
        for record, message in read:
            if isinstance(message, Message) and record.timestamp_ms <= before:
                offsets[message.source, message.id] = record.position.offset
        if not offsets:
            return set()
        known = await self._store.read(messages.settled, list(offsets))
        found = {offsets[name] for name in known}
        where = (tenure.partner, tenure.place.partition, list(offsets.values()))
        for rows in (parked.known, mailbox.known, awaiting.known):
            found |= await self._store.read(rows, *where)
        return found


def _read(records: Sequence[Record]) -> Read:
    read: list[tuple[Record, Message | BadRecord]] = []
    for record in records:
        try:
            read.append((record, from_record(record)))
        except BadRecord as bad:
            read.append((record, bad))
    return read


def _cases(batches: Collection[Read]) -> set[CaseId]:
    return {
        message.case
        for batch in batches
        for _, message in batch
        if isinstance(message, Message) and message.source != BROKER
    }


def _finish(tenure: Tenure, offset: int) -> None:
    if tenure.alive:
        tenure.finish(offset)
