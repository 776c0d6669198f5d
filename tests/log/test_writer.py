"""The writer on a real cluster: order, durability, and what it says when it cannot know."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog

from broker.core.records import NewRecord, Position
from broker.errors import NotDurable, Unreachable, WrongUse
from broker.log.options import KafkaOptions
from broker.log.partitioner import partition_of
from broker.log.reading.scan import scan
from broker.log.writing.writer import Writer
from deploy.kafka.cluster import EmbeddedKafka
from tests.log.support import make_topic, record, writing


@pytest.fixture(scope="module")
def fragile() -> Iterator[EmbeddedKafka]:
    """One node that tests may kill."""
    cluster = EmbeddedKafka()
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


async def in_log(options: KafkaOptions, topic: str) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = defaultdict(list)
    async for each in scan(options, topic):
        found[each.position.partition].append(each.value)
    return found


async def test_positions_are_where_the_records_are(options: KafkaOptions) -> None:
    topic = await make_topic(options, partitions=3)
    records = [record(topic, f"{n}".encode(), partition=n % 3) for n in range(30)]
    async with writing(options) as writer:
        positions = await writer.write(records)
        assert await writer.write([]) == []
    at = {each.position: each.value async for each in scan(options, topic)}
    assert [at[position] for position in positions] == [each.value for each in records]


async def test_all_of_a_record_comes_back(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    sent = NewRecord(
        topic=topic,
        key="451300/案件".encode(),
        value=bytes(range(256)),
        headers=(("ce_id", b"1"), ("ce_id", b"twice"), ("empty", b"")),
        partition=0,
    )
    async with writing(options) as writer:
        (position,) = await writer.write([sent])
    (read,) = [each async for each in scan(options, topic)]
    assert (read.position, read.key, read.value, read.headers) == (
        position,
        sent.key,
        sent.value,
        sent.headers,
    )
    assert read.timestamp_ms > 1_600_000_000_000


async def test_a_key_chooses_kafkas_partition(options: KafkaOptions) -> None:
    topic = await make_topic(options, partitions=7)
    keys = [f"451300/{number}".encode() for number in range(50)]
    async with writing(options) as writer:
        positions = await writer.write([record(topic, b"", key=key, partition=None) for key in keys])
    assert [position.partition for position in positions] == [partition_of(key, 7) for key in keys]


async def test_order_of_calls_under_concurrency(options: KafkaOptions) -> None:
    """2,000 calls of two records, not one awaited before the next, batches kept small so that many fly."""
    small = replace(options, batch_bytes=2048)
    topic = await make_topic(small, partitions=2)
    async with writing(small) as writer:

        async def call(n: int) -> None:
            await writer.write([record(topic, f"{n}.{part}".encode(), partition=n % 2) for part in (0, 1)])

        await asyncio.gather(*(call(n) for n in range(2000)))
    found = await in_log(small, topic)
    for partition in (0, 1):
        assert found[partition] == [
            f"{n}.{part}".encode() for n in range(partition, 2000, 2) for part in (0, 1)
        ]


async def test_order_while_a_topic_is_still_being_looked_up(options: KafkaOptions) -> None:
    """Calls that waited for the look-up go on one by one: none that comes meanwhile may slip in between."""
    topic = await make_topic(options)
    async with writing(options) as writer:
        channel: Any = writer._channel
        look_up = channel.partitions

        async def slowly(name: str) -> frozenset[int]:
            await asyncio.sleep(0.05)
            return frozenset(await look_up(name))

        channel.partitions = slowly
        calls: list[asyncio.Task[list[Position]]] = []
        while len(calls) < 1000:
            value = f"{len(calls)}".encode()
            calls.append(asyncio.create_task(writer.write([record(topic, value, partition=None)])))
            await asyncio.sleep(0 if len(calls) > 100 else 0.0004)
        channel.partitions = look_up
        await asyncio.gather(*calls)
    assert (await in_log(options, topic))[0] == [f"{n}".encode() for n in range(1000)]


async def test_a_record_larger_than_a_batch_and_one_too_large(options: KafkaOptions) -> None:
    limited = replace(options, max_record_bytes=1024 * 1024, batch_bytes=4096)
    topic = await make_topic(limited, max_message_bytes=str(limited.max_batch_bytes))
    async with writing(limited) as writer:
        large = record(topic, b"x" * (1024 * 1024 - 200))
        assert await writer.write([large, record(topic, b"small")]) == [Position(topic, 0, n) for n in (0, 1)]
        with pytest.raises(WrongUse, match="max_record_bytes"):
            await writer.write([record(topic, b"before"), record(topic, b"x" * 1024 * 1024)])
        assert await writer.write([record(topic, b"after")]) == [Position(topic, 0, 2)]


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_is_read_again(options: KafkaOptions, compression: Any) -> None:
    packed = replace(options, compression=compression)
    topic = await make_topic(packed)
    async with writing(packed) as writer:
        await writer.write([record(topic, b"squeeze " * 100) for _ in range(20)])
    assert (await in_log(packed, topic))[0] == [b"squeeze " * 100] * 20


async def test_what_cannot_have_been_written_is_said_so(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    async with writing(replace(options, request_timeout_s=0.5)) as writer:
        with pytest.raises(Unreachable, match="has no partition 9; nothing was written") as unknown:
            await writer.write([record(topic, b"", partition=9)])
        assert not isinstance(unknown.value, NotDurable)
        with pytest.raises(Unreachable, match="UnknownTopicOrPartitionError"):
            await writer.write([record("no-such-topic", b"", partition=None)])
        assert await writer.write([record(topic, b"fine")]) == [Position(topic, 0, 0)]


async def test_a_caller_that_has_gone_leaves_nothing_to_be_sent(options: KafkaOptions) -> None:
    topic = await make_topic(options)
    async with writing(options) as writer:
        gone = asyncio.create_task(writer.write([record(topic, b"gone")]))
        stays = asyncio.create_task(writer.write([record(topic, b"stays")]))
        await asyncio.sleep(0)  # both are waiting, neither is sent
        gone.cancel()
        await stays
        with pytest.raises(asyncio.CancelledError):
            await gone
    assert (await in_log(options, topic))[0] == [b"stays"]


async def test_a_broken_producer_is_replaced_and_nothing_is_lost_in_silence(options: KafkaOptions) -> None:
    """A gap in the sequence numbers, as an expired batch leaves it: the broker refuses all later batches."""
    topic = await make_topic(options, partitions=2)
    async with writing(options) as writer:
        await writer.write([record(topic, b"0"), record(topic, b"other", partition=1)])
        broken: Any = writer._channel
        place = next(
            place for place in broken._producer._txn_manager._sequence_numbers if place.partition == 0
        )
        broken._producer._txn_manager.increment_sequence_number(place, 5)
        with structlog.testing.capture_logs() as events:
            flying = asyncio.create_task(writer.write([record(topic, b"1")]))
            while not broken._in_flight:  # the next four then wait behind it
                await asyncio.sleep(0)
            async with asyncio.timeout(10):  # well before their deadline: it is known that they failed
                answers = await asyncio.gather(
                    flying,
                    *(writer.write([record(topic, f"{n}".encode())], deadline_s=60) for n in range(2, 6)),
                    writer.write([record(topic, b"other too", partition=1)]),
                    return_exceptions=True,
                )
        assert all(isinstance(answer, NotDurable) for answer in answers[:5])
        assert answers[5] == [Position(topic, 1, 1)]
        assert [each["event"] for each in events] == ["writer_replaced"]
        assert await writer.write([record(topic, b"again")]) == [Position(topic, 0, 1)]
        assert writer._channel is not broken
    assert (await in_log(options, topic))[0] == [b"0", b"again"]


async def test_never_a_false_yes_while_kafka_is_away(fragile: EmbeddedKafka) -> None:
    options = KafkaOptions(bootstrap=fragile.bootstrap, start_timeout_s=20)
    topic = await make_topic(options)
    accepted: list[bytes] = []
    refused: list[bytes] = []
    async with writing(options) as writer:

        async def write(value: bytes, deadline_s: float) -> None:
            try:
                await writer.write([record(topic, value)], deadline_s=deadline_s)
            except NotDurable:
                refused.append(value)
            else:
                accepted.append(value)

        await write(b"before", 5)
        await fragile.kill_node(1)
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(write(f"away-{n}".encode(), 1.0) for n in range(20)))
        assert asyncio.get_running_loop().time() - started < 2.0
        await write(b"away-later", 0.5)
        assert accepted == [b"before"]
        await fragile.start_node(1)
        await write(b"after", 15)
    assert accepted == [b"before", b"after"]
    stored = (await in_log(options, topic))[0]
    assert set(accepted) <= set(stored)
    assert len(set(stored)) == len(stored)
    assert b"away-later" not in stored, "given up by its caller before it was sent: it must not be sent later"


async def test_first_start_waits_for_the_cluster(fragile: EmbeddedKafka) -> None:
    options = KafkaOptions(bootstrap=fragile.bootstrap, start_timeout_s=30)
    topic = await make_topic(options)
    await fragile.kill_node(1)
    with pytest.raises(Unreachable, match="connecting to"):
        await Writer(replace(options, start_timeout_s=0.5), client_id="test").start()
    writer = Writer(options, client_id="test")
    starting = asyncio.create_task(writer.start())
    await asyncio.sleep(0.3)
    assert not starting.done()
    await fragile.start_node(1)
    await starting
    assert await writer.write([record(topic, b"1")]) == [Position(topic, 0, 0)]
    await writer.close()


async def test_close_sends_what_waits_and_fails_what_cannot(fragile: EmbeddedKafka) -> None:
    options = KafkaOptions(bootstrap=fragile.bootstrap, start_timeout_s=20)
    topic = await make_topic(options)
    writer = Writer(options, client_id="test")
    await writer.start()
    last = asyncio.create_task(writer.write([record(topic, b"last")]))
    await asyncio.sleep(0)
    await writer.close()
    assert await last == [Position(topic, 0, 0)]
    with pytest.raises(WrongUse, match="closed"):
        await writer.write([record(topic, b"late")])

    writer = Writer(options, client_id="test")
    await writer.start()
    await fragile.kill_node(1)
    stuck = asyncio.create_task(writer.write([record(topic, b"stuck")], deadline_s=60))
    await asyncio.sleep(0.1)
    await writer.close()
    with pytest.raises(NotDurable):
        await stuck
    await fragile.start_node(1)
