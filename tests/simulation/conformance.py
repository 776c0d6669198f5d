"""What the log and its group do for delivery: one suite, run on the fakes and on a real Kafka.

Without it the fakes would drift, and the simulation prove something of a world that is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import pytest

from broker.core.records import Commit, NewRecord, Position, Record, TopicPartition
from broker.delivery.ports import Ledger, OnPartitions, Reader
from broker.errors import PositionConflict

Places = frozenset[TopicPartition]


class GroupMember(Reader, Protocol):
    """The reader of delivery's port, and what it holds."""

    def assignment(self) -> Places: ...


class Ground(Protocol):
    """Where the suite runs."""

    @property
    def writer(self) -> Ledger:
        """A writer of its log."""

    async def topic(self, partitions: int) -> str:
        """A new topic."""

    def member(
        self,
        group: str,
        topics: Sequence[str],
        *,
        assigned: OnPartitions,
        revoked: OnPartitions,
        instance: str | None = None,
    ) -> GroupMember:
        """A member, not started."""

    def make_zombie(self, member: GroupMember) -> None:
        """The group has put this member out, and it does not know."""

    async def vanish(self, member: GroupMember) -> None:
        """The member's process dies: nothing is handed over, nobody is told."""


class Seat:
    """A member, and what was said to it and read by it."""

    def __init__(
        self, ground: Ground, group: str, topics: Sequence[str], *, instance: str | None = None
    ) -> None:
        self.said: list[tuple[str, Places]] = []
        self.seen: list[Record] = []
        self.on_assigned: OnPartitions = nothing
        self.on_revoked: OnPartitions = nothing
        self.reader = ground.member(
            group, topics, assigned=self._assigned, revoked=self._revoked, instance=instance
        )

    async def __aenter__(self) -> Seat:
        await self.reader.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.reader.close()

    async def _assigned(self, places: Places) -> None:
        self.said.append(("assigned", places))
        await self.on_assigned(places)

    async def _revoked(self, places: Places) -> None:
        self.said.append(("revoked", places))
        await self.on_revoked(places)

    async def poll(self, *, max_records: int = 500) -> int:
        found = await self.reader.poll(max_records=max_records, wait_s=0.1)
        for place, records in found.items():
            assert all(each.position.topic == place.topic for each in records)
        self.seen += [each for records in found.values() for each in records]
        return sum(map(len, found.values()))

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(25):
            while not done():
                await self.poll()

    def values(self, since: int = 0) -> list[str]:
        return [each.value.decode() for each in self.seen[since:]]

    def told(self, what: str) -> list[Places]:
        return [places for said, places in self.said if said == what]


async def nothing(_: Places) -> None:
    return


def places(topic: str, count: int) -> Places:
    return frozenset(TopicPartition(topic, number) for number in range(count))


async def fill(ground: Ground, topic: str, counts: Sequence[int]) -> list[Position]:
    """``counts[p]`` records ``p-n`` on each partition."""
    return await ground.writer.write(
        [
            NewRecord(topic=topic, key=b"451300/1", value=f"{p}-{n}".encode(), headers=(("k", b"v"),), partition=p)
            for p, count in enumerate(counts)
            for n in range(count)
        ]
    )  # fmt: skip


async def a_writer_keeps_order_and_says_where(ground: Ground) -> None:
    topic = await ground.topic(2)
    assert [each.offset for each in await fill(ground, topic, [3, 2])] == [0, 1, 2, 0, 1]
    assert [each.offset for each in await fill(ground, topic, [2])] == [3, 4]
    several = await asyncio.gather(*(fill(ground, topic, [2]) for _ in range(4)))
    assert sorted(each.offset for some in several for each in some) == list(range(5, 13))
    assert all(some[0].offset + 1 == some[1].offset for some in several)


async def reading_begins_at_the_start_and_keeps_order(ground: Ground) -> None:
    topic = await ground.topic(3)
    await fill(ground, topic, [40, 0, 25])
    async with Seat(ground, f"g-{topic}", [topic]) as seat:
        sizes = []
        async with asyncio.timeout(25):
            while len(seat.seen) < 65:
                sizes.append(await seat.poll(max_records=7))
        assert max(sizes) == 7
        assert await seat.poll() == 0
        assert seat.reader.assignment() == places(topic, 3)
    for partition, count in ((0, 40), (2, 25)):
        got = [each.value.decode() for each in seat.seen if each.position.partition == partition]
        assert got == [f"{partition}-{n}" for n in range(count)]
    assert seat.seen[0].headers == (("k", b"v"),)
    assert seat.seen[0].key == b"451300/1"


