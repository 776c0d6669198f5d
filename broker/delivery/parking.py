"""Parked lanes: put into the store, tried again when due, in order.

A parked lane is worked on by the one tenure that holds its partition, one message at a time: receipt first,
then its row is taken out. A kill in between repeats one message under the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection

from broker.core.ids import CaseId
from broker.core.message import BadRecord, from_record
from broker.core.records import TopicPartition
from broker.delivery.chores import Chores
from broker.delivery.line import PartnerLine
from broker.delivery.ports import Clock, Opening, Rows
from broker.delivery.receipts import Ending
from broker.delivery.settlement import Settlement, awaited
from broker.delivery.tenure import Entry, ParkedCase, Tenure
from broker.errors import Unreachable
from broker.store import awaiting, frames, parked
from broker.store.parked import ParkedLane, ParkedMessage
from broker.telemetry import PARKED, get_log
from connectors.base import Closed, Deferred, Delivered, Held, Misconfigured, Refused, Taken

_LOG: Final = get_log("delivery")
_PAGE: Final = 100
_LATER_MS: Final = 5_000
_APPENDING_S: Final = 0.05


class Parking:
    """The parked lanes of the tenures that this worker holds."""

    def __init__(
        self, *, store: Rows, papers: Opening, settlement: Settlement, clock: Clock, draw: Callable[[], float]
    ) -> None:
        self._store = store
        self._papers = papers
        self._settlement = settlement
        self._clock = clock
        self._draw = draw
        self._chores = Chores()

    async def load(self, line: PartnerLine, tenure: Tenure) -> None:
        """Take up what is parked of a partition just assigned; no clock starts again. Raises Unreachable."""
        found = await self._store.read(parked.lanes, tenure.partner, tenure.place.partition)
        for lane in found:
            line.lanes.park(lane.case)
            tenure.parked[lane.case] = ParkedCase(due_ms=lane.next_at, attempts=lane.attempts)
        self._measure(line)

    def park(
        self, line: PartnerLine, entry: Entry, behind: Sequence[Entry], wait_s: float, reason: str
    ) -> None:
        """Put a lane into the store; its offsets are finished once it is there."""
        tenure, case = entry.tenure, entry.message.case
        now_ms = self._now_ms()
        due_ms = now_ms + round(wait_s * 1000)
        place = ParkedCase(due_ms=due_ms, attempts=entry.counted)
        place.busy = True  # until it is stored
        tenure.parked[case] = place
        lane = ParkedLane(
            case=case, parked_at=now_ms, attempts=entry.counted, next_at=due_ms, reason=reason[:500]
        )
        entries = (entry, *behind)

        def work(connection: Connection) -> None:
            parked.park(connection, tenure.partner, lane, [_stored(each) for each in entries])

        self._settlement.rows.add((work, partial(self._is_parked, line, place, entries)))
        _LOG.warning(
            "lane_parked",
            partner=tenure.partner,
            case_id=case,
            message_id=entry.message.name,
            attempt=entry.attempts,
            messages=len(entries),
            reason=reason,
        )

    def append(self, tenure: Tenure, entry: Entry) -> None:
        """Put a record behind its parked lane."""
        place = tenure.parked[entry.message.case]
        place.appending += 1
        tenure.busy += 1
        row = _stored(entry)

        def work(connection: Connection) -> None:
            parked.append(connection, tenure.partner, [row], self._now_ms())

        def done() -> None:
            place.appending -= 1
            _finished((entry,))

        self._settlement.rows.add((work, done))

    def tick(self, held: Mapping[TopicPartition, tuple[PartnerLine, Tenure]]) -> None:
        """Start on the parked lanes that are due and whose partner is in health."""
        now_ms = self._now_ms()
        for line, tenure in held.values():
            if not line.health.flows() or tenure.closing:
                continue
            for case, place in tenure.parked.items():
                if place.due_ms <= now_ms and not place.busy:
                    place.busy = True
                    self._chores.start(self._retry(line, tenure, case, place))

    async def close(self) -> None:
        await self._chores.close()

    # one parked lane

    async def _retry(self, line: PartnerLine, tenure: Tenure, case: CaseId, place: ParkedCase) -> None:
        tenure.busy += 1
        try:
            while works(tenure):
                stored = await self._store.read(parked.messages, tenure.partner, case, _PAGE)
                keys = await self._papers.keys([case])
                for row in stored:
                    if not await self._retry_one(line, tenure, place, row, keys.get(case)):
                        return
                if not stored and await self._ended(line, tenure, case, place):
                    return
        except Unreachable:
            place.due_ms = self._now_ms() + _LATER_MS
        finally:
            place.busy = False
            tenure.busy -= 1

    async def _retry_one(
        self, line: PartnerLine, tenure: Tenure, place: ParkedCase, row: ParkedMessage, key: bytes | None
    ) -> bool:
        """True when this message is settled and the next one's turn has come."""
        record = frames.unpack(row.record)
        try:
            message = from_record(record)
        except BadRecord:  # it was readable when it was parked
            return False
        entry = Entry(record, message, tenure, key)
        entry.attempts = entry.counted = place.attempts
        answer = await line.attempt(entry)
        if not works(tenure):
            return False
        match answer:
            case None | Misconfigured() | Closed():
                return False
            case Deferred(reason=reason, retry_after_s=retry_after_s):
                self._settlement.failed(entry, tenure.partner, "deferred", reason)
                await self._postpone(line, tenure, place, entry, reason, retry_after_s)
                return False
            case Taken(within_s=within_s):
                due_s = self._clock.now_s() + within_s
                await self._store.call_durably(awaiting.put, [awaited(entry, tenure.partner, due_s=due_s)])
            case Held():
                pass
            case Delivered() | Refused():
                await self._settlement.ended(
                    entry, tenure.partner, line.sender.kind, line.sender.ending(entry, answer)
                )
            case Ending() as ending:
                await self._settlement.ended(entry, tenure.partner, line.sender.kind, ending)
        place.attempts = 0
        await self._store.call_durably(
            parked.settle, tenure.partner, row.case, [(row.outbox_partition, row.outbox_offset)]
        )
        return True

    async def _postpone(
        self,
        line: PartnerLine,
        tenure: Tenure,
        place: ParkedCase,
        entry: Entry,
        reason: str,
        retry_after_s: float | None,
    ) -> None:
        place.attempts += 1
        wait_s = line.schedule.next_after(place.attempts, self._draw(), retry_after_s)
        case = entry.message.case
        if wait_s is None:
            await self._give_up(line, tenure, case, place, reason)
            return
        place.due_ms = self._now_ms() + round(wait_s * 1000)
        lane = ParkedLane(
            case=case,
            parked_at=self._now_ms(),
            attempts=place.attempts,
            next_at=place.due_ms,
            reason=reason[:500],
        )
        await self._store.call_durably(parked.park, tenure.partner, lane, [])

    async def _give_up(
        self, line: PartnerLine, tenure: Tenure, case: CaseId, place: ParkedCase, reason: str
    ) -> None:
        """The schedule is used up: the whole lane goes to the desk, in order."""
        detail = f"the schedule is used up: {reason}"
        while works(tenure):
            rows = await self._store.read(parked.messages, tenure.partner, case, _PAGE)
            entries = [_entry(row, tenure) for row in rows]
            for index, entry in enumerate(entries):
                entry.attempts = place.attempts if index == 0 else 0
            place.attempts = 0
            await asyncio.gather(
                *(
                    self._settlement.ended(
                        entry,
                        tenure.partner,
                        line.sender.kind,
                        line.sender.undeliverable(entry, "schedule-used-up", detail),
                    )
                    for entry in entries
                )
            )
            places = [(row.outbox_partition, row.outbox_offset) for row in rows]
            await self._store.call_durably(parked.settle, tenure.partner, case, places)
            if not rows and await self._ended(line, tenure, case, place):
                return

    async def _ended(self, line: PartnerLine, tenure: Tenure, case: CaseId, place: ParkedCase) -> bool:
        """Nothing is stored of the lane any more: it lives in memory again, unless records are on their way."""
        gone = await self._store.call_durably(parked.settle, tenure.partner, case, [])
        if not gone or place.appending or not works(tenure):
            await asyncio.sleep(_APPENDING_S)
            return False
        del tenure.parked[case]
        line.lanes.release(case)
        self._measure(line)
        _LOG.info("lane_released", partner=tenure.partner, case_id=case)
        return True

    # chores

    def _is_parked(self, line: PartnerLine, place: ParkedCase, entries: Sequence[Entry]) -> None:
        place.busy = False
        _finished(entries)
        self._measure(line)

    def _measure(self, line: PartnerLine) -> None:
        PARKED.labels(partner=line.partner.id).set(line.lanes.parked)

    def _now_ms(self) -> int:
        return round(self._clock.now_s() * 1000)


def works(tenure: Tenure) -> bool:
    """Whether what is done for this tenure still counts."""
    return tenure.alive and not tenure.closing


def _finished(entries: Sequence[Entry]) -> None:
    for entry in entries:
        entry.tenure.busy -= 1
        if entry.tenure.alive:
            entry.tenure.finish(entry.record.position.offset)


def _entry(row: ParkedMessage, tenure: Tenure) -> Entry:
    record = frames.unpack(row.record)
    return Entry(record, from_record(record), tenure, None)


def _stored(entry: Entry) -> ParkedMessage:
    position, message = entry.record.position, entry.message
    return ParkedMessage(
        case=message.case,
        outbox_partition=position.partition,
        outbox_offset=position.offset,
        source=message.source,
        id=message.id,
        record=frames.pack(entry.record),
    )
