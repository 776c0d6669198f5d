"""Where partitions begin and end, and which offsets a window of a topic has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from broker.core.records import TopicPartition
from broker.errors import WrongUse
from broker.log.admin.patience import patiently
from broker.log.admin.topic_admin import TopicAdmin
from broker.log.clients import Consumer, foreign
from broker.log.options import KafkaOptions


async def places(options: KafkaOptions, topic: str, partitions: Iterable[int] | None) -> list[TopicPartition]:
    """All partitions of ``topic``, or the chosen ones. Raises :class:`WrongUse` when there is no such one."""
    async with TopicAdmin(options) as admin:
        count = (await admin.partitions([topic])).get(topic)
    if count is None:
        raise WrongUse(f"there is no topic {topic}, or no right to see it")
    chosen = sorted(set(range(count) if partitions is None else partitions))
    if chosen and not 0 <= chosen[0] <= chosen[-1] < count:
        raise WrongUse(f"{topic} has the partitions 0 to {count - 1}")
    return [TopicPartition(topic, number) for number in chosen]


async def bounds(
    consumer: Consumer, partitions: Sequence[TopicPartition], options: KafkaOptions
) -> dict[TopicPartition, tuple[int, int]]:
    """Of each partition its first offset and the one after its last. Raises :class:`Unreachable`."""
    asked = [foreign(place) for place in partitions]

    async def ask() -> dict[TopicPartition, tuple[int, int]]:
        begins = await consumer.beginning_offsets(asked)
        ends = await consumer.end_offsets(asked)
        return {place: (begins[place], ends[place]) for place in partitions}

    return await patiently(
        ask, doing="asking where partitions begin and end", timeout_s=options.request_timeout_s
    )


async def window(
    consumer: Consumer,
    partitions: Sequence[TopicPartition],
    start: Mapping[int, int],
    end: Mapping[int, int],
    from_ms: int | None,
    to_ms: int | None,
    options: KafkaOptions,
) -> dict[TopicPartition, tuple[int, int]]:
    """What to read of each partition, without those of which there is nothing to read."""
    found = await bounds(consumer, partitions, options)
    firsts = await _offsets_at(consumer, partitions, from_ms, options)
    lasts = await _offsets_at(consumer, partitions, to_ms, options)
    chosen = {}
    for place, (begin, until) in found.items():
        since = max(begin, start.get(place.partition, begin))
        if from_ms is not None:
            since = max(since, firsts.get(place, until))
        before = min(until, end.get(place.partition, until), lasts.get(place, until))
        if since < before:
            chosen[place] = (since, before)
    return chosen


async def _offsets_at(
    consumer: Consumer, partitions: Sequence[TopicPartition], at_ms: int | None, options: KafkaOptions
) -> dict[TopicPartition, int]:
    """The first offset at or after a time, for the partitions that have one."""
    if at_ms is None or not partitions:
        return {}
    found = await patiently(
        lambda: consumer.offsets_for_times(dict.fromkeys(map(foreign, partitions), max(at_ms, 0))),
        doing="looking up offsets by time",
        timeout_s=options.request_timeout_s,
    )
    return {TopicPartition(*place): at.offset for place, at in found.items() if at is not None}