async def a_commit_with_its_note_is_read_back_and_begun_at(ground: Ground) -> None:
    topic = await ground.topic(3)
    zero, one, two = sorted(places(topic, 3))
    await fill(ground, topic, [6, 6, 6])
    async with Seat(ground, f"g-{topic}", [topic]) as seat:
        await seat.until(lambda: len(seat.seen) == 18)
        assert await seat.reader.committed([zero, one, two]) == {}
        await seat.reader.commit({zero: Commit(4, "进度:3"), one: Commit(5)})
        await seat.reader.commit({two: Commit(1, "x" * 4097)})
        assert await seat.reader.ends([zero, two]) == {zero: 6, two: 6}
    async with Seat(ground, f"g-{topic}", [topic]) as again:
        expected = {zero: Commit(4, "进度:3"), one: Commit(5, ""), two: Commit(1, "")}
        assert await again.reader.committed([zero, one, two]) == expected
        await again.until(lambda: len(again.seen) >= 8)
        assert sorted(again.values()) == ["0-4", "0-5", "1-5", *(f"2-{n}" for n in range(1, 6))]


async def a_rebalance_takes_everything_and_gives_anew(ground: Ground) -> None:
    topic = await ground.topic(4)
    await fill(ground, topic, [3] * 4)
    async with Seat(ground, f"g-{topic}", [topic]) as first:
        await first.until(lambda: len(first.seen) == 12)
        async with Seat(ground, f"g-{topic}", [topic]) as second:
            async with asyncio.timeout(25):
                while len(first.reader.assignment()) != 2 or len(second.reader.assignment()) != 2:
                    await asyncio.gather(first.poll(), second.poll())
            held = first.reader.assignment(), second.reader.assignment()
            assert held[0] | held[1] == places(topic, 4)
            assert first.told("revoked")[0] == places(topic, 4), "eager: everything is taken first"
        await first.until(lambda: len(first.reader.assignment()) == 4)
    assert first.told("assigned") == first.told("revoked"), "each assignment ends in one revocation of it"


async def positions_are_forgotten_at_a_rebalance_and_pauses_kept(ground: Ground) -> None:
    topic, more = await ground.topic(2), await ground.topic(1)
    zero, one = sorted(places(topic, 2))
    await fill(ground, topic, [5, 5])
    async with Seat(ground, f"g-{topic}", [topic]) as seat:
        await seat.until(lambda: len(seat.seen) == 10)
        seat.reader.seek(one, 3)
        await seat.until(lambda: len(seat.seen) == 12)
        assert seat.values(10) == ["1-3", "1-4"]
        await seat.reader.commit({zero: Commit(2), one: Commit(4)})
        seat.reader.pause([zero])
        seat.reader.seek(one, 0)
        seen = len(seat.seen)
        await seat.reader.subscribe([topic, more])
        await seat.until(lambda: len(seat.reader.assignment()) == 3 and "1-4" in seat.values(seen))
        for _ in range(3):
            await seat.poll()
        assert seat.values(seen) == ["1-4"], "from the commit on, whatever was sought; the pause holds"
        seat.reader.resume([zero])
        await seat.until(lambda: len(seat.seen) == seen + 4)
        assert seat.values(seen + 1) == ["0-2", "0-3", "0-4"]


async def the_commit_of_a_zombie_is_refused(ground: Ground) -> None:
    topic = await ground.topic(1)
    (mine,) = places(topic, 1)
    async with Seat(ground, f"g-{topic}", [topic]) as seat:
        await seat.until(lambda: len(seat.told("assigned")) == 1)
        await seat.reader.commit({mine: Commit(2, "held")})
        ground.make_zombie(seat.reader)
        with pytest.raises(PositionConflict):
            await seat.reader.commit({mine: Commit(3)})
        assert await seat.reader.committed([mine]) == {mine: Commit(2, "held")}
        await seat.until(lambda: len(seat.told("assigned")) == 2)
        assert seat.told("revoked") == [frozenset({mine})], "it hears that it has lost everything"
        await seat.reader.commit({mine: Commit(3)})
        assert await seat.reader.committed([mine]) == {mine: Commit(3)}


