"""Parts of the log's tests: topics of one's own, records to write, a history of what callbacks said."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from broker.core.records import NewRecord, Position, Record, TopicPartition
from broker.log.admin.topic_admin import TopicAdmin, Wanted
from broker.log.options import KafkaOptions
from broker.log.reading.reader import GroupReader
from broker.log.writing.writer import Writer


def unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def make_topic(options: KafkaOptions, *, partitions: int = 1, **settings: str) -> str:
    """A new topic, ready to be written to."""
    name = unique("test")
    config = {"message.timestamp.type": "LogAppendTime"} | {
        k.replace("_", "."): v for k, v in settings.items()
    }
    async with TopicAdmin(options) as admin:
        await admin.create([Wanted(name=name, partitions=partitions, settings=config)])
        await admin.wait_until_ready([name], timeout_s=20)
    return name


def record(topic: str, value: bytes, *, key: bytes = b"451300/1", partition: int | None = 0) -> NewRecord:
    return NewRecord(topic=topic, key=key, value=value, headers=(("ce_id", value[:16]),), partition=partition)


@asynccontextmanager
async def writing(options: KafkaOptions) -> AsyncIterator[Writer]:
    writer = Writer(options, client_id="test")
    await writer.start()
    try:
        yield writer
    finally:
        await writer.close()


async def fill(options: KafkaOptions, topic: str, counts: Sequence[int]) -> list[Position]:
    """Write ``counts[p]`` records ``p-n`` to each partition p."""
    async with writing(options) as writer:
        return await writer.write(
            [
                record(topic, f"{partition}-{number}".encode(), partition=partition)
                for partition, count in enumerate(counts)
                for number in range(count)
            ]
        )


class Member:
    """A reader and what was said to it, in order. ``on_assigned`` and ``on_revoked`` may be replaced."""

    def __init__(
        self, options: KafkaOptions, *, group: str, topics: Sequence[str], member: str | None = None
    ) -> None:
        self.said: list[tuple[str, frozenset[TopicPartition]]] = []
        self.seen: list[Record] = []
        self.on_assigned: Callable[[frozenset[TopicPartition]], Awaitable[None]] = nothing
        self.on_revoked: Callable[[frozenset[TopicPartition]], Awaitable[None]] = nothing
        self.reader = GroupReader(
            options, group=group, topics=topics, assigned=self._assigned, revoked=self._revoked, member=member
        )

    async def __aenter__(self) -> Member:
        await self.reader.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.reader.close()

    async def _assigned(self, partitions: frozenset[TopicPartition]) -> None:
        self.said.append(("assigned", partitions))
        await self.on_assigned(partitions)

    async def _revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.said.append(("revoked", partitions))
        await self.on_revoked(partitions)

    async def poll(self, *, max_records: int = 500, wait_s: float = 0.1) -> list[Record]:
        found = await self.reader.poll(max_records=max_records, wait_s=wait_s)
        records = [each for of_one in found.values() for each in of_one]
        self.seen.extend(records)
        return records

    async def poll_until(self, done: Callable[[], bool], *, within_s: float = 20.0) -> None:
        """Poll, again and again, until ``done``; a time-out is a failed test."""
        async with asyncio.timeout(within_s):
            while not done():
                await self.poll()

    def values(self) -> list[str]:
        return [each.value.decode() for each in self.seen]


async def nothing(_: frozenset[TopicPartition]) -> None:
    return
