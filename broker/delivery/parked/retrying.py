"""One parked lane at work, when it is due: a message at a time, in order.

Receipt first, then its row is taken out. A kill in between repeats one message under the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, assert_never

from sqlalchemy import Connection

from broker.core.ids import CaseId
from broker.core.message import BadRecord, from_record
from broker.delivery.assigned.parked_cases import ParkedCase
from broker.delivery.assigned.tenure import Entry, Tenure
from broker.delivery.ending.receipts import Ending, is_receipted
from broker.delivery.ending.settlement import Settlement, awaited
from broker.delivery.lines.line import PartnerLine
from broker.delivery.parked.desk import Desk
from broker.delivery.ports import Clock, Opening, Rows
from broker.errors import Unreachable
from broker.store.delivering import awaiting, frames, parked
from broker.store.delivering.parked import ParkedLane, ParkedMessage
from broker.telemetry import PARKED, get_log
from connectors.base import Closed, Deferred, Delivered, Held, Misconfigured, Refused, Taken

_LOG: Final = get_log("delivery")
_PAGE: Final = 100
_LATER_MS: Final = 5_000
_AGAIN_MS: Final = 500
_APPENDING_S: Final = 0.05
_Answer = Delivered | Taken | Held | Refused | Misconfigured | Closed | Ending


class Retrying:
    """Tries parked lanes again."""

    def __init__(
        self,
        *,
        store: Rows,
        papers: Opening,
        settlement: Settlement,
        desk: Desk,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        self._store = store
        self._papers = papers
        self._settlement = settlement
        self._desk = desk
        self._clock = clock
        self._draw = draw

    async def retry(self, line: PartnerLine, tenure: Tenure, case: CaseId, place: ParkedCase) -> None:
        """Work on a lane that is due, until it is empty or has to wait again."""
        tenure.busy += 1
        again_ms = self._now_ms() + _AGAIN_MS  # the circuit has opened meanwhile: once it flows again
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
            again_ms = self._now_ms() + _LATER_MS
        finally:
            place.busy = False
            tenure.busy -= 1
            if tenure.alive and tenure.parked.get(case) is place:
                tenure.parked.postpone(case, max(place.due_ms, again_ms))

    async def _retry_one(
        self, line: PartnerLine, tenure: Tenure, place: ParkedCase, row: ParkedMessage, key: bytes | None
    ) -> bool:
        """True when this message is settled and the next one's turn has come. Raises Unreachable."""
        record = frames.unpack(row.record)
        try:
            message = from_record(record)
        except BadRecord:  # it was readable when it was parked
            return False
        entry = Entry(record, message, tenure, key)
        if not message.redrive and message.case in tenure.blocked and is_receipted(message):
            await self._go_along(line, place, entry)  # a kill came while the lane went to the desk
            return True
        schedule = line.schedules.of(message.item)
        if place.attempts and schedule.next_after(place.attempts, 0.0) is None:  # it has no parked part
            await self._give_up(line, tenure, row.case, place)
            return False
        entry.attempts = entry.counted = place.attempts
        answer = await line.attempt(entry)
        if not tenure.alive or answer is None:
            return False
        if isinstance(answer, Deferred):
            if not tenure.closing:
                await self._postpone(line, place, entry, answer)
            return False
        return await self._settle(line, place, entry, answer)

    async def _settle(self, line: PartnerLine, place: ParkedCase, entry: Entry, answer: _Answer) -> bool:
        """True when the answer ends this message's stay here."""
        tenure = entry.tenure
        owed: awaiting.Awaited | None = None
        match answer:
            case Misconfigured(reason=reason) | Closed(reason=reason):
                self._settlement.failed(entry, tenure.partner, "misconfigured", reason)
                return False
            case Taken(within_s=within_s):
                owed = awaited(entry, tenure.partner, due_s=self._clock.now_s() + within_s)
            case Held():
                pass
            case Delivered() | Refused():
                ending = line.sender.ending(entry, answer)
                await self._settlement.ended(entry, tenure.partner, line.sender.kind, ending)
            case Ending():
                await self._settlement.ended(entry, tenure.partner, line.sender.kind, answer)
            case _:
                assert_never(answer)
        position = entry.record.position

        def settle(connection: Connection) -> None:
            if owed is not None:
                awaiting.put(connection, [owed])
            where = [(position.partition, position.offset)]
            parked.settle(connection, tenure.partner, entry.message.case, where)

        place.attempts = 0
        await self._settlement.stored(tenure, settle)
        return True

    async def _go_along(self, line: PartnerLine, place: ParkedCase, entry: Entry) -> None:
        place.ending = True
        try:
            await self._desk.give_up(line, place, [entry], reason="")
        finally:
            place.ending = False

    async def _postpone(self, line: PartnerLine, place: ParkedCase, entry: Entry, answer: Deferred) -> None:
        tenure, case, now_ms = entry.tenure, entry.message.case, self._now_ms()
        place.attempts += 1
        place.reason = answer.reason
        schedule = line.schedules.of(entry.message.item)
        wait_s = schedule.next_after(place.attempts, self._draw(), answer.retry_after_s)
        if wait_s is None:
            self._settlement.failed(entry, tenure.partner, "deferred", answer.reason)
            await self._give_up(line, tenure, case, place)
            return
        place.due_ms = line.later_ms(now_ms, wait_s)
        self._settlement.failed(entry, tenure.partner, "deferred", answer.reason, place.due_ms)
        lane = ParkedLane(
            case=case,
            parked_at=now_ms,
            attempts=place.attempts,
            next_at=place.due_ms,
            reason=answer.reason[:500],
        )
        await self._settlement.stored(
            tenure, lambda connection: parked.park(connection, tenure.partner, lane, [])
        )

    async def _give_up(self, line: PartnerLine, tenure: Tenure, case: CaseId, place: ParkedCase) -> None:
        """The whole lane goes to the desk, in order, and with it what comes behind meanwhile."""
        try:
            start = -1
            while tenure.alive:
                rows = await self._store.read(parked.messages, tenure.partner, case, _PAGE, start)
                if rows:
                    start = rows[-1].outbox_offset
                    entries = [_entry(row, tenure) for row in rows]
                    await self._desk.give_up(line, place, entries, reason=place.reason)
                elif place.appending:
                    await asyncio.sleep(_APPENDING_S)
                else:
                    break
        finally:
            place.ending = False
        if tenure.alive and not await self._ended(line, tenure, case, place):
            place.due_ms = self._now_ms()  # receipts are left, each with a schedule of its own

    async def _ended(self, line: PartnerLine, tenure: Tenure, case: CaseId, place: ParkedCase) -> bool:
        """Nothing is stored of the lane any more: it lives in memory again, unless records are on their way."""
        gone = await self._settlement.stored(
            tenure, lambda connection: parked.settle(connection, tenure.partner, case, [])
        )
        if not gone or place.appending or not works(tenure):
            await asyncio.sleep(_APPENDING_S)
            return False
        tenure.parked.remove(case)
        line.lanes.release(case)
        PARKED.labels(partner=line.partner.id).set(line.lanes.parked)
        _LOG.info("lane_released", partner=tenure.partner, case_id=case)
        return True

    def _now_ms(self) -> int:
        return round(self._clock.now_s() * 1000)


def works(tenure: Tenure) -> bool:
    """Whether what is begun for this tenure still counts."""
    return tenure.alive and not tenure.closing


def _entry(row: ParkedMessage, tenure: Tenure) -> Entry:
    record = frames.unpack(row.record)
    return Entry(record, from_record(record), tenure, None)
