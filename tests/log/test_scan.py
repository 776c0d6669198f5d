"""Reading without a group on a real cluster: windows, single records, bounds, and no trace."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace

import pytest

from broker.core.records import Position, Record, TopicPartition
from broker.errors import Corrupt, Unreachable, WrongUse
from broker.log.clients import foreign, make_admin
from broker.log.options import KafkaOptions
from broker.log.reading.scan import Progress, offsets, read_at, scan
from tests.log.support import fill, make_topic, record, writing


def by_partition(records: list[Record]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for each in records:
        found.setdefault(each.position.partition, []).append(each.position.offset)
    return found


async def test_everything_in_order_per_partition_and_then_an_end(options: KafkaOptions) -> None:
    topic = await make_topic(options, partitions=4)
    await fill(options, topic, [2500, 0, 1, 700])
    steps: list[Progress] = []
    records = [each async for each in scan(options, topic, progress=steps.append)]
    assert by_partition(records) == {0: list(range(2500)), 2: [0], 3: list(range(700))}
    assert {each.total for each in steps} == {3201}
    assert [each.passed for each in steps] == sorted(each.passed for each in steps)
    assert steps[-1].passed == 3201


async def test_it_ends_where_the_log_ended_when_it_began(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    await fill(options, topic, [1500])
    async with writing(options) as writer:
        seen = 0
        async for _ in scan(options, topic):
            if seen % 100 == 0:
                await writer.write([record(topic, b"later")] * 10)
            seen += 1
    assert seen == 1500


@pytest.mark.parametrize(
    ("start", "end", "partitions", "expected"),
    [
        ({0: 7}, None, [0], {0: [7, 8, 9]}),
        (None, {0: 3}, None, {0: [0, 1, 2], 1: list(range(6))}),
        ({0: 2, 1: 5}, {0: 4, 1: 99}, None, {0: [2, 3], 1: [5]}),
        ({0: 10}, None, [0], {}),
        ({0: 99}, None, [0], {}),
        ({0: 5}, {0: 5}, [0], {}),
        (None, None, [], {}),
        (None, None, [1], {1: list(range(6))}),
    ],
)
async def test_a_window_of_offsets(
    options: KafkaOptions,
    start: dict[int, int] | None,
    end: dict[int, int] | None,
    partitions: list[int] | None,
    expected: dict[int, list[int]],
) -> None:
    topic = await make_topic(options, partitions=2)
    await fill(options, topic, [10, 6])
    records = [each async for each in scan(options, topic, start=start, end=end, partitions=partitions)]
    assert by_partition(records) == expected


async def test_a_window_of_time(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    async with writing(options) as writer:
        for n in range(6):
            await writer.write([record(topic, f"{n}".encode())])
            await asyncio.sleep(0.02)
    whole = [each async for each in scan(options, topic)]
    times = [each.timestamp_ms for each in whole]
    assert times == sorted(set(times))
    window = [each async for each in scan(options, topic, from_ms=times[2], to_ms=times[5])]
    assert [each.value for each in window] == [b"2", b"3", b"4"]
    both = [each async for each in scan(options, topic, from_ms=times[2], start={0: 4})]
    assert [each.value for each in both] == [b"4", b"5"]
    future = round(time.time() * 1000) + 60_000
    assert [each async for each in scan(options, topic, from_ms=future)] == []
    assert [each async for each in scan(options, topic, from_ms=0, to_ms=0)] == []
    assert len([each async for each in scan(options, topic, to_ms=future)]) == 6


async def test_left_early(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    await fill(options, topic, [2000])
    async with aclosing(scan(options, topic)) as records:
        async for each in records:
            if each.position.offset == 3:
                break
    assert each.value == b"0-3"


async def test_no_such_topic_or_partition(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    with pytest.raises(WrongUse, match="no topic nowhere"):
        await offsets(options, "nowhere")
    for partition in (1, -1):
        with pytest.raises(WrongUse, match="partitions 0 to 0"):
            _ = [each async for each in scan(options, topic, partitions=[partition])]


async def test_a_cluster_that_is_away() -> None:
    away = KafkaOptions(bootstrap="127.0.0.1:1", start_timeout_s=0.3)
    with pytest.raises(Unreachable):
        await offsets(away, "any")
    with pytest.raises(Unreachable):
        await read_at(away, [Position("any", 0, 0)])


async def test_bounds(options: KafkaOptions) -> None:
    topic = await make_topic(options, partitions=3)
    await fill(options, topic, [4, 0, 9])
    assert await offsets(options, topic) == {0: (0, 4), 1: (0, 0), 2: (0, 9)}


async def test_single_records_in_the_order_asked_for(options: KafkaOptions) -> None:
    topic, other = await make_topic(options, partitions=3), await make_topic(options)
    await fill(options, topic, [300, 5, 0])
    await fill(options, other, [2])
    asked = [
        Position(topic, 0, 299),
        Position(topic, 1, 0),
        Position(other, 0, 1),
        Position(topic, 0, 0),
        Position(topic, 0, 1),
        Position(topic, 0, 299),
    ]
    found = await read_at(options, asked)
    assert [each.position for each in found] == asked
    assert [each.value for each in found] == [b"0-299", b"1-0", b"0-1", b"0-0", b"0-1", b"0-299"]
    assert await read_at(options, []) == []


async def test_a_position_without_a_record(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    await fill(options, topic, [3])
    for offset in (3, 99):
        with pytest.raises(Corrupt, match=f"{topic}/0/{offset}"):
            await read_at(options, [Position(topic, 0, 0), Position(topic, 0, offset)])


async def test_what_retention_removed(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    await fill(options, topic, [10])
    await delete_before(options, topic, 6)
    assert await offsets(options, topic) == {0: (6, 10)}
    assert by_partition([each async for each in scan(options, topic, start={0: 2})]) == {0: [6, 7, 8, 9]}
    with pytest.raises(Corrupt, match=f"{topic}/0/5"):
        await read_at(options, [Position(topic, 0, 5)])


async def test_a_scan_leaves_no_group(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    await fill(options, topic, [3])
    before = await groups(options)
    assert len([each async for each in scan(options, topic)]) == 3
    await read_at(replace(options), [Position(topic, 0, 1)])
    assert await groups(options) == before


async def groups(options: KafkaOptions) -> set[str]:
    admin = make_admin(options, client_id="test")
    await admin.start()
    try:
        return {each[0] for each in await admin.list_consumer_groups()}  # type: ignore[attr-defined]
    finally:
        await admin.close()


async def delete_before(options: KafkaOptions, topic: str, offset: int) -> None:
    """What retention does, at once."""
    from aiokafka.admin import RecordsToDelete  # type: ignore[import-untyped]

    admin = make_admin(options, client_id="test")
    await admin.start()
    try:
        place = foreign(TopicPartition(topic, 0))
        await admin.delete_records({place: RecordsToDelete(offset)})  # type: ignore[attr-defined]
    finally:
        await admin.close()
