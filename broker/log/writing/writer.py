"""The one writer of the log: many callers of one event loop, one batch in flight per partition.

Records are gathered per partition while the batch before is on its way, so that the cost of a record under load
is that of encoding it: no task, no timer and no future of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Final

from broker.core.records import NewRecord, Position
from broker.errors import NotDurable, TongbanError, Unreachable, WrongUse
from broker.log.clients import Batch
from broker.log.options import BATCH_OVERHEAD_BYTES, KafkaOptions
from broker.log.partitioner import partition_of
from broker.log.writing.channel import Channel
from broker.log.writing.write_lane import Call, Lane, pack
from broker.telemetry import get_log

_LOG: Final = get_log("log")
_RETIRE_S: Final = 5.0
_CLOSE_S: Final = 10.0
_RENEW_PAUSE_S: Final = 0.5


class Writer:
    """Writes records durably, in the order of the calls per partition.

    A positive answer means that all in-sync replicas hold the record. Belongs to the event loop that started it.
    """

    def __init__(self, options: KafkaOptions, *, client_id: str) -> None:
        self._options = options
        self._client_id = client_id
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._partitions: dict[str, int] = {}
        self._resolving = 0
        self._turn = asyncio.Lock()
        self._channel: Channel | None = None
        self._usable = asyncio.Event()
        self._chores: set[asyncio.Task[None]] = set()
        self._renewal: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Connect; waits ``start_timeout_s`` for the cluster. Raises :class:`Unreachable` after that."""
        self._channel = await Channel.open(
            self._options, client_id=self._client_id, timeout_s=self._options.start_timeout_s
        )
        self._usable.set()

    async def close(self) -> None:
        """Send what is waiting, for 10 s at most; what is left then fails as :class:`NotDurable`."""
        self._closing = True
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_S)
        if self._renewal is not None:
            self._renewal.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close(grace_s=0)
            self._channel = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in self._lanes.values():
            lane.fail((), "the writer was closed", NotDurable)

    async def write(self, records: Sequence[NewRecord], *, deadline_s: float = 15.0) -> list[Position]:
        """Write ``records`` and return where each of them is, in their order.

        Records for one partition are in the log in the order of the calls and within a call. Nothing is written
        by halves knowingly, but a call is no transaction: on a fault some of its records may be in the log.

        Raises :class:`NotDurable` after ``deadline_s`` seconds or when the log failed it: it may have happened,
        repeat it under the same message ids. :class:`Unreachable` when nothing of it can have been written, and
        :class:`WrongUse` for a record larger than ``max_record_bytes`` or a closed writer.
        """
        self._check(records)
        if not records:
            return []
        loop = asyncio.get_running_loop()
        call = Call(len(records), loop.create_future())
        timer = loop.call_later(deadline_s, _expire, call)
        try:
            if self._resolving or self._knows_not(records):
                await self._resolve(records, deadline_s)
            self._enqueue(records, call, loop)
            return await call.done
        finally:
            timer.cancel()
            call.done.cancel()  # a caller that has gone leaves nothing to be sent

    def _check(self, records: Sequence[NewRecord]) -> None:
        if self._closing:
            raise WrongUse("the writer is closed")
        limit = self._options.max_record_bytes
        for record in records:
            if len(record.value) > limit - BATCH_OVERHEAD_BYTES and _size(record) > limit:
                raise WrongUse(f"a record for {record.topic} is larger than kafka.max_record_bytes ({limit})")

    def _knows_not(self, records: Sequence[NewRecord]) -> bool:
        known = self._partitions
        for record in records:  # noqa: SIM110 - a generator would cost every call a microsecond
            if record.partition is None and record.topic not in known:
                return True
        return False

    async def _resolve(self, records: Sequence[NewRecord], deadline_s: float) -> None:
        """Learn how many partitions the topics have. Calls behind wait their turn, so that none overtakes."""
        self._resolving += 1
        try:
            async with asyncio.timeout(deadline_s), self._turn:
                for topic in {record.topic for record in records if record.partition is None}:
                    if topic not in self._partitions:
                        self._partitions[topic] = len(await (await self._current()).partitions(topic))
        except TimeoutError as late:
            raise Unreachable("the topic's partitions are not known in time; nothing was written") from late
        finally:
            self._resolving -= 1

    def _enqueue(self, records: Sequence[NewRecord], call: Call, loop: asyncio.AbstractEventLoop) -> None:
        lanes = self._lanes
        for index, record in enumerate(records):
            topic, partition = record.topic, record.partition
            if partition is None:
                partition = partition_of(record.key, self._partitions[topic])
            lane = lanes.get((topic, partition))
            if lane is None:
                lane = lanes[topic, partition] = Lane(topic, partition)
            lane.waiting.append((record, call, index))
            if lane.task is None:
                lane.task = loop.create_task(self._send(lane))

    async def _send(self, lane: Lane) -> None:
        try:
            while lane.waiting:
                channel = self._channel or await self._current()
                if not await _reachable(lane, channel):
                    return
                batch, flying = pack(lane, channel)
                if flying and not await self._fly(lane, channel, batch, flying):
                    return
        finally:
            lane.task = None

    async def _fly(self, lane: Lane, channel: Channel, batch: Batch, flying: list[tuple[Call, int]]) -> bool:
        try:
            offset = await channel.send(batch, lane.topic, lane.partition)
        except Exception as fault:  # whatever it was, the callers must hear of it
            lane.fail(
                flying,
                f"{lane.topic}/{lane.partition}: {type(fault).__name__}; it may have happened",
                NotDurable,
            )
            self._replace(channel, lane, fault)
            return False
        topic, partition = lane.topic, lane.partition
        for call, index in flying:
            call.positions[index] = Position(topic, partition, offset)
            offset += 1
            call.missing -= 1
            if not call.missing and not call.done.done():
                call.done.set_result(call.positions)  # type: ignore[arg-type] # none is missing
        return True

    async def _current(self) -> Channel:
        while self._channel is None:
            await self._usable.wait()
        return self._channel

    def _replace(self, broken: Channel, lane: Lane, fault: Exception) -> None:
        """Give ``broken`` up for a new one; what it has in flight for other partitions may still land."""
        if broken is not self._channel or self._closing:
            return
        _LOG.warning(
            "writer_replaced", topic=lane.topic, partition=lane.partition, fault=type(fault).__name__
        )
        self._channel = None
        self._usable.clear()
        self._chore(broken.close(grace_s=_RETIRE_S))
        self._renewal = self._chore(self._renew())

    async def _renew(self) -> None:
        while self._channel is None:
            try:
                self._channel = await Channel.open(
                    self._options, client_id=self._client_id, timeout_s=self._options.start_timeout_s
                )
            except Unreachable:
                await asyncio.sleep(_RENEW_PAUSE_S)
        self._usable.set()

    def _chore(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        chore = asyncio.get_running_loop().create_task(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
        return chore


async def _reachable(lane: Lane, channel: Channel) -> bool:
    """Whether the cluster knows this partition; if not, what waits for it fails and is certainly not written."""
    try:
        known = lane.partition in await channel.partitions(lane.topic)
        fault = f"{lane.topic} has no partition {lane.partition}"
    except TongbanError as unknown:
        known = False
        fault = str(unknown)
    if not known:
        lane.fail((), f"{fault}; nothing was written", Unreachable)
    return known


def _expire(call: Call) -> None:
    call.fail(NotDurable())


def _size(record: NewRecord) -> int:
    """Bytes of a record on the wire, nearly: what its parts hold and their lengths."""
    return len(record.key) + len(record.value) + sum(len(k) + len(v) + 10 for k, v in record.headers) + 20
