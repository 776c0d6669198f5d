"""One partner's line: lanes, limits and circuit at work on its connector.

Nothing here waits: attempts start from :meth:`PartnerLine.pump`, answers come back by callback, timers bring
a lane back after a failure. So a sick partner holds nothing but its own lanes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, assert_never

from broker.core.circuit import CircuitPolicy
from broker.core.directory import Partner
from broker.core.ids import CaseId
from broker.core.lanes import Lanes
from broker.core.receipts import Outcome
from broker.core.schedule import Schedule
from broker.delivery.health import Health
from broker.delivery.holding import Holding
from broker.delivery.ports import Clock
from broker.delivery.receipts import Ending
from broker.delivery.sending import Sender
from broker.delivery.settlement import Settlement
from broker.delivery.tenure import Entry, Tenure
from connectors.base import Answer, Closed, Deferred, Delivered, Held, Misconfigured, Parcel, Refused, Taken

_BATCH_BYTES: Final = 4 << 20
Park = Callable[["PartnerLine", Entry, Sequence[Entry], float, str], None]


class PartnerLine:
    """The line of one partner. ``park`` stores a lane that is to be tried again much later."""

    def __init__(
        self,
        partner: Partner,
        sender: Sender,
        *,
        schedule: Schedule,
        policy: CircuitPolicy,
        settlement: Settlement,
        park: Park,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        self.partner: Final = partner
        self.sender: Final = sender
        self.schedule: Final = schedule.with_parked(partner.retry_after_s)
        self.lanes: Final[Lanes[CaseId, Entry]] = Lanes(
            in_flight=partner.limits.in_flight, per_second=partner.limits.per_second
        )
        self.health: Final = Health(partner.id, clock, policy, self.kick)
        self._holding = Holding(partner.id, sender, settlement) if sender.features.holds else None
        self._slots = asyncio.Semaphore(max(1, partner.limits.in_flight // 4))
        """For attempts outside the lanes, so that a pile of parked cases does not overrun the partner."""
        self._settlement = settlement
        self._park = park
        self._clock = clock
        self._draw = draw
        self._loop = asyncio.get_running_loop()
        self._kicked = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def trouble(self) -> str | None:
        """Why nothing goes to this partner now; None while it does."""
        return self.health.trouble or (self._holding.trouble if self._holding is not None else None)

    async def start(self) -> None:
        await self.sender.start()
        if self._holding is not None:
            self._holding.start()

    async def close(self) -> None:
        """End what is in flight; it is as if it had not been tried."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._holding is not None:
            await self._holding.close()
        await self.sender.close()

    def add(self, entry: Entry) -> bool:
        """Take a record over. False: its lane is parked, it belongs behind the others in the store."""
        if self._holding is not None:
            self._holding.add(entry)
            return True
        taken = self.lanes.offer(entry.message.case, entry, entry.size_bytes)
        if taken:
            self.kick()
        return taken

    def drop(self, tenure: Tenure) -> None:
        """The tenure ends: forget what of it waits. What is in flight is answered as ever."""
        for entry in list(tenure.entries.values()):
            self.lanes.drop(entry.message.case)
        for case in tenure.parked:
            self.lanes.drop(case)

    def kick(self) -> None:
        """Pump once at the end of this turn of the loop, however many ask for it."""
        if not self._kicked:
            self._kicked = True
            self._loop.call_soon(self.pump)

    def pump(self) -> None:
        """Start what may start now."""
        self._kicked = False
        if self._closed:
            return
        now_s = self._clock.monotonic_s()
        most, normal = self.sender.features.batch, self.partner.limits.in_flight
        while True:
            if not self.health.flows():
                self._probe(now_s)
                return
            room = self.health.room(now_s, normal) - self.lanes.in_flight
            if room <= 0:
                return
            if most == 1:
                entries = self.lanes.ready(now_s, room)
                for entry in entries:
                    self._attempt((entry,), probe=False)
            else:
                entries = self.lanes.ready(now_s, min(room, most), _BATCH_BYTES)
                if entries:
                    self._attempt(entries, probe=False)
            if not entries:
                self._wake_in(self.lanes.wait_s(now_s))
                return

    async def attempt(self, entry: Entry) -> Answer | Ending | None:
        """One attempt outside the lanes (parked, or asked again). None: not now, and nothing is counted."""
        async with self._slots:
            if not self.health.flows() or self._closed:
                return None
            parcel = self.sender.parcel(entry)
            if not isinstance(parcel, Parcel):
                return parcel
            answer = (await self.sender.deliver((parcel,)))[0]
            self.health.judge(answer, probe=False)
        sick = isinstance(answer, Deferred | Misconfigured | Closed)
        return None if sick and not self.health.flows() else answer

    def _attempt(self, entries: Sequence[Entry], *, probe: bool) -> None:
        parcels: list[Parcel] = []
        sent: list[Entry] = []
        for entry in entries:
            entry.tenure.busy += 1
            parcel = self.sender.parcel(entry)
            if isinstance(parcel, Parcel):
                parcels.append(parcel)
                sent.append(entry)
            else:
                self.health.unsent(probe=probe)
                self._settle(entry, parcel)
        if parcels:
            self.sender.send(parcels, partial(self._answered, sent, probe))

    def _answered(self, entries: Sequence[Entry], probe: bool, answers: Sequence[Answer]) -> None:
        for entry, answer in zip(entries, answers, strict=True):
            if not self._closed:
                self.health.judge(answer, probe=probe)
            self._settle(entry, answer)
        self.kick()

    def _settle(self, entry: Entry, answer: Answer | Ending) -> None:
        """Exactly one of: settled, held, put back, parked; and the tenure's ``busy`` goes down with it."""
        if not entry.tenure.alive or self._closed:
            self.lanes.settled(entry.message.case)
            entry.tenure.busy -= 1
            return
        match answer:
            case Ending():
                self._end(entry, answer)
            case Delivered() | Refused():
                self._end(entry, self.sender.ending(entry, answer))
            case Taken(within_s=within_s):
                self.lanes.settled(entry.message.case)
                self._settlement.taken(entry, self.partner.id, within_s, partial(_finish, entry))
            case Held():
                self.lanes.settled(entry.message.case)
                _finish(entry)
            case Deferred():
                self._settlement.failed(entry, self.partner.id, "deferred", answer.reason)
                self._defer(entry, answer)
            case Misconfigured(reason=reason) | Closed(reason=reason):
                self._settlement.failed(entry, self.partner.id, "misconfigured", reason)
                self._put_back(entry)
            case _:
                assert_never(answer)

    def _end(self, entry: Entry, ending: Ending) -> None:
        self.lanes.settled(entry.message.case)
        self._settlement.end(entry, self.partner.id, self.sender.kind, ending, partial(_finish, entry))
        if ending.outcome is not Outcome.DELIVERED:
            self._settlement.failed(entry, self.partner.id, ending.outcome.value, ending.detail or "")

    def _defer(self, entry: Entry, answer: Deferred) -> None:
        if entry.tenure.closing or not self.health.flows():
            self._put_back(entry)  # the partner is down: nothing is counted
            return
        entry.counted += 1
        wait_s = self.schedule.next_after(entry.counted, self._draw(), answer.retry_after_s)
        case = entry.message.case
        if wait_s is not None and not self.schedule.parks(wait_s):
            self.lanes.hold(case)
            entry.tenure.busy -= 1
            self._loop.call_later(wait_s, self._release, entry)
            return
        behind = self.lanes.park(case)
        for each in behind:
            each.tenure.busy += 1
        # A schedule that has no parked part ends at once: due now, it is found used up and goes to the desk.
        self._park(self, entry, behind, wait_s or 0.0, answer.reason)

    def _put_back(self, entry: Entry) -> None:
        """To the head of its lane, as if it had not been tried; other lanes have their turn first."""
        case = entry.message.case
        entry.tenure.busy -= 1
        if entry.tenure.closing:
            self.lanes.settled(case)
            return
        self.lanes.hold(case)
        self.lanes.release(case)

    def _release(self, entry: Entry) -> None:
        if entry.tenure.alive and not entry.tenure.closing and not self._closed:
            self.lanes.release(entry.message.case)
            self.kick()

    def _probe(self, now_s: float) -> None:
        """While the circuit is open one message at a time finds out whether the partner is back."""
        if self.health.begin_probe(now_s):
            entries = self.lanes.ready(now_s, 1)
            if entries:
                self._attempt(entries, probe=True)
            else:
                self.sender.probe(self._probed)
        self._wake_in(self.health.probe_in_s(now_s))

    def _probed(self, answer: Answer) -> None:
        self.health.judge(answer, probe=True)
        self.kick()

    def _wake_in(self, wait_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wait_s is not None and wait_s > 0:
            self._timer = self._loop.call_later(wait_s, self.pump)
        elif wait_s is not None:
            self.kick()


def _finish(entry: Entry) -> None:
    tenure = entry.tenure
    tenure.busy -= 1
    if tenure.alive:
        tenure.finish(entry.record.position.offset)
