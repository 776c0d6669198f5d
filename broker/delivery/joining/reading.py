"""From the group's reader to the lines: repeats dropped, keys fetched, what is settled already passed over."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from broker.core.ids import BROKER, CaseId
from broker.core.message import BadRecord, Message, from_record
from broker.core.records import Record, TopicPartition
from broker.delivery.assigned.blocking import releases_only
from broker.delivery.assigned.tenure import Entry, Tenure
from broker.delivery.ending.receipts import is_receipted
from broker.delivery.ending.settlement import Settlement
from broker.delivery.joining.before import NOTHING, Before, Read, look_back
from broker.delivery.joining.pressure import Pressure
from broker.delivery.joining.recall import Recall
from broker.delivery.lines.held import Held
from broker.delivery.lines.line import PartnerLine
from broker.delivery.parked.desk import Desk
from broker.delivery.parked.parking import Parking
from broker.delivery.ports import Opening, Reader, Rows
from broker.errors import Unreachable
from broker.telemetry import REPEATED


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
        desk: Desk,
        pressure: Pressure,
        recall: Recall,
    ) -> None:
        self._held = held
        self._store = store
        self._papers = papers
        self._settlement = settlement
        self._parking = parking
        self._desk = desk
        self._pressure = pressure
        self._recall = recall

    async def prepare(self, reader: Reader) -> None:
        """Tell every fresh tenure where it begins and what was seen before it. Raises Unreachable."""
        fresh = [tenure for tenure in self._held.tenures.values() if not tenure.prepared]
        if not fresh:
            return
        commits, ends = await self._recall.commits(reader, [tenure.place for tenure in fresh])
        for tenure in fresh:
            line, place = self._held.line_of(tenure), tenure.place
            if line is None:
                continue
            found = await self._recall.recall(place, commits.get(place), ends[place])
            await self._parking.load(line, tenure)
            if not self._held.is_current(tenure):
                continue
            found.tell(place)
            tenure.prepare(found.offset, found.marks, found.known, found.digest, there=found.end)
            reader.resume([place])
            if found.committed or tenure.again:
                reader.seek(place, tenure.next)

    async def take(self, reader: Reader, polled: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Hand records to their lines. Raises Unreachable; they are then read again."""
        # A rebalance may come at every await: only the tenure that read a record may have it.
        tenures = {place: tenure for place in polled if (tenure := self._held.tenures.get(place)) is not None}
        read = {place: _read(polled[place]) for place in tenures}
        await asyncio.sleep(0)  # answers that came meanwhile go first: a busy case must not wait for a poll
        try:
            keys = await self._papers.keys(_cases(read.values()))
            before = await look_back(self._store, tenures, read)
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
            self._hand_over(line, tenure, read[place], before.get(place, NOTHING), keys)
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
        before: Before,
        keys: Mapping[CaseId, bytes],
    ) -> None:
        for record, message in read:
            offset = record.position.offset
            if offset < tenure.next:
                continue  # read twice within one assignment
            if isinstance(message, BadRecord):
                tenure.begin(record, None)
                if tenure.was_finished(offset):
                    tenure.finish(offset)
                    continue
                done = partial(_finish, tenure, offset)
                self._settlement.unreadable(record, tenure, str(message), done)
                continue
            rises = tenure.begin(record, message.source_position)
            if rises and tenure.blocked:
                _release(tenure, message, offset)
            if not rises or tenure.was_finished(offset) or offset in before.settled:
                tenure.finish(offset)
                REPEATED.labels(stage="delivery").inc()
                continue
            if releases_only(message, tenure.partner):
                tenure.finish(offset)
                continue
            entry = Entry(record, message, tenure, keys.get(message.case))
            if before.made:
                made = before.made.get((message.source, message.id, message.redrive))
                entry.attempts, entry.counted = made or (0, 0)
            tenure.enter(entry)
            if tenure.blocked and self._stays_behind(line, entry):
                continue
            if not line.add(entry):
                self._parking.append(tenure, entry)

    def _stays_behind(self, line: PartnerLine, entry: Entry) -> bool:
        """Whether a message of a case that is on the desk goes there too, or is there already."""
        tenure, message, offset = entry.tenure, entry.message, entry.record.position.offset
        if message.case not in tenure.blocked:
            return False
        if tenure.blocked.on_desk(message.case, message.name, offset):
            self._desk.behind(line, entry)  # a kill came: it may not have been told
            return True
        if message.redrive or not is_receipted(message):
            return False  # a receipt opens no dossier: on the desk nobody could ever bring it home
        self._desk.behind(line, entry)
        return True


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


def _release(tenure: Tenure, message: Message, offset: int) -> None:
    """A redriven message, or word of one returned or skipped: it holds its case back no longer."""
    name = message.name if message.redrive else message.correlation
    if name is None or not (message.redrive or releases_only(message, tenure.partner)):
        return
    released = tenure.blocked.release(message.case, name, tenure.partner, offset)
    if released is not None:
        tenure.unblocked.append(released)


def _finish(tenure: Tenure, offset: int) -> None:
    if tenure.alive:
        tenure.finish(offset)
