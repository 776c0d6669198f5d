"""Attempts outside the lanes (parked cases, receipts asked for again), waiting for a slot of the partner's.

They share the partner's limits, its rate and its recovery with the lanes, and have a part of the slots at
most: so a pile of them that is due at once neither overruns the partner nor holds up its new messages.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from broker.core.ids import CaseId
from broker.core.lane.lanes import Lanes
from broker.delivery.assigned.tenure import Entry
from broker.delivery.ending.receipts import Ending
from broker.delivery.lines.health import Health
from broker.delivery.lines.sending import Sender
from connectors.base import Answer, Closed, Deferred, Misconfigured, Parcel

_TURN: Final = 3
"""One guest after this many messages of the lanes, when both wait."""
_SHARE: Final = 4
"""A quarter of the partner's slots, at most, is theirs."""


class Guests:
    """Who waits, first come first served. ``flows`` says whether anything may go out, ``kick`` asks for a turn."""

    def __init__(
        self,
        lanes: Lanes[CaseId, Entry],
        health: Health,
        sender: Sender,
        *,
        flows: Callable[[], bool],
        kick: Callable[[], None],
    ) -> None:
        self._lanes = lanes
        self._health = health
        self._sender = sender
        self._flows = flows
        self._kick = kick
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._passed = 0
        self._out = 0
        self._share = 1
        self.sent = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """How many more are worth bringing here: enough that a slot never waits for one."""
        return max(0, 2 * self._share - len(self._waiting) - self._out)

    def limit(self, in_flight: int) -> None:
        """The partner's limit of flight has changed."""
        self._share = max(1, in_flight // _SHARE)

    async def attempt(self, entry: Entry) -> Answer | Ending | None:
        """One attempt, when its turn has come. None: not now, and nothing is counted."""
        if not self._flows() or not await self._turn():
            return None
        try:
            if not self._flows() or entry.tenure.closing or not entry.tenure.alive:
                return None  # the partition may have gone to another worker while it waited
            parcel = self._sender.parcel(entry)
            if not isinstance(parcel, Parcel):
                return parcel
            self.sent += 1
            answer = (await self._sender.deliver((parcel,)))[0]
            self._health.judge(answer, probe=False)
        finally:
            self._leave()
        sick = isinstance(answer, Deferred | Misconfigured | Closed)
        return None if sick and not self._flows() else answer

    def due(self, room: int) -> int:
        """How many of ``room`` free slots are theirs now, before the lanes have had the rest."""
        return max(room // (_TURN + 1), 1 if self._passed >= _TURN else 0)

    def admit(self, now_s: float, most: int) -> int:
        """Let at most ``most`` of them go; returns how many went."""
        admitted = 0
        while admitted < most and self._out < self._share and self._waiting:
            waiter = self._waiting.popleft()
            if waiter.done():
                continue
            if not self._lanes.enter(now_s):
                self._waiting.appendleft(waiter)
                break
            self._out += 1
            self._health.started(1)
            waiter.set_result(True)
            admitted += 1
        if admitted:
            self._passed = 0
        return admitted

    def passed(self, count: int) -> None:
        """So many messages of the lanes went before those who wait."""
        self._passed += count

    def send_away(self) -> None:
        """Nothing goes out now: they come again another time."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(False)

    async def _turn(self) -> bool:
        """Wait for a slot. True: it is taken, and to be given back by :meth:`_leave`."""
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._kick()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self._leave()  # cancelled with the slot just given
            raise

    def _leave(self) -> None:
        self._out -= 1
        self._lanes.leave()
        self._kick()
