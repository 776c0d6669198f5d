"""How far a group is behind: in records, and in exact seconds.

The age of the oldest record that is not committed yet is read from that record itself, without a group and without
a trace. A figure that cannot be known is unknown, never 0.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from broker.core.records import Commit, Position, Record, TopicPartition
from broker.errors import TongbanError, Unreachable
from broker.log.admin.bounds import bounds
from broker.log.admin.group_offsets import read_commits
from broker.log.admin.topic_admin import TopicAdmin
from broker.log.clients import Consumer, make_admin
from broker.log.faults import translating
from broker.log.options import KafkaOptions
from broker.log.reading.end_history import EndHistory
from broker.log.reading.scan import open_consumer, read_each

_CLIENT: Final = "tongban-lag"
_PATIENCE_S: Final = 5.0
_PARTITION_PATIENCE_S: Final = 2.0


class Exactness(StrEnum):
    """How a figure in seconds was come by."""

    EXACT = "exact"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionLag:
    """One partition's lag. None is not known: no commit yet (``committed``), or the partition does not answer.

    ``lag`` counts records not committed that are still there; ``seconds`` is the age of the oldest of them, 0 when
    there is none. It is estimated when the commit lies before the oldest record that retention has left, or when
    the record could not be read and the history of ends had to do.
    """

    topic: str
    partition: int
    committed: int | None
    begin: int | None
    end: int | None
    lag: int | None
    seconds: float | None
    exactness: Exactness


async def group_lag(
    options: KafkaOptions,
    group: str,
    topics: Iterable[str] | None = None,
    *,
    history: EndHistory | None = None,
    now_s: Callable[[], float] = time.time,
) -> list[PartitionLag]:
    """The lag of ``group`` in every partition of ``topics``, or of those that it has commits for.

    A topic that does not exist is left out. A partition that does not answer is unknown; the others are not touched
    by it. ``history`` is noted in and, where the record itself cannot be read, estimated from.
    Raises :class:`Unreachable` when the cluster or the group's coordinator does not answer.
    """
    options = replace(options, request_timeout_s=min(options.request_timeout_s, _PATIENCE_S))
    commits = await _commits(options, group)
    wanted = {place.topic for place in commits} if topics is None else set(topics)
    async with TopicAdmin(options) as admin:
        counts = await admin.partitions(wanted)
        dead = await admin.leaderless(wanted)
    places = [TopicPartition(topic, number) for topic in sorted(counts) for number in range(counts[topic])]
    async with open_consumer(options, partition_fetch_bytes=1) as consumer:
        known = await _known_bounds(consumer, [place for place in places if place not in dead], options)
        oldest = _oldest_uncommitted(commits, known)
        records = await read_each(consumer, oldest.values(), timeout_s=_PATIENCE_S)
    now = now_s()
    if history is not None:
        for place, (_, end) in known.items():
            history.note(place, end, at_s=now)
    aged = _Ages(oldest=oldest, records=records, history=history, now_s=now)
    return [_lag(place, commits.get(place), known.get(place), aged) for place in places]


async def _commits(options: KafkaOptions, group: str) -> Mapping[TopicPartition, Commit]:
    admin = make_admin(options, client_id=_CLIENT)
    try:
        with translating(f"connecting to {options.bootstrap}"):
            await admin.start()
        return await read_commits(admin, group, None, timeout_s=_PATIENCE_S)
    finally:
        await admin.close()


async def _known_bounds(
    consumer: Consumer, places: Sequence[TopicPartition], options: KafkaOptions
) -> dict[TopicPartition, tuple[int, int]]:
    """Begin and end of all that answer: asked together, and one by one when one of them holds up the rest."""
    if not places:
        return {}
    try:
        async with asyncio.timeout(_PARTITION_PATIENCE_S):
            return await bounds(consumer, places, options)
    except (TimeoutError, Unreachable):
        answers = await asyncio.gather(*(_known_bound(consumer, place, options) for place in places))
    return {place: found for place, found in zip(places, answers, strict=True) if found is not None}


async def _known_bound(
    consumer: Consumer, place: TopicPartition, options: KafkaOptions
) -> tuple[int, int] | None:
    try:
        async with asyncio.timeout(_PARTITION_PATIENCE_S):
            return (await bounds(consumer, [place], options))[place]
    except (TimeoutError, TongbanError):
        return None


def _oldest_uncommitted(
    commits: Mapping[TopicPartition, Commit], known: Mapping[TopicPartition, tuple[int, int]]
) -> dict[TopicPartition, Position]:
    return {
        place: Position(place.topic, place.partition, max(commits[place].offset, begin))
        for place, (begin, end) in known.items()
        if place in commits and max(commits[place].offset, begin) < end
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ages:
    """What is known of the oldest uncommitted records."""

    oldest: Mapping[TopicPartition, Position]
    records: Mapping[Position, Record]
    history: EndHistory | None
    now_s: float

    def of(self, place: TopicPartition) -> tuple[float | None, Exactness]:
        """Age in seconds, and how it was come by."""
        position = self.oldest.get(place)
        if position is None:
            return 0.0, Exactness.EXACT
        record = self.records.get(position)
        if record is not None:
            return self._since(record.timestamp_ms / 1000), Exactness.EXACT
        written_at_s = None if self.history is None else self.history.written_at_s(place, position.offset)
        if written_at_s is None:
            return None, Exactness.UNKNOWN
        return self._since(written_at_s), Exactness.ESTIMATED

    def _since(self, at_s: float) -> float:
        return max(self.now_s - at_s, 0.0)  # the log's clock may be ahead of ours


def _lag(
    place: TopicPartition, commit: Commit | None, known: tuple[int, int] | None, ages: _Ages
) -> PartitionLag:
    begin, end = known or (None, None)
    lag: int | None = None
    seconds: float | None = None
    exactness = Exactness.UNKNOWN
    if commit is not None and begin is not None and end is not None:
        lag = max(end - max(commit.offset, begin), 0)
        seconds, exactness = ages.of(place)
        if commit.offset < begin and exactness is Exactness.EXACT:
            exactness = Exactness.ESTIMATED  # older records there were, but retention has removed them
    return PartitionLag(
        topic=place.topic,
        partition=place.partition,
        committed=None if commit is None else commit.offset,
        begin=begin,
        end=end,
        lag=lag,
        seconds=seconds,
        exactness=exactness,
    )