async def what_is_not_held_cannot_be_committed_the_rest_is(ground: Ground) -> None:
    topic = await ground.topic(1)
    (mine,), other = places(topic, 1), TopicPartition(topic, 5)
    async with Seat(ground, f"g-{topic}", [topic]) as seat:
        await seat.until(lambda: bool(seat.told("assigned")))
        with pytest.raises(PositionConflict):
            await seat.reader.commit({mine: Commit(3), other: Commit(1)})
        assert await seat.reader.committed([mine]) == {mine: Commit(3)}
        seat.reader.seek(other, 1)
        seat.reader.pause([other])
        seat.reader.resume([other])


async def nothing_is_handed_out_before_assigned_has_returned(ground: Ground) -> None:
    topic = await ground.topic(1)
    (mine,) = places(topic, 1)
    await fill(ground, topic, [6])
    seat = Seat(ground, f"g-{topic}", [topic])
    faults = [ValueError("the store is away")]
    sought = False

    async def seek_slowly(_: Places) -> None:
        nonlocal sought
        if faults:
            raise faults.pop()
        await asyncio.sleep(0.5)
        seat.reader.seek(mine, 4)
        sought = True

    seat.on_assigned = seek_slowly
    async with seat:
        with pytest.raises(ValueError, match="the store is away"):
            await seat.until(lambda: sought)
        assert seat.seen == []
        await seat.until(lambda: sought or bool(seat.seen))
        await seat.until(lambda: len(seat.seen) == 2)
        assert seat.values() == ["0-4", "0-5"]


async def a_hand_over_can_still_commit(ground: Ground) -> None:
    topic, more = await ground.topic(1), await ground.topic(1)
    (mine,) = places(topic, 1)
    await fill(ground, topic, [4])
    seat = Seat(ground, f"g-{topic}", [topic])

    async def commit(_: Places) -> None:
        await seat.reader.commit({mine: Commit(len(seat.seen))})

    seat.on_revoked = commit
    async with seat:
        await seat.until(lambda: len(seat.seen) == 4)
        await seat.reader.subscribe([topic, more])
        assert await seat.reader.committed([mine]) == {mine: Commit(4)}
        await seat.until(lambda: len(seat.reader.assignment()) == 2)
        await fill(ground, topic, [1])
        await seat.until(lambda: len(seat.seen) == 5)
    assert [said for said, _ in seat.said] == ["assigned", "revoked", "assigned", "revoked"]


async def a_static_member_that_is_back_in_time_moves_nobody(ground: Ground) -> None:
    topic = await ground.topic(2)
    group = f"g-{topic}"
    async with Seat(ground, group, [topic], instance="a") as stays:
        gone = Seat(ground, group, [topic], instance="b")
        await gone.reader.start()
        async with asyncio.timeout(25):
            while len(stays.reader.assignment()) != 1 or len(gone.reader.assignment()) != 1:
                await asyncio.gather(stays.poll(), gone.poll())
        held, moves = gone.reader.assignment(), len(stays.said)
        await ground.vanish(gone.reader)
        async with Seat(ground, group, [topic], instance="b") as back:
            await back.until(lambda: bool(back.reader.assignment()))
            assert back.reader.assignment() == held
            await asyncio.gather(stays.poll(), back.poll())
            assert len(stays.said) == moves


Check = Callable[[Ground], Awaitable[None]]
CHECKS: Final[tuple[Check, ...]] = (
    a_writer_keeps_order_and_says_where,
    reading_begins_at_the_start_and_keeps_order,
    a_commit_with_its_note_is_read_back_and_begun_at,
    a_rebalance_takes_everything_and_gives_anew,
    positions_are_forgotten_at_a_rebalance_and_pauses_kept,
    the_commit_of_a_zombie_is_refused,
    what_is_not_held_cannot_be_committed_the_rest_is,
    nothing_is_handed_out_before_assigned_has_returned,
    a_hand_over_can_still_commit,
    a_static_member_that_is_back_in_time_moves_nobody,
)
