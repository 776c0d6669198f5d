"""Reading the log without a group: a window of a topic, single records, and where partitions begin and end.

Nothing here leaves a trace in the cluster: no group, no commit. A replay stays inert.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from broker.core.records import Position, Record, TopicPartition
from broker.errors import Corrupt, Unreachable
from broker.log.admin.bounds import bounds, places, window
from broker.log.clients import Consumer, foreign, make_consumer
from broker.log.faults import translating
from broker.log.giving_up import give_up_consumer
from broker.log.options import KafkaOptions
from broker.log.reading.conversion import to_records

_CLIENT: Final = "tongban-scan"
_POLL_MS: Final = 500
_BATCH: Final = 1000
_STALLED_S: Final = 60.0
_CLOSE_S: Final = 2.0
_FEW: Final = 8
_MANY_BYTES: Final = 64 * 1024
_PARTITION_FETCH_BYTES: Final = 1024 * 1024
_NEAR: Final = 64
"""Offsets that are read past sooner than a new fetch would answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a scan has come, in offsets passed of all that lie in its window."""

    passed: int
    total: int


async def scan(
    options: KafkaOptions,
    topic: str,
    *,
    start: Mapping[int, int] | None = None,
    end: Mapping[int, int] | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    partitions: Iterable[int] | None = None,
    progress: Callable[[Progress], None] | None = None,
    partition_fetch_bytes: int = _PARTITION_FETCH_BYTES,
) -> AsyncGenerator[Record, None]:
    """The records of a window of ``topic``, each partition's in the order of its offsets.

    The window of a partition goes from the later of ``start`` (an offset) and ``from_ms`` to before the earlier of
    ``end`` and ``to_ms`` (log times, Unix milliseconds), and never past what is there when the scan begins: it ends
    by itself. What retention has removed is left out. ``partitions``: only these. ``progress`` is called after
    each batch; ``partition_fetch_bytes``: of one partition at once. Leave it early only through ``contextlib.aclosing``, so that its connection is closed in time.

    Raises :class:`Unreachable` when the cluster does not answer (60 s without a record while some are due),
    :class:`WrongUse` when there is no such topic or partition.
    """
    async with open_consumer(options, partition_fetch_bytes=partition_fetch_bytes) as consumer:
        wanted = await places(options, topic, partitions)
        chosen = await window(consumer, wanted, start or {}, end or {}, from_ms, to_ms, options)
        total = sum(until - since for since, until in chosen.values())
        due = {place: until for place, (_, until) in chosen.items()}
        if due:
            consumer.assign([foreign(place) for place in due])
        for place, (since, _) in chosen.items():
            consumer.seek(foreign(place), since)
        while due:
            for record in await _next(consumer, due):
                yield record
            left = await _drop_finished(consumer, due)
            if progress is not None:
                progress(Progress(passed=total - left, total=total))


async def read_at(options: KafkaOptions, positions: Sequence[Position]) -> list[Record]:
    """The records at ``positions``, in their order.

    Raises :class:`Corrupt` naming a position where the log has none (any more), :class:`Unreachable` when the
    cluster does not answer in time.
    """
    if not positions:
        return []
    fetch_bytes = 1 if len(positions) < _FEW else _MANY_BYTES
    async with open_consumer(options, partition_fetch_bytes=fetch_bytes) as consumer:
        await _refuse_outside(consumer, positions, options)
        found = await read_each(consumer, positions, timeout_s=options.request_timeout_s)
    for position in positions:
        if (record := found.get(position)) is None:
            raise Unreachable(f"{position} was not answered in time")
        if record.position != position:
            raise Corrupt(f"the log has no record at {position}")
    return [found[position] for position in positions]


async def offsets(options: KafkaOptions, topic: str) -> Mapping[int, tuple[int, int]]:
    """Per partition: the offset of the oldest record that is there, and the offset that the next one will have."""
    async with open_consumer(options) as consumer:
        found = await bounds(consumer, await places(options, topic, None), options)
    return {place.partition: bound for place, bound in found.items()}


async def read_each(
    consumer: Consumer, positions: Iterable[Position], *, timeout_s: float
) -> dict[Position, Record]:
    """For each position its record, or the next one after it where that offset holds none.

    A position that is not answered in ``timeout_s`` (its partition has no leader, or nothing follows) is left out.
    None may lie past its partition's end.
    """
    waiting: dict[TopicPartition, list[Position]] = {}
    for position in sorted(set(positions), reverse=True):
        waiting.setdefault(TopicPartition(position.topic, position.partition), []).append(position)
    found: dict[Position, Record] = {}
    if waiting:
        consumer.assign([foreign(place) for place in waiting])
    for place, wanted in waiting.items():
        consumer.seek(foreign(place), wanted[-1].offset)
    try:
        async with asyncio.timeout(timeout_s):
            while waiting:
                with translating("reading single records"):
                    answered = await consumer.getmany(
                        *map(foreign, waiting),
                        timeout_ms=_POLL_MS,
                        max_records=sum(map(len, waiting.values())),
                    )
                for place, records in answered.items():
                    _take(consumer, waiting, found, TopicPartition(*place), to_records(place, records))
    except TimeoutError:
        pass
    return found


@asynccontextmanager
async def open_consumer(
    options: KafkaOptions, *, partition_fetch_bytes: int = _PARTITION_FETCH_BYTES
) -> AsyncIterator[Consumer]:
    """A consumer without a group, connected. Raises :class:`Unreachable` when the cluster is away."""
    consumer = make_consumer(options, client_id=_CLIENT, partition_fetch_bytes=partition_fetch_bytes)
    try:
        with translating(f"connecting to {options.bootstrap}"):
            await consumer.start()
        yield consumer
    finally:
        await give_up_consumer(consumer, grace_s=_CLOSE_S)


async def _refuse_outside(consumer: Consumer, positions: Sequence[Position], options: KafkaOptions) -> None:
    asked = sorted({TopicPartition(each.topic, each.partition) for each in positions})
    found = await bounds(consumer, asked, options)
    for position in positions:
        begin, end = found[TopicPartition(position.topic, position.partition)]
        if not begin <= position.offset < end:
            raise Corrupt(f"the log has no record at {position}")


async def _next(consumer: Consumer, due: Mapping[TopicPartition, int]) -> list[Record]:
    """The next records within the window; none when a partition's rest holds no record to hand out."""
    limit = time.monotonic() + _STALLED_S
    with translating("scanning"):
        while time.monotonic() < limit:
            found = await consumer.getmany(*map(foreign, due), timeout_ms=_POLL_MS, max_records=_BATCH)
            if found or await _passed(consumer, due):
                return [
                    record
                    for place, records in found.items()
                    for record in to_records(TopicPartition(*place), records)
                    if record.position.offset < due[place]
                ]
    raise Unreachable(f"a scan has waited {_STALLED_S:.0f} s for records that are due")


async def _passed(consumer: Consumer, due: Mapping[TopicPartition, int]) -> list[TopicPartition]:
    return [place for place, until in due.items() if await consumer.position(foreign(place)) >= until]


async def _drop_finished(consumer: Consumer, due: dict[TopicPartition, int]) -> int:
    """Forget the partitions that are read to their end; how many offsets are left in the others."""
    for place in await _passed(consumer, due):
        del due[place]
        consumer.pause(foreign(place))
    return sum([until - await consumer.position(foreign(place)) for place, until in due.items()])


def _take(
    consumer: Consumer,
    waiting: dict[TopicPartition, list[Position]],
    found: dict[Position, Record],
    place: TopicPartition,
    records: Sequence[Record],
) -> None:
    """Match what was answered with what is wanted there (the next one last), and seek to the rest."""
    wanted = waiting[place]
    next_offset = 0
    for record in records:
        next_offset = record.position.offset + 1
        while wanted and wanted[-1].offset <= record.position.offset:
            found[wanted.pop()] = record
    if not wanted:
        del waiting[place]
        consumer.pause(foreign(place))
    elif wanted[-1].offset > next_offset + _NEAR:
        consumer.seek(foreign(place), wanted[-1].offset)
