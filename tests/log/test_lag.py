"""Lag in records and in exact seconds, on a real cluster; a dead partition is unknown, the others are not."""

from __future__ import annotations

import asyncio
import time

import pytest

from broker.core.records import Commit, TopicPartition
from broker.errors import NotDurable, Unreachable
from broker.log.admin.group_admin import set_committed
from broker.log.admin.topic_admin import TopicAdmin
from broker.log.options import KafkaOptions
from broker.log.reading.end_history import EndHistory
from broker.log.reading.lag import Exactness, PartitionLag, group_lag
from broker.log.reading.scan import offsets, read_at
from deploy.kafka.cluster import EmbeddedKafka
from tests.log.support import fill, make_topic, record, unique, writing
from tests.log.test_scan import delete_before


async def commit(options: KafkaOptions, group: str, topic: str, *next_offsets: int) -> None:
    await set_committed(
        options,
        group,
        {TopicPartition(topic, number): Commit(offset) for number, offset in enumerate(next_offsets)},
    )


def lag(topic: str, partition: int, **facts: object) -> PartitionLag:
    unknown: dict[str, object] = {"committed": None, "lag": None, "seconds": None}
    known = {"begin": 0, "exactness": Exactness.UNKNOWN}
    return PartitionLag(topic=topic, partition=partition, **(unknown | known | facts))  # type: ignore[arg-type]


async def test_exact_seconds_of_the_record_at_the_commit(options: KafkaOptions) -> None:
    topic = await make_topic(options, partitions=3)
    group = unique("g")
    async with writing(options) as writer:
        at = []
        for n in range(4):
            at.extend(await writer.write([record(topic, f"{n}".encode())]))
            await asyncio.sleep(0.05)
        await writer.write([record(topic, b"", partition=1)])
    await commit(options, group, topic, 2, 1)
    (oldest,) = await read_at(options, [at[2]])
    now_s = oldest.timestamp_ms / 1000 + 12.5

    found = await group_lag(options, group, [topic], now_s=lambda: now_s)

    exact = Exactness.EXACT
    assert found == [
        lag(topic, 0, committed=2, end=4, lag=2, seconds=pytest.approx(12.5), exactness=exact),
        lag(topic, 1, committed=1, end=1, lag=0, seconds=0.0, exactness=exact),
        lag(topic, 2, end=0),  # no commit yet: unknown, not 0
    ]
    real = await group_lag(options, group, [topic])
    assert real[0].seconds == pytest.approx(time.time() - oldest.timestamp_ms / 1000, abs=2)


async def test_without_topics_those_that_have_commits(options: KafkaOptions) -> None:
    first, second, third = [await make_topic(options) for _ in range(3)]
    group = unique("g")
    await fill(options, first, [3])
    await commit(options, group, first, 1)
    await commit(options, group, second, 0)
    assert [(each.topic, each.lag) for each in await group_lag(options, group)] == sorted(
        [(first, 2), (second, 0)]
    )
    assert [each.topic for each in await group_lag(options, group, [third, "no-such-topic"])] == [third]
    assert await group_lag(options, unique("nobody")) == []
    assert await group_lag(options, group, []) == []


async def test_a_commit_before_what_retention_left_is_an_estimate(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    group = unique("g")
    await fill(options, topic, [10])
    await commit(options, group, topic, 2)
    await delete_before(options, topic, 6)
    (found,) = await group_lag(options, group, [topic])
    assert (found.committed, found.begin, found.lag, found.exactness) == (2, 6, 4, Exactness.ESTIMATED)
    assert found.seconds is not None


async def test_a_clock_behind_the_logs_gives_no_negative_age(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    group = unique("g")
    await fill(options, topic, [1])
    await commit(options, group, topic, 0)
    (found,) = await group_lag(options, group, [topic], now_s=lambda: 1_000_000_000.0)
    assert (found.seconds, found.exactness) == (0.0, Exactness.EXACT)


async def test_a_history_is_noted_in(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    group, history = unique("g"), EndHistory()
    await commit(options, group, topic, 0)
    await group_lag(options, group, [topic], history=history, now_s=lambda: 1000.0)
    await fill(options, topic, [10])
    await group_lag(options, group, [topic], history=history, now_s=lambda: 1010.0)
    assert history.written_at_s(TopicPartition(topic, 0), 5) == 1005.0


async def test_a_cluster_that_is_away_is_a_fault_not_a_zero() -> None:
    with pytest.raises(Unreachable):
        await group_lag(KafkaOptions(bootstrap="127.0.0.1:1", start_timeout_s=0.3), "g")


async def test_a_dead_partition_is_unknown_and_the_others_are_exact(kafka3: EmbeddedKafka) -> None:
    """Six partitions of one copy each over three nodes, one node killed: its partitions have no leader.

    On the way: a partition without a leader breaks the writer's producer; the others go on.
    """
    options = KafkaOptions(bootstrap=kafka3.bootstrap, start_timeout_s=20, request_timeout_s=4)
    topic = await make_topic(options, partitions=6)
    group = unique("g")
    await fill(options, topic, [2] * 6)
    await commit(options, group, topic, 1, 1, 1, 1, 1, 1)
    victim = await node_without_coordinator(options, group)
    async with writing(options) as writer:
        await kafka3.kill_node(victim)
        async with TopicAdmin(options) as admin, asyncio.timeout(20):
            while not (dead := {number for _, number in await admin.leaderless([topic])}):
                await asyncio.sleep(0.2)

        begun = time.monotonic()
        found = await group_lag(options, group, [topic])
        assert time.monotonic() - begun < 12
        assert len(found) == 6
        for each in found:
            assert each.committed == 1
            if each.partition in dead:
                assert (each.lag, each.seconds, each.exactness) == (None, None, Exactness.UNKNOWN)
            else:
                assert (each.lag, each.exactness) == (1, Exactness.EXACT)

        lost, *_ = dead
        alive = next(number for number in range(6) if number not in dead)
        for _ in range(3):  # the second and third time the first producer would be broken for ever
            with pytest.raises(NotDurable):
                await writer.write([record(topic, b"lost", partition=lost)], deadline_s=6)
            await writer.write([record(topic, b"alive", partition=alive)], deadline_s=10)
        await kafka3.start_node(victim)
        await writer.write([record(topic, b"back", partition=lost)], deadline_s=20)
    ends = await offsets(options, topic)
    assert ends[alive] == (0, 5)
    assert ends[lost][1] >= 3


async def node_without_coordinator(options: KafkaOptions, group: str) -> int:
    from broker.log.clients import make_admin

    admin = make_admin(options, client_id="test")
    await admin.start()
    try:
        coordinator = await admin.find_coordinator(group)  # type: ignore[attr-defined]
        return next(node for node in (1, 2, 3) if node != coordinator)
    finally:
        await admin.close()
