"""What a group remembers: offsets with a note, written by its member and read from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka.errors import (  # type: ignore[import-untyped]
    CommitFailedError,
    IllegalStateError,
    InvalidCommitOffsetSizeError,
    KafkaError,
    OffsetMetadataTooLargeError,
)

from broker.core.records import Commit, TopicPartition
from broker.errors import TongbanError
from broker.log.admin.patience import patiently
from broker.log.clients import Admin, Consumer, foreign
from broker.log.faults import FOREIGN, translated, translating

NOTE_BYTES: Final = 4096
"""Kafka's default ``offset.metadata.max.bytes``."""

_Offsets = dict[TopicPartition, tuple[int, str]]


async def commit_all(
    consumer: Consumer, group: str, commits: Mapping[TopicPartition, Commit], *, timeout_s: float
) -> None:
    """Commit all of it, or raise for every partition that was not.

    aiokafka raises the first partition's fault only, and that may be the least of them. So when one commit for
    all fails, each partition is committed by itself: the good ones get through, the bad ones are named.
    """
    offsets: _Offsets = {
        foreign(partition): (commit.offset, commit.metadata if _fits(commit.metadata) else "")
        for partition, commit in commits.items()
    }
    doing = f"committing offsets of {group}"
    with translating(doing):
        async with asyncio.timeout(timeout_s):
            try:
                await consumer.commit(offsets)
            except (CommitFailedError, IllegalStateError):
                raise
            except KafkaError:
                await _commit_each(consumer, offsets, doing)


async def read_commits(
    admin: Admin, group: str, partitions: Sequence[TopicPartition] | None, *, timeout_s: float
) -> Mapping[TopicPartition, Commit]:
    """The group's commits for ``partitions`` (None: all it has), without those that have none.

    Raises :class:`Unreachable`.
    """
    if partitions is not None and not partitions:
        return {}
    asked = None if partitions is None else [foreign(each) for each in partitions]
    found = await patiently(
        lambda: admin.list_consumer_group_offsets(group, partitions=asked),
        doing=f"reading the offsets of {group}",
        timeout_s=timeout_s,
    )
    return {
        TopicPartition(*partition): Commit(note.offset, note.metadata or "")
        for partition, note in found.items()
        if note.offset >= 0
    }


def _fits(note: str) -> bool:
    return len(note.encode()) <= NOTE_BYTES


async def _commit_each(consumer: Consumer, offsets: _Offsets, doing: str) -> None:
    faults: dict[TopicPartition, TongbanError] = {}
    for partition, (offset, note) in offsets.items():
        try:
            await _commit_one(consumer, partition, offset, note)
        except FOREIGN as fault:
            faults[partition] = translated(fault, f"{doing}: {partition.topic}/{partition.partition}")
    if faults:
        first, *others = faults.values()
        if others:
            raise type(first)("; ".join(map(str, faults.values()))) from first
        raise first


async def _commit_one(consumer: Consumer, partition: TopicPartition, offset: int, note: str) -> None:
    try:
        await consumer.commit({partition: (offset, note)})
    except (OffsetMetadataTooLargeError, InvalidCommitOffsetSizeError):
        if not note:
            raise
        await consumer.commit({partition: (offset, "")})  # this cluster allows less; the offset matters more
