"""Calls of the writer and what of them waits for one partition."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from broker.core.records import NewRecord, Position
from broker.errors import TongbanError, Unreachable
from broker.log.clients import Batch
from broker.log.writing.channel import Channel


class Call:
    """One ``write()``: where its records landed so far, and the future that its caller waits for."""

    __slots__ = ("done", "missing", "positions")

    def __init__(self, records: int, done: asyncio.Future[list[Position]]) -> None:
        self.positions: list[Position | None] = [None] * records
        self.missing = records
        self.done = done

    def fail(self, fault: TongbanError) -> None:
        if not self.done.done():
            self.done.set_exception(fault)


class Lane:
    """What waits for one partition, in the order of the calls; ``task`` sends it while there is any."""

    __slots__ = ("partition", "task", "topic", "waiting")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.waiting: deque[tuple[NewRecord, Call, int]] = deque()
        self.task: asyncio.Task[None] | None = None

    def fail(self, flying: Sequence[tuple[Call, int]], fault: str, kind: type[Unreachable]) -> None:
        """Fail what was sent and what waited behind it: sent now, it would overtake the caller's repeat."""
        for call, _ in flying:
            call.fail(kind(fault))
        for _, call, _ in self.waiting:
            call.fail(kind(fault))
        self.waiting.clear()


def pack(lane: Lane, channel: Channel) -> tuple[Batch, list[tuple[Call, int]]]:
    """Encode as much of what waits as one batch holds, but nothing that its caller has given up."""
    batch = channel.batch()
    append = batch.append
    waiting = lane.waiting
    flying: list[tuple[Call, int]] = []
    now_ms = int(time.time() * 1000)  # the log puts its own time; this one only has to be sane
    while waiting:
        record, call, index = waiting[0]
        if not call.done.done():
            added = append(timestamp=now_ms, key=record.key, value=record.value, headers=list(record.headers))
            if added is None:
                break
            flying.append((call, index))
        waiting.popleft()
    return batch, flying
