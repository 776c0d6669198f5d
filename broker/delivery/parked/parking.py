"""Parked lanes: put into the store, and found again when they are due.

A parked lane is worked on by the one tenure that holds its partition (:mod:`broker.delivery.parked.retrying`). Its
times are in the store: after a restart no clock starts again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection

from broker.core.ids import CaseId
from broker.core.records import TopicPartition
from broker.delivery.assigned.blocking import Blocking
from broker.delivery.assigned.parked_cases import ParkedCase
from broker.delivery.assigned.tenure import Entry, Tenure
from broker.delivery.chores import Chores
from broker.delivery.ending.settlement import Settlement
from broker.delivery.lines.line import PartnerLine
from broker.delivery.parked.desk import Desk
from broker.delivery.parked.retrying import Retrying, works
from broker.delivery.ports import Clock, Rows
from broker.store.delivering import blocked, frames, parked
from broker.store.delivering.parked import ParkedLane, ParkedMessage
from broker.telemetry import PARKED, get_log

_LOG: Final = get_log("delivery")
_MOVED_AT_ONCE: Final = 1000


class Parking:
    """The parked lanes of the tenures that this worker holds."""

    def __init__(
        self, *, store: Rows, retrying: Retrying, desk: Desk, settlement: Settlement, clock: Clock
    ) -> None:
        self._store = store
        self._desk = desk
        self._retrying = retrying
        self._settlement = settlement
        self._clock = clock
        self._chores = Chores()

    async def load(self, line: PartnerLine, tenure: Tenure) -> None:
        """Take up what is parked of a partition just assigned, and what of it is on the desk. Raises Unreachable."""
        where = (tenure.partner, tenure.place.partition)
        tenure.blocked = Blocking(await self._store.read(blocked.read, *where))
        if tenure.blocked:
            lanes = {lane.case: lane for lane in await self._store.read(parked.lanes, *where)}
            await self._desk.complete(line, tenure, lanes)
        for lane in await self._store.read(parked.lanes, *where):
            line.lanes.park(lane.case)
            place = ParkedCase(due_ms=lane.next_at, attempts=lane.attempts, reason=lane.reason)
            tenure.parked.add(lane.case, place)
        _measure(line)

    def park(
        self, line: PartnerLine, entry: Entry, behind: Sequence[Entry], due_ms: int, reason: str
    ) -> None:
        """Put a lane into the store until ``due_ms``; its offsets are finished once it is there."""
        tenure, case = entry.tenure, entry.message.case
        place = ParkedCase(due_ms=due_ms, attempts=entry.counted, reason=reason)
        place.busy = True  # until it is stored
        tenure.parked.add(case, place)
        lane = ParkedLane(
            case=case, parked_at=self._now_ms(), attempts=entry.counted, next_at=due_ms, reason=reason[:500]
        )
        entries = (entry, *behind)

        def work(connection: Connection) -> None:
            parked.park(connection, tenure.partner, lane, [_stored(each) for each in entries])

        self._settlement.store(tenure, work, partial(self._is_parked, line, tenure, place, entries))
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

        self._settlement.store(tenure, work, done)

    def tick(self, held: Mapping[TopicPartition, tuple[PartnerLine, Tenure]]) -> None:
        """Start on the parked lanes that are due and whose partner is in health, as many as it has slots for."""
        now_ms = self._now_ms()
        for line, tenure in held.values():
            if not tenure.parked or tenure.closing or not line.flows():
                continue
            if not line.open_at(now_ms):
                self._wait_for_opening(line, tenure, now_ms)
                continue
            room = line.guests.room
            for case, place in tenure.parked.due(now_ms, room) if room else ():
                self._chores.start(self._work(line, tenure, case, place))

    async def close(self) -> None:
        await self._chores.close()

    async def _work(self, line: PartnerLine, tenure: Tenure, case: CaseId, place: ParkedCase) -> None:
        """One lane, and then the next that is due: a pile of them goes as fast as the partner takes it."""
        while True:
            await self._retrying.retry(line, tenure, case, place)
            now_ms = self._now_ms()
            if not (works(tenure) and line.flows() and line.open_at(now_ms)):
                return
            following = tenure.parked.due(now_ms, 1)
            if not following:
                return
            case, place = following[0]

    def _wait_for_opening(self, line: PartnerLine, tenure: Tenure, now_ms: int) -> None:
        """What became due while nothing could go out waits for the partner's office hours."""
        moved: list[tuple[str, int]] = []
        for case, place in tenure.parked.due(now_ms, _MOVED_AT_ONCE):
            place.busy = False
            due_ms = line.later_ms(now_ms, 0.0)
            tenure.parked.postpone(case, due_ms)
            moved.append((case, due_ms))
        if moved:
            self._settlement.store(
                tenure, lambda connection: parked.postpone(connection, tenure.partner, moved), _nothing
            )

    def _is_parked(
        self, line: PartnerLine, tenure: Tenure, place: ParkedCase, entries: Sequence[Entry]
    ) -> None:
        place.busy = False
        _finished(entries)
        if tenure.alive:
            tenure.parked.postpone(entries[0].message.case, place.due_ms)
        _measure(line)

    def _now_ms(self) -> int:
        return round(self._clock.now_s() * 1000)


def _measure(line: PartnerLine) -> None:
    PARKED.labels(partner=line.partner.id).set(line.lanes.parked)


def _finished(entries: Sequence[Entry]) -> None:
    for entry in entries:
        entry.tenure.busy -= 1
        if entry.tenure.alive:
            entry.tenure.finish(entry.record.position.offset)


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


def _nothing() -> None:
    """Nobody waits for it."""
