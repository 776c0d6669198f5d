"""A member of the group, as ``broker.log.reading.reader.GroupReader`` is one: zombies go on reading what they held."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence

from broker.core.records import Commit, Record, TopicPartition
from broker.delivery.ports import OnPartitions
from broker.errors import PositionConflict, Unreachable
from tests.simulation.group import Group
from tests.simulation.loop import OWNER


class Member:
    """The group's reader, as ``broker.log.reading.reader.GroupReader`` is to delivery."""

    def __init__(
        self,
        group: Group,
        topics: Iterable[str],
        *,
        assigned: OnPartitions,
        revoked: OnPartitions,
        instance: str | None = None,
        beat_s: float | None = None,
        drain_s: float = 5.0,
    ) -> None:
        self._group = group
        self._world = group.world
        self._log = group.log
        self._topics = frozenset(topics)
        self._assigned = assigned
        self._revoked = revoked
        self._instance = instance
        self._beat_s = beat_s if beat_s is not None else group.session_s / 3
        self._drain_s = drain_s
        self.id = ""
        self.generation = -1
        self._held: frozenset[TopicPartition] = frozenset()
        self._next: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._unready: frozenset[TopicPartition] = frozenset()
        self._settled = asyncio.Event()
        self._rejoin = asyncio.Event()
        self._turn = asyncio.Lock()
        self._waiter: asyncio.Future[None] | None = None
        self._fault: Exception | None = None
        self._coordination: asyncio.Task[None] | None = None
        self._closing = False
        self._heard_s = -math.inf

    def heard_s(self) -> float:
        """When the group last confirmed this membership: when the question was sent that it answered."""
        return self._heard_s

    async def start(self) -> None:
        self._world.process()
        await asyncio.sleep(self._world.latency_s())
        self._log.readers.append(self)
        self._coordination = asyncio.create_task(self._coordinate())

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._settled.clear()
        try:
            async with asyncio.timeout(self._drain_s), self._turn:
                await self._hand_over()
        except TimeoutError:
            pass
        if self._coordination is not None:
            self._coordination.cancel()
            await asyncio.gather(self._coordination, return_exceptions=True)
        if self in self._log.readers:
            self._log.readers.remove(self)
        self._group.leave(self.id)

    def abandon(self) -> None:
        """The process dies: nothing is handed over, nobody is told."""
        self._closing = True
        self._settled.clear()
        if self._coordination is not None:
            self._coordination.cancel()
        self._log.readers.remove(self)

    async def poll(self, *, max_records: int, wait_s: float) -> dict[TopicPartition, list[Record]]:
        world = self._world
        world.process()
        if self._closing:
            return {}
        self._raise_fault()
        if world.fault("group.poll") is not None:
            await asyncio.sleep(world.latency_s(0.5))
            raise Unreachable("the log is away")
        if not self._settled.is_set():
            await self._wait(wait_s)
            return {}
        if self._unready:
            await self._try_again()
        await asyncio.sleep(world.latency_s(0.005))
        found = self._fetch(max_records)
        if not found:
            await self._wait(wait_s)
            found = self._fetch(max_records)
        return found

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._world.saw("pause by bytes")
        self._paused |= self._held.intersection(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused -= self._held.intersection(partitions)
        self._wake()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition in self._held:
            self._next[partition] = offset
            self._wake()

    def assignment(self) -> frozenset[TopicPartition]:
        return self._held

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        world = self._world
        world.process()
        held = {place: commit for place, commit in commits.items() if place in self._held}
        if held:
            await self._commit(held)
        if lost := commits.keys() - held.keys():
            raise PositionConflict(f"{', '.join(map(str, sorted(lost)))}: not held by this member any more")

    async def _commit(self, held: Mapping[TopicPartition, Commit]) -> None:
        world = self._world
        fault = world.fault("group.commit")
        if fault == "kill-before":
            world.kill_here()
        if fault == "away":
            await asyncio.sleep(world.latency_s(0.5))
            raise Unreachable("the group's coordinator is away")
        answered: asyncio.Future[bool] = world.loop.create_future()
        process, member, generation = world.process(), self.id, self.generation

        def arrive() -> None:
            taken = self._group.commit(member, generation, held)
            if fault == "kill-after":
                world.kill(process)
            if not answered.done():
                answered.set_result(taken)

        world.later(world.latency_s(), arrive)
        taken = await answered
        if fault == "unacked":
            raise Unreachable("the group's coordinator did not answer in time")
        if not taken:
            self._rejoin.set()
            raise PositionConflict("this member was put out of the group")

    async def committed(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Commit]:
        self._world.process()
        wanted = list(partitions)
        fault = self._world.fault("group.committed")
        await asyncio.sleep(self._world.latency_s())
        if fault is not None:
            raise Unreachable("the group's coordinator is away")
        return {place: self._group.commits[place] for place in wanted if place in self._group.commits}

    async def ends(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offsets after the last records."""
        self._world.process()
        wanted = list(partitions)
        await asyncio.sleep(self._world.latency_s())
        return {place: len(self._log.records[place]) for place in wanted}

    async def subscribe(self, topics: Iterable[str]) -> None:
        wanted = frozenset(topics)
        if wanted == self._topics or self._closing:
            return
        self._settled.clear()
        async with self._turn:
            await self._hand_over()
            self._topics = wanted
        self._rejoin.set()

    def arrived(self, place: TopicPartition) -> None:
        """The log has a new record."""
        if place in self._held and place not in self._paused:
            self._wake()

    # coordination

    async def _coordinate(self) -> None:
        """Join, beat, hand over, join again."""
        owner = OWNER.get()
        assert owner is not None
        while True:
            self._settled.clear()
            async with self._turn:
                await self._hand_over()
            self._rejoin.clear()
            self.id, joined = self._group.join(self.id, self._instance, self._topics, owner)
            self.generation, places = await joined
            sent_s = self._world.loop.now_s
            if not self._group.sync(self.id, self.generation):
                continue
            await asyncio.sleep(self._world.latency_s())
            self._heard_s = sent_s
            async with self._turn:
                await self._take_over(places)
            while not self._rejoin.is_set():
                await self._pause_between_beats()
                if self._rejoin.is_set() or self._world.fault("group.beat") is not None:
                    continue
                sent_s = self._world.loop.now_s
                try:
                    if not self._group.beat(self.id, self.generation):
                        break
                except PositionConflict:
                    break
                await asyncio.sleep(self._world.latency_s())
                self._heard_s = sent_s

    async def _pause_between_beats(self) -> None:
        try:
            async with asyncio.timeout(self._beat_s):
                await self._rejoin.wait()
        except TimeoutError:
            return

    async def _take_over(self, places: Sequence[TopicPartition]) -> None:
        if self._closing:
            return
        self._held = self._unready = frozenset(places)
        self._paused &= self._held
        self._next = {
            place: self._group.commits[place].offset if place in self._group.commits else 0
            for place in places
        }
        self._world.record("assigned", self._world.who(), number=self.generation, detail=_told(places))
        await self._tell()
        self._settled.set()
        self._wake()

    async def _tell(self) -> None:
        try:
            await self._assigned(self._held)
        except Exception as fault:  # whatever it was, it belongs to the caller of poll()
            self._fault = fault
            return
        self._unready = frozenset()

    async def _try_again(self) -> None:
        async with self._turn:
            if self._unready:
                await self._tell()
        self._raise_fault()

    async def _hand_over(self) -> None:
        if not self._held:
            return
        limit = asyncio.timeout(self._drain_s)
        try:
            async with limit:
                await self._revoked(self._held)
        except Exception as fault:  # as above
            if not limit.expired():
                self._fault = fault
        finally:
            self._held = self._unready = frozenset()

    # reading

    def _fetch(self, max_records: int) -> dict[TopicPartition, list[Record]]:
        found: dict[TopicPartition, list[Record]] = {}
        if not self._settled.is_set():
            return found
        left = self._world.random.choice((max_records, max_records, min(3, max_records)))
        places = sorted(self._held - self._paused - self._unready)
        for place in self._world.random.sample(places, len(places)):
            start = self._next[place]
            records = self._log.records[place][start : start + left] if left else []
            if records:
                found[place] = records
                self._next[place] = start + len(records)
                left -= len(records)
        return found

    async def _wait(self, wait_s: float) -> None:
        waiter = self._waiter = self._world.loop.create_future()
        timer = self._world.loop.call_later(wait_s, _resolve, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None:
            _resolve(self._waiter)

    def _raise_fault(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _told(places: Iterable[TopicPartition]) -> str:
    return " ".join(f"{place.topic.rpartition('.')[2]}/{place.partition}" for place in sorted(places))
