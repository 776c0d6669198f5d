"""Members of a group on a real cluster: rebalances, positions, pauses, commits, and callbacks that fail."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
import structlog

from broker.core.records import Commit, TopicPartition
from broker.errors import PositionConflict, Unreachable
from broker.log.admin.group_offsets import NOTE_BYTES
from broker.log.options import KafkaOptions
from tests.log.support import Member, fill, make_topic, nothing, record, unique, writing


@pytest.fixture
def brisk(options: KafkaOptions) -> KafkaOptions:
    """Rebalances within a second: heartbeats tell of them every 0.5 s."""
    return replace(options, session_timeout_s=2.0, rebalance_timeout_s=10.0, drain_timeout_s=5.0)


def places(topic: str, count: int) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(topic, number) for number in range(count))


async def test_reads_everything_from_the_start_in_order(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk, partitions=3)
    await fill(brisk, topic, [40, 0, 25])
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        await member.poll_until(lambda: len(member.seen) == 65)
        assert member.reader.assignment() == places(topic, 3)
        assert await member.poll() == []
    for partition, count in ((0, 40), (2, 25)):
        got = [each.value.decode() for each in member.seen if each.position.partition == partition]
        assert got == [f"{partition}-{n}" for n in range(count)]
    assert member.said == [("assigned", places(topic, 3)), ("revoked", places(topic, 3))]


async def test_max_records_is_a_limit(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk, partitions=2)
    await fill(brisk, topic, [30, 30])
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        sizes = []
        while len(member.seen) < 60:
            sizes.append(len(await member.poll(max_records=7)))
    assert max(sizes) == 7


async def test_two_members_share_and_the_second_takes_over(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk, partitions=4)
    group = unique("g")
    await fill(brisk, topic, [10] * 4)
    async with Member(brisk, group=group, topics=[topic]) as second:
        async with Member(brisk, group=group, topics=[topic]) as first:

            async def settle() -> None:
                async with asyncio.timeout(20):
                    while len(first.reader.assignment()) != 2 or len(second.reader.assignment()) != 2:
                        await asyncio.gather(first.poll(), second.poll())

            await settle()
            assert first.reader.assignment() | second.reader.assignment() == places(topic, 4)
            ending = asyncio.create_task(second.poll_until(lambda: len(second.reader.assignment()) == 4))
        await ending
    revoked = [held for what, held in second.said if what == "revoked"]
    assigned = [held for what, held in second.said if what == "assigned"]
    assert revoked == assigned, "each assignment ends in one revocation of the same partitions"
    assert assigned[-1] == places(topic, 4)


async def test_commits_and_notes_go_round(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk, partitions=3)
    group = unique("g")
    await fill(brisk, topic, [10] * 3)
    zero, one, two = sorted(places(topic, 3))
    async with Member(brisk, group=group, topics=[topic]) as member:
        await member.poll_until(lambda: len(member.seen) == 30)
        assert await member.reader.committed([zero, one, two]) == {}
        await member.reader.commit({zero: Commit(4, "进度:3"), one: Commit(7)})
    async with Member(brisk, group=group, topics=[topic]) as again:
        assert await again.reader.committed([zero, one, two]) == {
            zero: Commit(4, "进度:3"),
            one: Commit(7, ""),
        }
        assert await again.reader.committed([]) == {}
        await again.poll_until(lambda: len(again.seen) >= 6 + 3 + 10)
    assert sorted(again.values())[:6] == [f"0-{n}" for n in range(4, 10)]
    assert len(again.seen) == 19


async def test_a_note_too_long_is_left_out_the_offset_is_not(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk, partitions=2)
    zero, one = sorted(places(topic, 2))
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        await member.reader.commit(
            {zero: Commit(1, "x" * (NOTE_BYTES + 1)), one: Commit(2, "x" * NOTE_BYTES)}
        )
        assert await member.reader.committed([zero, one]) == {
            zero: Commit(1),
            one: Commit(2, "x" * NOTE_BYTES),
        }


async def test_one_bad_commit_does_not_hide_or_hold_up_the_others(
    brisk: KafkaOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker itself refuses a note over its limit: with our check out of the way it does, and we recover."""
    monkeypatch.setattr("broker.log.admin.group_offsets.NOTE_BYTES", 1_000_000)
    topic = await make_topic(brisk, partitions=2)
    zero, one = sorted(places(topic, 2))
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        await member.reader.commit({zero: Commit(1, "x" * 5000), one: Commit(2, "kept")})
        assert await member.reader.committed([zero, one]) == {zero: Commit(1), one: Commit(2, "kept")}


