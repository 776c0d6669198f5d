"""The simulation's log and group keep the suite that a real Kafka keeps."""

from __future__ import annotations

import contextvars
from collections.abc import Sequence
from random import Random

import pytest

from broker.delivery.ports import OnPartitions
from tests.simulation.conformance import CHECKS, Check, GroupMember
from tests.simulation.group import Group
from tests.simulation.log import Log, Writer
from tests.simulation.loop import OWNER, Process, VirtualLoop
from tests.simulation.member import Member
from tests.simulation.plan import FINE
from tests.simulation.world import World


class FakeGround:
    """A virtual log."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._topics: dict[str, int] = {}
        self._log = _Log(world, self._topics)
        self._groups: dict[str, Group] = {}
        self._writer = Writer(self._log, partition_of=lambda record: record.partition or 0)

    @property
    def writer(self) -> Writer:
        return self._writer

    async def topic(self, partitions: int) -> str:
        name = f"t{len(self._topics)}"
        self._topics[name] = partitions
        return name

    def member(
        self,
        group: str,
        topics: Sequence[str],
        *,
        assigned: OnPartitions,
        revoked: OnPartitions,
        instance: str | None = None,
    ) -> Member:
        found = self._groups.setdefault(group, Group(self._world, self._log, session_s=2.0, rejoin_s=10.0))
        return Member(found, topics, assigned=assigned, revoked=revoked, instance=instance, beat_s=0.5)

    def make_zombie(self, member: GroupMember) -> None:
        assert isinstance(member, Member)
        member.generation -= 1

    async def vanish(self, member: GroupMember) -> None:
        assert isinstance(member, Member)
        member.abandon()


class _Log(Log):
    """Topics of different numbers of partitions."""

    def __init__(self, world: World, topics: dict[str, int]) -> None:
        super().__init__(world, partitions=1)
        self._topics = topics

    def partitions_of(self, topic: str) -> int:
        return self._topics[topic]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_fakes_keep_the_suite(check: Check, seed: int) -> None:
    loop = VirtualLoop(Random(seed), disorder=0.1 * seed)
    world = World(loop, seed, FINE)
    process = Process("test")
    context = contextvars.Context()
    context.run(OWNER.set, process)
    failures: list[BaseException] = []

    async def inside() -> None:
        try:
            await check(FakeGround(world))
        except BaseException as fault:
            failures.append(fault)

    async def main() -> None:
        await loop.create_task(inside(), context=context)

    loop.run(main())
    loop.clear_up([process])
    if failures:
        raise failures[0]
    assert loop.faults == []
