"""A member of a consumer group: records of the partitions that it holds, until they are taken away.

Around aiokafka's consumer this adds what its callers rely on: nothing is handed out before ``assigned`` has said
where to continue, faults of the callbacks surface, pauses survive a rebalance, ``poll`` keeps to its time while the
group rebalances, and a consumer whose coordination has died is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from broker.core.records import Commit, Record, TopicPartition
from broker.errors import PositionConflict, Unreachable
from broker.log.admin.bounds import bounds
from broker.log.admin.group_offsets import commit_all, read_commits
from broker.log.clients import (
    Admin,
    Consumer,
    Rebalances,
    foreign,
    make_admin,
    make_group_consumer,
    watch_heartbeats,
)
from broker.log.faults import FOREIGN, translated, translating
from broker.log.giving_up import give_up_consumer
from broker.log.options import KafkaOptions
from broker.log.reading.conversion import to_records
from broker.log.reading.fetching import Fetching
from broker.telemetry import get_log

_LOG: Final = get_log("log")
_START_PAUSE_S: Final = 0.25
_LEAVE_S: Final = 5.0
_FAILED_POLLS: Final = 3

OnPartitions = Callable[[frozenset[TopicPartition]], Awaitable[None]]


class GroupReader:
    """Reads ``topics`` as one member of ``group``. Belongs to the event loop that started it.

    ``assigned`` is awaited with the partitions now held, all of them: read where to continue, ``seek``, ``pause``.
    None of their records is handed out before it has returned; when it raises, the next :meth:`poll` raises the
    same, and every later poll tries it again. ``revoked`` is awaited with all partitions held before: finish what
    is in hand and commit, within ``drain_timeout_s``; what it raises, the next poll raises. It is awaited by
    :meth:`close` too. Each rebalance revokes everything and assigns anew; pauses of partitions that come back are
    kept. ``member`` makes the membership static: a restart within the session time-out moves nothing, but a
    worker that is gone for good keeps its partitions until then.
    """

    def __init__(
        self,
        options: KafkaOptions,
        *,
        group: str,
        topics: Iterable[str],
        assigned: OnPartitions,
        revoked: OnPartitions,
        member: str | None = None,
    ) -> None:
        self._options = options
        self._group = group
        self._topics = frozenset(topics)
        self._assigned = assigned
        self._revoked = revoked
        self._member = member
        self._consumer: Consumer | None = None
        self._admin: Admin | None = None
        self._turn = asyncio.Lock()  # one hand-over or take-over at a time
        self._settled = asyncio.Event()  # clear while the group rebalances
        self._held: frozenset[TopicPartition] = frozenset()
        self._unready: frozenset[TopicPartition] = frozenset()  # held, but ``assigned`` has not succeeded
        self._paused: set[TopicPartition] = set()
        self._fault: Exception | None = None
        self._fetching: Fetching | None = None
        self._heard_s = self._asked_s = -math.inf
        self._failed_polls = 0
        self._closing = False

    async def start(self) -> None:
        """Join the group; waits ``start_timeout_s`` for the cluster and the topics.

        Raises :class:`Unreachable` after that, :class:`WrongUse` when the cluster refuses this client.
        """
        fault: Exception = TimeoutError()
        try:
            async with asyncio.timeout(self._options.start_timeout_s):
                while True:
                    try:
                        await self._open()
                    except Unreachable as away:
                        fault = away
                        await asyncio.sleep(_START_PAUSE_S)
                    else:
                        return
        except TimeoutError:
            raise translated(fault, f"joining {self._group} at {self._options.bootstrap}") from fault

    async def close(self) -> None:
        """Hand over (``revoked`` is awaited, for a bounded time) and leave the group. Polls then find nothing."""
        if self._closing:
            return
        self._closing = True
        self._settled.clear()
        with contextlib.suppress(TimeoutError):  # an `assigned` that hangs must not hold the process
            async with asyncio.timeout(self._options.drain_timeout_s), self._turn:
                await self._hand_over()
        await self._shut()

    async def poll(self, *, max_records: int, wait_s: float) -> dict[TopicPartition, list[Record]]:
        """Up to ``max_records`` records of the partitions that are held and not paused, in offset order.

        Answers as soon as there is anything, after ``wait_s`` seconds with nothing; also during a rebalance and
        when everything is paused. Call it again and again: a member that does not poll is put out of the group.

        Raises what a callback raised, or :class:`Unreachable`: poll again, a broken consumer replaces itself.
        """
        if self._closing:
            return {}
        self._raise_fault()
        if self._consumer is None or self._fetching is None:  # the last attempt to replace it failed
            await self.start()
            return {}
        if not self._settled.is_set():
            await self._settle(wait_s)
            return {}
        if self._unready:
            await self._try_again()
        try:
            found = await self._fetching.fetch(max_records, wait_s)
        except FOREIGN as fault:
            await self._count_failure()
            raise translated(fault, f"reading as a member of {self._group}") from fault
        self._failed_polls = 0
        return {TopicPartition(*place): to_records(place, records) for place, records in found.items()}

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Hand out nothing of these until they are resumed. Not one that is held: nothing happens."""
        chosen = self._held.intersection(partitions)
        self._paused |= chosen
        if chosen and self._consumer is not None:
            self._consumer.pause(*map(foreign, chosen))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Hand these out again. Not one that is held: nothing happens."""
        chosen = self._held.intersection(partitions)
        self._paused -= chosen
        if (ready := chosen - self._unready) and self._consumer is not None:
            self._consumer.resume(*map(foreign, ready))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Continue at ``offset``. Not one that is held: nothing happens, its next holder decides."""
        if partition in self._held and self._consumer is not None:
            self._consumer.seek(foreign(partition), offset)

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions held now; empty between a revocation and the assignment that follows."""
        return self._held

    def heard_s(self) -> float:
        """When the group's coordinator last confirmed this membership, in monotonic seconds.

        At the session time-out after that the partitions may belong to another member, who is told first.
        """
        return self._heard_s

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Commit for the group; a note over 4,096 bytes is left out, the offset is committed all the same.

        Raises :class:`PositionConflict` when one of the partitions is not held any more (the others are
        committed), :class:`Unreachable` when the group's coordinator does not answer in time.
        """
        held = {partition: commit for partition, commit in commits.items() if partition in self._held}
        if held and self._consumer is not None:
            await commit_all(self._consumer, self._group, held, timeout_s=self._options.request_timeout_s)
        if lost := commits.keys() - held.keys():
            raise PositionConflict(f"{', '.join(map(str, sorted(lost)))}: not held by this member any more")

    async def committed(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Commit]:
        """What the group has committed, with its notes; a partition without a commit is not in the answer.

        Raises :class:`Unreachable` when the group's coordinator does not answer in time.
        """
        if self._admin is None:
            admin = make_admin(self._options, client_id=f"{self._group}-offsets")
            with translating(f"connecting to {self._options.bootstrap}"):
                await admin.start()
            self._admin = admin
        return await read_commits(
            self._admin, self._group, list(partitions), timeout_s=self._options.request_timeout_s
        )

    async def ends(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset after the last record of each. Raises :class:`Unreachable`."""
        consumer = self._consumer
        if consumer is None:
            raise Unreachable(f"{self._group} is being joined anew")
        found = await bounds(consumer, list(partitions), self._options)
        return {place: end for place, (_, end) in found.items()}

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Read these topics from now on: the group rebalances. Not to be called from within a callback."""
        wanted = frozenset(topics)
        if wanted == self._topics or self._closing:
            return
        self._settled.clear()
        async with self._turn:
            # aiokafka forgets the assignment at once, and no commit is possible after: hand over first.
            await self._hand_over()
            self._topics = wanted
            self._asked_s = time.monotonic()
            if self._consumer is not None:
                self._consumer.subscribe(sorted(wanted), listener=self._listener())

    async def _open(self) -> None:
        self._settled.clear()
        consumer = make_group_consumer(
            self._options, client_id=self._group, group=self._group, member=self._member
        )
        self._consumer = consumer
        self._fetching = Fetching(consumer, settled=self._settled.is_set)
        try:
            with translating(f"joining {self._group} at {self._options.bootstrap}"):
                consumer.subscribe(sorted(self._topics), listener=self._listener())
                self._asked_s = time.monotonic()
                await consumer.start()
                watch_heartbeats(consumer, self._heard_at)
        except BaseException:
            self._consumer = self._fetching = None
            await give_up_consumer(consumer, grace_s=_LEAVE_S)
            raise

    async def _shut(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await give_up_consumer(consumer, grace_s=_LEAVE_S)
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            await fetching.close()
        if self._admin is not None:
            await self._admin.close()
            self._admin = None

    def _heard_at(self, at_s: float) -> None:
        self._heard_s = max(self._heard_s, at_s)

    def _listener(self) -> Rebalances:
        return Rebalances(revoked=self._on_revoked, assigned=self._on_assigned)

    async def _on_revoked(self, _: frozenset[TopicPartition]) -> None:
        self._settled.clear()
        async with self._turn:
            await self._hand_over()
        self._asked_s = time.monotonic()  # now the client asks to join again

    async def _on_assigned(self, partitions: frozenset[TopicPartition]) -> None:
        consumer = self._consumer
        if consumer is None or self._closing:
            return
        # Before anything else: aiokafka hands records out while this callback is still at work.
        consumer.pause(*map(foreign, partitions))
        # Not the time of this callback: a process frozen before it would take an old word for a fresh one.
        self._heard_at(self._asked_s)
        async with self._turn:
            self._held = self._unready = partitions
            self._paused &= partitions
            await self._take_over()
        if not self._closing:
            self._settled.set()

    async def _take_over(self) -> None:
        try:
            await self._assigned(self._held)
        except Exception as fault:  # whatever it was, it belongs to the caller of poll()
            self._fault = fault
            return
        ready, self._unready = self._unready, frozenset()
        if (flowing := ready - self._paused) and self._consumer is not None:
            self._consumer.resume(*map(foreign, flowing))

    async def _hand_over(self) -> None:
        """Let the caller finish what is in hand, for a bounded time: the group waits for it."""
        if not self._held:
            return
        limit = asyncio.timeout(self._options.drain_timeout_s)
        try:
            async with limit:
                await self._revoked(self._held)
        except (
            Exception
        ) as fault:  # as above; a drain that takes too long is not a fault, only a repeat to come
            if not limit.expired():
                self._fault = fault
        finally:
            self._held = self._unready = frozenset()

    async def _try_again(self) -> None:
        async with self._turn:
            if self._unready:
                await self._take_over()
        self._raise_fault()

    def _raise_fault(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    async def _settle(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._settled.wait()
        except TimeoutError:
            return

    async def _count_failure(self) -> None:
        """Replace a consumer that fails poll after poll: its coordination task has died, and stays dead."""
        self._failed_polls += 1
        if self._failed_polls < _FAILED_POLLS:
            return
        self._failed_polls = 0
        _LOG.warning("reader_replaced", group=self._group)
        self._settled.clear()
        async with self._turn:
            await self._hand_over()
        await self._shut()
        await self.start()
