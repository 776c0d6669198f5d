"""This worker in its group: the reader, what it is assigned, and what becomes of that when it is taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from broker.core.records import Record, TopicPartition
from broker.delivery.assigned.lease import Lease
from broker.delivery.assigned.tenure import Tenure
from broker.delivery.joining.commits import Commits
from broker.delivery.joining.pressure import Pressure
from broker.delivery.joining.reading import Reading
from broker.delivery.lines.held import Held
from broker.delivery.options import DeliveryOptions
from broker.delivery.ports import Clock, Reader, ReaderFactory, Vouched
from broker.delivery.watching.stalling import Stalling
from broker.errors import Unreachable
from broker.telemetry import READERS_RENEWED, ROAD, get_log

_LOG: Final = get_log("delivery")
_STEP_S: Final = 0.01
_SMALL: Final = 100
_SILENT_S: Final = 90.0
"""A poll that has not come back after this long never will: a reader that joins anew takes a minute at most."""
_LEAVE_S: Final = 20.0


class Membership:
    """One member of the delivery group. A reader that has gone silent is given up for another."""

    def __init__(
        self,
        options: DeliveryOptions,
        held: Held,
        *,
        make_reader: ReaderFactory,
        reading: Reading,
        commits: Commits,
        pressure: Pressure,
        lease: Lease,
        stalling: Stalling,
        clock: Clock,
    ) -> None:
        self._options = options
        self._held = held
        self._make_reader = make_reader
        self._reading = reading
        self._commits = commits
        self._pressure = pressure
        self._lease = lease
        self._stalling = stalling
        self._clock = clock
        self._turn = asyncio.Lock()  # one reader is made, told or given up at a time
        self._topics: frozenset[str] = frozenset()
        self.reader: Reader | None = None

    async def subscribe(self, topics: frozenset[str]) -> None:
        """Read these topics; the first ones make the reader. Raises Unreachable."""
        async with self._turn:
            if topics == self._topics:
                return
            if self.reader is not None:
                await self.reader.subscribe(topics)
            else:
                reader = self._make_reader(topics, assigned=self._assigned, revoked=self.revoked)
                self._lease.heard = reader.heard_s if isinstance(reader, Vouched) else None
                await reader.start()
                self.reader = reader
            self._topics = topics

    async def poll(self) -> bool:
        """Take what there is. True: the reader has answered. Raises Unreachable; call it again."""
        reader = self.reader
        if reader is None:
            await asyncio.sleep(_STEP_S)
            return False
        if self._stalling.hopeless:
            await self._renew(reader)
            return False
        await self._reading.prepare(reader)
        polled = await self._polled(reader)
        if polled:
            ROAD.on_step("delivery.polled")
            await self._reading.take(reader, polled)
            if sum(map(len, polled.values())) < _SMALL:
                await asyncio.sleep(self._options.gather_s)
        return polled is not None

    async def commit(self) -> None:
        """Commit what is finished, and read on where memory allows it. Raises Unreachable."""
        if self.reader is not None:
            self._pressure.lighten(self.reader)
            await self._commits.commit(self.reader)

    async def revoked(self, places: frozenset[TopicPartition]) -> None:
        """Let what is in flight end, for a bounded time; commit; then nothing of it counts any more."""
        ending = self._held.of(places)
        for tenure in ending:
            tenure.closing = True
            line = self._held.line_of(tenure)
            if line is not None:
                line.drop(tenure)
        try:
            await self._drain(ending)
        finally:  # also when the reader cuts it short, or a line has begun anew meanwhile: they are gone all the same
            for tenure in dict.fromkeys((*ending, *self._held.of(places))):
                self._held.end(tenure)
                _LOG.info("partition_revoked", topic=tenure.place.topic, partition=tenure.place.partition)

    async def _drain(self, ending: Sequence[Tenure]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._options.drain_s
        while any(each.busy for each in ending) and loop.time() < until:  # noqa: ASYNC110 - counts of many lines
            await asyncio.sleep(_STEP_S)
        try:
            if self.reader is not None:
                await self._commits.commit(self.reader)
        except Unreachable as away:
            _LOG.warning("dependency_lost", dependency="commit", reason=str(away))

    async def close(self) -> None:
        """Leave the group, for a bounded time."""
        if self.reader is not None:
            await self._leave(self.reader)

    async def _assigned(self, places: frozenset[TopicPartition]) -> None:
        """Nothing here may fail or wait: a tenure is prepared before its first record is taken."""
        for place in places:
            self._held.begin(place)
            _LOG.info("partition_assigned", topic=place.topic, partition=place.partition)

    async def _polled(self, reader: Reader) -> Mapping[TopicPartition, Sequence[Record]] | None:
        options = self._options
        try:
            async with asyncio.timeout(_SILENT_S):
                polled = await reader.poll(max_records=options.poll_records, wait_s=options.poll_wait_s)
        except TimeoutError:
            self._stalling.give_up("the reader does not come back from a poll")
            return None
        if self._lease.heard is None:
            self._lease.renew(self._clock.monotonic_s())  # nothing better is known than that it answers
        return polled

    async def _renew(self, old: Reader) -> None:
        """Give up a reader that has gone silent, and make another. Raises Unreachable; it is then made later."""
        READERS_RENEWED.inc()
        self._stalling.begin_anew()
        topics = self._topics
        async with self._turn:
            self.reader, self._topics = None, frozenset()
            await self._leave(old)
            await self.revoked(frozenset(self._held.tenures))
        await self.subscribe(topics)

    async def _leave(self, reader: Reader) -> None:
        try:
            async with asyncio.timeout(_LEAVE_S):
                await reader.close()
        except (TimeoutError, Unreachable) as fault:
            _LOG.warning("dependency_lost", dependency="reader", reason=type(fault).__name__)
