"""The log and its writers: order per partition, writes that fail before or after they took place."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from broker.core.records import Headers, NewRecord, Position, Record, TopicPartition
from broker.errors import NotDurable, Unreachable
from tests.simulation.world import World

OnRecord = Callable[[Record], None]


class Hears(Protocol):
    """A reader that waits for records."""

    def arrived(self, place: TopicPartition) -> None: ...


class Log:
    """Topics with partitions, appended to, never changed."""

    def __init__(self, world: World, *, partitions: int) -> None:
        self.world = world
        self.partitions = partitions
        self.records: Final[dict[TopicPartition, list[Record]]] = defaultdict(list)
        self.listeners: Final[list[OnRecord]] = []
        self.readers: Final[list[Hears]] = []

    def partitions_of(self, topic: str) -> int:
        return self.partitions

    def append(self, place: TopicPartition, key: bytes, value: bytes, headers: Headers) -> Record:
        records = self.records[place]
        record = Record(
            position=Position(place.topic, place.partition, len(records)),
            timestamp_ms=self.world.now_ms(),
            key=key,
            value=value,
            headers=headers,
        )
        records.append(record)
        for listener in self.listeners:
            listener(record)
        for reader in self.readers:
            reader.arrived(place)
        return record


class Writer:
    """One process's writer of the log: in order, with faults before and after."""

    def __init__(self, log: Log, *, partition_of: Callable[[NewRecord], int]) -> None:
        self._log = log
        self._world = log.world
        self._partition_of = partition_of
        self._last_s = 0.0

    async def write(self, records: Sequence[NewRecord], *, deadline_s: float = 15.0) -> list[Position]:
        world = self._world
        process = world.process()
        fault = world.fault("ledger.write")
        if fault == "kill-before":
            world.kill_here()
        if fault in {"away", "lost"}:
            await asyncio.sleep(world.latency_s(0.2))
            raise Unreachable("the log is away") if fault == "away" else NotDurable
        written: asyncio.Future[list[Position]] = world.loop.create_future()

        def take_place() -> None:
            positions = [
                self._log.append(
                    TopicPartition(each.topic, self._partition_of(each)), each.key, each.value, each.headers
                ).position
                for each in records
            ]
            if fault == "kill-after":
                world.kill(process)
            if not written.done():
                written.set_result(positions)

        # One batch in flight per partition: what is written later comes later, also behind one that is given up.
        wait_s = deadline_s * 1.2 if fault == "late" else world.latency_s()
        self._last_s = max(world.loop.now_s + wait_s, self._last_s + 0.0001)
        world.later(self._last_s - world.loop.now_s, take_place)
        try:
            async with asyncio.timeout(deadline_s):
                positions = await written
        except TimeoutError:
            raise NotDurable from None
        if fault == "unacked":
            raise NotDurable
        return positions
