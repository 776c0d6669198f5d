"""The watchdog at work: what it finds makes the stage not ready, is told, and gives the reader up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from broker.core.records import TopicPartition
from broker.delivery.assigned.lease import Lease
from broker.delivery.assigned.tenure import Tenure
from broker.delivery.lines.held import Held
from broker.delivery.ports import Clock, Reader
from broker.delivery.watching.watchdog import Watchdog, behind
from broker.errors import Unreachable
from broker.telemetry import STALLED, get_log

_LOG: Final = get_log("delivery")
_ASK_S: Final = 10.0


class Stalling:
    """Whether delivery has come to a halt for no reason of a partner's."""

    def __init__(self, held: Held, *, lease: Lease, clock: Clock, stall_s: float) -> None:
        self._held = held
        self._lease = lease
        self._clock = clock
        self._stall_s = stall_s
        self._watchdog = Watchdog(stall_s)
        self._stuck: tuple[Tenure, tuple[int, int]] | None = None
        self.trouble: str | None = None
        """What stands still, as a sentence; None while all moves."""
        self.hopeless = False
        """The reader is to be given up."""

    async def look(self, reader: Reader | None) -> None:
        """Look whether all that may move does. To be called every few seconds while nothing else is wrong."""
        now_s = self._clock.monotonic_s()
        held = self._held.at_work()
        if reader is not None and self._watchdog.unheard(now_s, heard=self._lease.holds(now_s)):
            self._stuck = None
            self.give_up(f"the group has not confirmed this worker for {self._stall_s:g} s")
            return
        still = self._watchdog.still(now_s, held)
        stuck = await self._behind(reader, still) if still and reader is not None else []
        stuck = [tenure for tenure in stuck if self._held.is_current(tenure)]
        self._watchdog.cleared(now_s, [tenure for tenure in still if tenure not in stuck])
        if stuck:
            place = stuck[0].place
            self._stuck = (stuck[0], _stand(stuck[0]))
            self.give_up(
                f"messages of {place.topic}, partition {place.partition}, have waited for {self._stall_s:g} s "
                "though nothing holds them back"
            )
        elif self.trouble is not None and not self.hopeless and await self._moves(reader):
            self.trouble = None
            STALLED.set(0)
            _LOG.info("delivery_moved")

    def give_up(self, why: str) -> None:
        """Say it, and have the reader made anew."""
        _LOG.error("delivery_stalled", reason=why)
        self.trouble = f"stands still: {why}; its reader is made anew"
        self.hopeless = True
        STALLED.set(1)

    def begin_anew(self) -> None:
        """The reader is given up: its successor gets as long to show that it works."""
        self.hopeless = False
        self._watchdog.begin_anew()

    async def _moves(self, reader: Reader | None) -> bool:
        """Whether what stood still has moved since, has nothing left to do, or is nobody's here any more."""
        if not self._lease.holds():
            return False
        if self._stuck is None:
            return True
        tenure, stood = self._stuck
        current = self._held.tenures.get(tenure.place)
        if current is None or not current.prepared:
            return current is None
        return _stand(current) != stood or not await self._behind(reader, [current])

    async def _behind(self, reader: Reader | None, still: Sequence[Tenure]) -> list[Tenure]:
        """Those that have something to do. One whose end the reader cannot tell in time has gone silent too."""
        idle = [tenure.place for tenure in still if not behind(tenure, None)]
        ends: Mapping[TopicPartition, int] = {}
        if idle and reader is not None:
            try:
                async with asyncio.timeout(_ASK_S):
                    ends = await reader.ends(idle)
            except (TimeoutError, Unreachable):
                return list(still)
        return [tenure for tenure in still if behind(tenure, ends.get(tenure.place))]


def _stand(tenure: Tenure) -> tuple[int, int]:
    return tenure.next, tenure.committed_to