async def test_a_partition_that_is_not_held_cannot_be_committed(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk)
    other = TopicPartition(topic, 5)
    (mine,) = places(topic, 1)
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        with pytest.raises(PositionConflict, match=f"{topic}/5"):
            await member.reader.commit({mine: Commit(3), other: Commit(1)})
        assert await member.reader.committed([mine]) == {mine: Commit(3)}
        member.reader.seek(other, 1)
        member.reader.pause([other])
        member.reader.resume([other])


async def test_a_member_that_was_put_out_hears_it_at_its_commit(brisk: KafkaOptions) -> None:
    """A zombie: its generation is void, its partitions are another's; its commit must not go through."""
    topic = await make_topic(brisk)
    (mine,) = places(topic, 1)
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        inner: Any = member.reader._consumer
        inner._coordinator.generation -= 1
        with pytest.raises(PositionConflict):
            await member.reader.commit({mine: Commit(3)})
        await member.poll_until(lambda: [what for what, _ in member.said].count("assigned") == 2)
        assert await member.reader.committed([mine]) == {}


async def test_nothing_is_handed_out_before_assigned_has_sought(brisk: KafkaOptions) -> None:
    """The store says where to continue, and it takes its time; polls go on meanwhile and find nothing."""
    topic = await make_topic(brisk)
    await fill(brisk, topic, [20])
    member = Member(brisk, group=unique("g"), topics=[topic])
    (mine,) = places(topic, 1)
    sought = False

    async def seek_slowly(_: object) -> None:
        nonlocal sought
        await asyncio.sleep(1.0)
        member.reader.seek(mine, 15)
        sought = True

    member.on_assigned = seek_slowly
    async with member:
        early = 0
        while not sought:
            begun = time.monotonic()
            assert await member.poll(wait_s=0.1) == []
            assert time.monotonic() - begun < 0.5
            early += 1
        assert early > 3
        await member.poll_until(lambda: len(member.seen) >= 5)
    assert member.values() == [f"0-{n}" for n in range(15, 20)]


async def test_seek_back_and_forth(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk)
    await fill(brisk, topic, [10])
    (mine,) = places(topic, 1)
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        await member.poll_until(lambda: len(member.seen) == 10)
        member.reader.seek(mine, 8)
        await member.poll_until(lambda: len(member.seen) == 12)
        member.reader.seek(mine, 0)
        await member.poll_until(lambda: len(member.seen) == 22)
    assert member.values()[10:14] == ["0-8", "0-9", "0-0", "0-1"]


async def test_a_pause_made_in_assigned_holds_until_resumed(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk, partitions=2)
    await fill(brisk, topic, [5, 5])
    zero = TopicPartition(topic, 0)
    member = Member(brisk, group=unique("g"), topics=[topic])

    async def pause_zero(_: object) -> None:
        member.reader.pause([zero])

    member.on_assigned = pause_zero
    async with member:
        await member.poll_until(lambda: len(member.seen) == 5)
        for _ in range(5):
            assert await member.poll() == []
        member.reader.resume([zero])
        await member.poll_until(lambda: len(member.seen) == 10)
    assert [each.position.partition for each in member.seen] == [1] * 5 + [0] * 5


async def test_a_pause_survives_when_the_partition_comes_straight_back(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk, partitions=2)
    more = await make_topic(brisk)
    await fill(brisk, topic, [5, 5])
    await fill(brisk, more, [3])
    zero = TopicPartition(topic, 0)
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        await member.poll_until(lambda: len(member.seen) == 10)
        member.reader.pause([zero])
        member.reader.seek(zero, 0)
        await member.reader.subscribe([topic, more])
        await member.poll_until(lambda: member.values().count("0-0") >= 2)  # of `more`: its partition 0
        await asyncio.sleep(0.5)
        await member.poll()
        again = [each for each in member.seen[10:] if each.position.topic == topic]
        assert {each.position.partition for each in again} == {1}


