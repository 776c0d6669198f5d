"""One partner's line: lanes, limits, levers and circuit at work on its connector.

Nothing here waits: attempts start from :meth:`PartnerLine.pump`, answers come back by callback, timers bring
a lane back after a failure. So a sick partner holds nothing but its own lanes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from broker.core.catalogue.directory import Limits, Partner
from broker.core.ids import CaseId
from broker.core.lane.circuit import CircuitPolicy
from broker.core.lane.lanes import Lanes
from broker.core.lane.schedule import Schedules
from broker.delivery.assigned.lease import Lease
from broker.delivery.assigned.tenure import Entry, Tenure
from broker.delivery.ending.receipts import Ending
from broker.delivery.ending.settlement import Settlement
from broker.delivery.lines.answers import Answers, Park
from broker.delivery.lines.guests import Guests
from broker.delivery.lines.health import Health
from broker.delivery.lines.holding import Holding
from broker.delivery.lines.sending import Sender
from broker.delivery.ports import Clock
from connectors.base import Answer, Closed, Deferred, Misconfigured, Parcel

_BATCH_BYTES: Final = 4 << 20
_LEASE_S: Final = 0.1


class PartnerLine:
    """The line of one partner. ``park`` stores a lane that is to be tried again much later."""

    def __init__(
        self,
        partner: Partner,
        sender: Sender,
        *,
        schedules: Schedules,
        policy: CircuitPolicy,
        settlement: Settlement,
        lease: Lease,
        park: Park,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        limits = partner.limits
        self.partner: Final = partner
        self.sender: Final = sender
        self.schedules: Final = schedules
        self.limits = limits
        """Those in force: the directory's, or an operator's."""
        self.paused = False
        self.closed = False
        self.lanes: Final[Lanes[CaseId, Entry]] = Lanes(
            in_flight=limits.in_flight, per_second=limits.per_second
        )
        supposed_per_s = limits.per_second or float(limits.in_flight)
        self.health: Final = Health(partner.id, clock, policy, self.kick, supposed_per_s=supposed_per_s)
        self.guests: Final = Guests(self.lanes, self.health, sender, flows=self.flows, kick=self.kick)
        self._holding = Holding(partner.id, sender, settlement, lease) if sender.features.holds else None
        self._answers = Answers(self, settlement=settlement, park=park, clock=clock, draw=draw)
        self._lease = lease
        self._clock = clock
        self._draw = draw
        self._loop = asyncio.get_running_loop()
        self._sent = 0
        self._kicked = False
        self._timer: asyncio.TimerHandle | None = None
        self._batch = 1
        self.limit(limits)

    def flows(self) -> bool:
        """Whether deliveries go out as usual. Otherwise nothing is counted, parked or used up."""
        return not self.paused and not self.closed and self.health.flows()

    @property
    def trouble(self) -> str | None:
        """Why nothing goes to this partner now; None while it does."""
        if self.paused:
            return "paused by an operator"
        return self.health.trouble or (self._holding.trouble if self._holding is not None else None)

    @property
    def sent(self) -> int:
        """Attempts begun so far."""
        return self._sent + self.guests.sent

    @property
    def waiting(self) -> int:
        """Messages in memory that are not in flight."""
        held = self._holding.waiting if self._holding is not None else 0
        return max(0, self.lanes.entries - self.lanes.in_flight) + held

    # an operator's levers

    def limit(self, limits: Limits) -> None:
        """Other limits from now on. What is in flight beyond lower ones ends as ever."""
        self.limits = limits
        self.lanes.limit(in_flight=limits.in_flight, per_second=limits.per_second)
        self.guests.limit(limits.in_flight)
        self._batch = min(self.sender.features.batch, limits.batch)
        self.kick()

    def pause(self, *, paused: bool) -> None:
        """Nothing goes out while paused; what is in flight ends."""
        if self.paused is paused:
            return
        self.paused = paused
        if self._holding is not None:
            self._holding.pause(paused=paused)
        self.kick()

    def probe(self) -> None:
        """Somebody asks whether the partner is there: at once, whatever its circuit says."""
        now_s = self._clock.monotonic_s()
        self.health.probe_at_once(now_s)
        if self.paused or self.health.flows():
            self.sender.probe(partial(self._probed, self.health.begin_probe(now_s)))
        else:
            self.kick()

    # time

    def open_at(self, at_ms: int) -> bool:
        """Whether parked messages may be tried at this moment (UTC milliseconds)."""
        return self.partner.office_hours.is_open(at_ms)

    def later_ms(self, now_ms: int, wait_s: float) -> int:
        """When a message that waits so long is tried again: within the partner's office hours."""
        return self.partner.office_hours.not_before(now_ms + round(wait_s * 1000), self._draw())

    # at work

    async def start(self) -> None:
        await self.sender.start()
        if self._holding is not None:
            self._holding.start()

    async def close(self) -> None:
        """End what is in flight; it is as if it had not been tried."""
        self.closed = True
        self.guests.send_away()
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
        if self._holding is not None:
            self._holding.drop(tenure)

    async def attempt(self, entry: Entry) -> Answer | Ending | None:
        """One attempt outside the lanes (parked, or asked again). None: not now, and nothing is counted."""
        return await self.guests.attempt(entry)

    def kick(self) -> None:
        """Pump once at the end of this turn of the loop, however many ask for it."""
        if not self._kicked:
            self._kicked = True
            self._loop.call_soon(self.pump)

    def pump(self) -> None:
        """Start what may start now."""
        self._kicked = False
        if self.closed:
            return
        now_s = self._clock.monotonic_s()
        if self.paused:
            self.guests.send_away()
            self._wake_in(None)
        elif not self._lease.holds(now_s):
            self._wake_in(_LEASE_S)  # frozen or cut off: somebody else may hold the partitions by now
        elif self.health.flows():
            self._start(now_s)
        else:
            self.guests.send_away()
            self._probe(now_s)

    def _start(self, now_s: float) -> None:
        lanes, guests, most = self.lanes, self.guests, self._batch
        while self.health.flows():  # a message that is not sent may open the circuit
            room = self._room(now_s)
            if room and guests:
                room -= guests.admit(now_s, guests.due(room))
            if room <= 0:
                break
            if most == 1:
                entries = lanes.ready(now_s, room)
                for entry in entries:
                    self._attempt((entry,), probe=False)
            else:
                entries = lanes.ready(now_s, min(room, most), _BATCH_BYTES)
                if entries:
                    self._attempt(entries, probe=False)
            self.health.started(len(entries))
            guests.passed(len(entries))
            if not entries or not lanes.waiting:
                guests.admit(now_s, room - len(entries))
                break
        self._wait(now_s)

    def _room(self, now_s: float) -> int:
        room = self.health.room(now_s, self.limits.in_flight) - self.lanes.in_flight
        return self.health.paced(now_s, room) if room > 0 else 0

    def _wait(self, now_s: float) -> None:
        """All that may start has started: come back when the rate, or the recovery, allows more."""
        waiting = bool(self.lanes.waiting or self.guests)
        pace_s = self.health.pace_s(now_s, waiting=waiting)
        wait_s = None
        if waiting and self.lanes.in_flight < self.limits.in_flight:
            wait_s = max(pace_s, self.lanes.token_wait_s(now_s)) or None
        self._wake_in(wait_s)

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
                self._answers.settle(entry, parcel)
        if parcels:
            self._sent += len(parcels)
            self.sender.send(parcels, partial(self._answered, sent, probe))

    def _answered(self, entries: Sequence[Entry], probe: bool, answers: Sequence[Answer]) -> None:
        if not self.closed:
            self._judge(answers, probe=probe)
        self._answers.settle_all(entries, answers)
        self.kick()

    def _judge(self, answers: Sequence[Answer], *, probe: bool) -> None:
        """A request that failed as a whole says one thing of the partner, however many messages were in it."""
        first = answers[0]
        failed = isinstance(first, Deferred | Misconfigured | Closed)
        if failed and len(answers) > 1 and answers.count(first) == len(answers):
            answers = (first,)
        for answer in answers:
            self.health.judge(answer, probe=probe)

    def _probe(self, now_s: float) -> None:
        """While the circuit is open one message at a time finds out whether the partner is back."""
        if self.health.begin_probe(now_s):
            entries = self.lanes.ready(now_s, 1)
            if entries:
                self._attempt(entries, probe=True)
            else:
                self.sender.probe(partial(self._probed, True))
        self._wake_in(self.health.probe_in_s(now_s))

    def _probed(self, probe: bool, answer: Answer) -> None:
        if not self.closed:
            self.health.judge(answer, probe=probe)
            self.kick()

    def _wake_in(self, wait_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wait_s is not None and wait_s > 0:
            self._timer = self._loop.call_later(wait_s, self.pump)
        elif wait_s is not None:
            self.kick()