async def test_subscribe_grows_and_hands_over_first(brisk: KafkaOptions) -> None:
    topic, more = await make_topic(brisk), await make_topic(brisk)
    await fill(brisk, topic, [4])
    await fill(brisk, more, [4])
    (mine,) = places(topic, 1)
    member = Member(brisk, group=unique("g"), topics=[topic])

    async def commit(_: object) -> None:
        if member.seen:
            await member.reader.commit({mine: Commit(len(member.seen))})

    member.on_revoked = commit
    async with member:
        await member.poll_until(lambda: len(member.seen) == 4)
        await member.reader.subscribe([topic, more])
        await member.reader.subscribe([more, topic])
        await member.poll_until(lambda: len(member.seen) == 8)
        assert {each.position.topic for each in member.seen[4:]} == {more}
        assert await member.reader.committed([mine]) == {mine: Commit(4)}
    assert [what for what, _ in member.said] == ["assigned", "revoked", "assigned", "revoked"]


async def test_a_failing_assigned_surfaces_and_is_tried_again(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk)
    await fill(brisk, topic, [3])
    member = Member(brisk, group=unique("g"), topics=[topic])
    failures = 2

    async def fail_twice(_: object) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise Unreachable("the store is away")

    member.on_assigned = fail_twice
    async with member:
        for _ in range(2):
            with pytest.raises(Unreachable, match="the store is away"):
                await member.poll_until(lambda: bool(member.seen))
            assert member.seen == []
        await member.poll_until(lambda: len(member.seen) == 3)


async def test_a_failing_revoked_surfaces(brisk: KafkaOptions) -> None:
    topic, more = await make_topic(brisk), await make_topic(brisk)
    member = Member(brisk, group=unique("g"), topics=[topic])

    async def fail(_: object) -> None:
        raise ValueError("the drain broke")

    member.on_revoked = fail
    async with member:
        await member.reader.subscribe([topic, more])
        with pytest.raises(ValueError, match="the drain broke"):
            await member.poll()
        await member.poll_until(lambda: len(member.reader.assignment()) == 2)


async def test_a_drain_is_bounded(brisk: KafkaOptions) -> None:
    hasty = replace(brisk, drain_timeout_s=0.5)
    topic, more = await make_topic(hasty), await make_topic(hasty)
    member = Member(hasty, group=unique("g"), topics=[topic])

    async def hang(_: object) -> None:
        await asyncio.sleep(60)

    member.on_revoked = hang
    async with member:
        begun = time.monotonic()
        await member.reader.subscribe([topic, more])
        assert 0.4 < time.monotonic() - begun < 2
        await member.poll_until(lambda: len(member.reader.assignment()) == 2)
        begun = time.monotonic()
    assert time.monotonic() - begun < 3


async def test_poll_keeps_to_its_time_while_the_group_rebalances(brisk: KafkaOptions) -> None:
    """The drain of one waits for the next poll to return: a poll that waited for the rebalance would lock up."""
    topic = await make_topic(brisk, partitions=2)
    group = unique("g")
    first = Member(brisk, group=group, topics=[topic])
    polls = 0
    slowest = 0.0

    async def wait_for_polls(_: object) -> None:
        until = polls + 5
        while polls < until:
            await asyncio.sleep(0.01)

    first.on_revoked = wait_for_polls
    async with first, writing(brisk) as writer:
        stop = False

        async def keep_polling() -> None:
            nonlocal polls, slowest
            while not stop:
                begun = time.monotonic()
                await first.poll(wait_s=0.1)
                slowest = max(slowest, time.monotonic() - begun)
                polls += 1

        async def keep_writing() -> None:
            while not stop:
                await writer.write([record(topic, b"x", partition=0), record(topic, b"x", partition=1)])
                await asyncio.sleep(0.02)

        at_work = [asyncio.create_task(keep_polling()), asyncio.create_task(keep_writing())]
        async with Member(brisk, group=group, topics=[topic]):
            await asyncio.sleep(1.5)
        await asyncio.sleep(1.5)
        first.on_revoked = nothing
        stop = True
        await asyncio.gather(*at_work)
    assert len([what for what, _ in first.said if what == "revoked"]) >= 2
    assert slowest < 1.0
    offsets = [(each.position.partition, each.position.offset) for each in first.seen]
    assert set(offsets) >= {(p, n) for p in (0, 1) for n in range(max(o for q, o in offsets if q == p) + 1)}


async def test_a_cancelled_poll_loses_nothing(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk)
    async with Member(brisk, group=unique("g"), topics=[topic]) as member, writing(brisk) as writer:
        await member.poll()
        for n in range(60):
            polling = asyncio.create_task(member.poll(wait_s=1.0))
            await asyncio.sleep(0.001 * (n % 7))
            writing_one = asyncio.create_task(writer.write([record(topic, f"{n}".encode())]))
            await asyncio.sleep(0.001 * (n % 5))
            polling.cancel()
            await asyncio.gather(polling, writing_one, return_exceptions=True)
        await member.poll_until(lambda: len(set(member.values())) == 60)
    assert member.values() == [f"{n}" for n in range(60)]


async def test_everything_paused_keeps_the_membership(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk)
    await fill(brisk, topic, [3])
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        await member.poll_until(lambda: len(member.seen) == 3)
        member.reader.pause(member.reader.assignment())
        until = time.monotonic() + 3 * brisk.session_timeout_s
        while time.monotonic() < until:
            assert await member.poll(wait_s=0.2) == []
        assert len(member.said) == 1
        member.reader.resume(member.reader.assignment())
        await fill(brisk, topic, [1])
        await member.poll_until(lambda: len(member.seen) == 4)


async def test_a_static_member_comes_back_without_a_rebalance(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk, partitions=2)
    group = unique("g")
    lasting = replace(brisk, session_timeout_s=8.0)
    async with Member(lasting, group=group, topics=[topic], member="one") as one:
        two = Member(lasting, group=group, topics=[topic], member="two")
        joining = asyncio.create_task(two.reader.start())
        await one.poll_until(lambda: joining.done() and len(one.reader.assignment()) == 1)
        held = two.reader.assignment()
        said = len(one.said)
        await two.reader.close()
        async with Member(lasting, group=group, topics=[topic], member="two") as back:
            await asyncio.gather(back.poll_until(lambda: bool(back.reader.assignment())), one.poll(wait_s=1))
            assert back.reader.assignment() == held
            assert len(one.said) == said


async def test_a_reader_whose_coordination_died_is_replaced(brisk: KafkaOptions) -> None:
    """A bug within the client ends its coordination for good; known of aiokafka as consumers that fall silent."""
    topic = await make_topic(brisk)
    await fill(brisk, topic, [2])
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        await member.poll_until(lambda: len(member.seen) == 2)
        inner: Any = member.reader._consumer

        async def broken(*_: object) -> None:
            raise AssertionError("Received an assignment for unsubscribed topic")

        inner._coordinator.ensure_active_group = broken
        inner._coordinator.request_rejoin()
        faults = 0
        with structlog.testing.capture_logs() as events:
            async with asyncio.timeout(20):
                while len(member.seen) < 4:
                    try:
                        await member.poll()
                    except Unreachable:
                        faults += 1
        assert faults == 3
        assert "reader_replaced" in [each["event"] for each in events]
        assert member.reader._consumer is not inner


async def test_a_topic_that_never_comes_and_a_cluster_that_is_away(brisk: KafkaOptions) -> None:
    for options, topic in (
        (replace(brisk, start_timeout_s=1.0), unique("never")),
        (replace(brisk, bootstrap="127.0.0.1:1", start_timeout_s=0.5), "any"),
    ):
        member = Member(options, group=unique("g"), topics=[topic])
        begun = time.monotonic()
        with pytest.raises(Unreachable, match="joining"):
            await member.reader.start()
        assert time.monotonic() - begun < 8
        await member.reader.close()
    assert await member.reader.poll(max_records=1, wait_s=0) == {}


async def test_where_partitions_end(brisk: KafkaOptions) -> None:
    topic = await make_topic(brisk, partitions=2)
    await fill(brisk, topic, [3, 0])
    zero, one = sorted(places(topic, 2))
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        assert await member.reader.ends([zero, one]) == {zero: 3, one: 0}
        assert await member.reader.ends([]) == {}
    with pytest.raises(Unreachable):
        await member.reader.ends([zero])


async def test_the_group_is_heard_of_while_it_lives_and_not_after_it_put_a_member_out(
    brisk: KafkaOptions,
) -> None:
    topic = await make_topic(brisk, partitions=1)
    begun_s = time.monotonic()
    async with Member(brisk, group=unique("g"), topics=[topic]) as member:
        await member.poll_until(lambda: bool(member.reader.assignment()))
        first_s = member.reader.heard_s()
        assert begun_s < first_s <= time.monotonic()
        async with asyncio.timeout(5):
            while member.reader.heard_s() < first_s + 1.0:  # two heartbeats later, without a rebalance
                await member.poll()
        assert member.reader.heard_s() <= time.monotonic()
