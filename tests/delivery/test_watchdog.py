"""No silent stop: a reader that goes quiet is told, and replaced; a partner that is sick is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from broker.core.ids import PartnerId
from broker.core.operating.levers import Levers, Pulled
from broker.core.records import Record, TopicPartition
from broker.delivery.ports import OnPartitions, Reader
from broker.store.access.engine import Store
from broker.telemetry import METRICS
from connectors.base import Deferred
from tests.delivery.fakes import TOUCHY, City, FakeLog, FakeReader, World, wait_for

A = PartnerId("430423")


class QuietLog(FakeLog):
    """The first reader goes silent when told to; those after it work."""

    def __init__(self) -> None:
        super().__init__(partitions=1)
        self.made: list[QuietReader] = []

    def reader(self, topics: Iterable[str], *, assigned: OnPartitions, revoked: OnPartitions) -> Reader:
        self.made.append(QuietReader(self, topics, assigned, revoked))
        return self.made[-1]


class QuietReader(FakeReader):
    silent = False
    deaf = False
    hangs = False

    async def poll(self, *, max_records: int, wait_s: float) -> dict[TopicPartition, list[Record]]:
        if self.silent:
            await asyncio.sleep(0.002)
            return {}
        return await super().poll(max_records=max_records, wait_s=wait_s)

    async def ends(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        if self.deaf:
            await asyncio.sleep(3600)
        return await super().ends(partitions)

    async def close(self) -> None:
        if self.hangs:
            self.log.members.remove(self)
            await asyncio.sleep(3600)
        await super().close()


@pytest.fixture
def world(store: Store) -> World:
    made = World(store=store, cities={A: City()}, log=QuietLog())
    made.options = replace(made.options, stall_s=0.4)
    return made


def quiet(world: World) -> list[QuietReader]:
    assert isinstance(world.log, QuietLog)
    return world.log.made


async def test_a_reader_that_goes_silent_is_told_and_replaced(world: World) -> None:
    first = world.log.send(A, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(world.committed, also=running)
    quiet(world)[0].silent = True
    await asyncio.sleep(0.05)  # the poll under way
    renewed = METRICS.get_sample_value("tongban_delivery_readers_renewed_total") or 0
    await asyncio.sleep(0.6)
    assert delivery.health() is None  # there is nothing to do: no alarm
    later = world.log.send(A, "451300/1")
    await wait_for(lambda: delivery.health() is not None, within_s=3, also=running)
    assert "430423" in (delivery.health() or "")
    assert METRICS.get_sample_value("tongban_delivery_stalled") == 1
    await wait_for(lambda: later.name in world.cities[A].names(), within_s=3, also=running)
    await wait_for(lambda: delivery.health() is None, within_s=3, also=running)
    assert len(quiet(world)) == 2
    assert METRICS.get_sample_value("tongban_delivery_stalled") == 0
    assert METRICS.get_sample_value("tongban_delivery_readers_renewed_total") == renewed + 1
    delivery.stop()
    await running
    assert world.cities[A].names() == [first.name, later.name]


async def test_a_reader_that_neither_answers_nor_leaves_is_replaced_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.delivery.watching.stalling._ASK_S", 0.1)
    monkeypatch.setattr("broker.delivery.joining.membership._LEAVE_S", 0.1)
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: bool(world.log.members), also=running)
    await asyncio.sleep(0.1)
    for fault in ("silent", "deaf", "hangs"):
        setattr(quiet(world)[0], fault, True)
    await asyncio.sleep(0.05)  # the poll under way
    message = world.log.send(A, "451300/1")
    await wait_for(lambda: world.cities[A].names() == [message.name], within_s=5, also=running)
    delivery.stop()
    await running


async def test_a_poll_that_hangs_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.delivery.joining.membership._SILENT_S", 0.2)
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: bool(world.log.members), also=running)

    async def never(*, max_records: int, wait_s: float) -> dict[TopicPartition, list[Record]]:
        await asyncio.sleep(3600)
        return {}

    monkeypatch.setattr(quiet(world)[0], "poll", never)
    message = world.log.send(A, "451300/1")
    await wait_for(lambda: world.cities[A].names() == [message.name], within_s=5, also=running)
    await wait_for(lambda: delivery.health() is None, within_s=3, also=running)
    delivery.stop()
    await running


@pytest.mark.parametrize("why", ["down", "paused", "waiting in the lane", "parked"])
async def test_a_partner_that_is_legitimately_still_raises_nothing(world: World, why: str) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: Deferred(reason="503")
    match why:
        case "down":
            world.circuit = replace(TOUCHY, minimum=1, failure_ratio=0.1, probe_first_s=60, probe_max_s=60)
        case "paused":
            word = Pulled(by="-", reason="-", at_ms=1)
            world.levers = {A: Levers(partner=A, paused=word)}
        case "waiting in the lane":
            world.schedule = replace(world.schedule, quick=(0.8, 0.8), lane_wait_max_s=2.0)
        case "parked":
            world.schedule = replace(world.schedule, quick=(), parked=(60.0,))
    world.log.send(A, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: bool(world.log.members), also=running)
    until = asyncio.get_running_loop().time() + 1.5
    while asyncio.get_running_loop().time() < until:
        assert delivery.health() in {None, "is starting"}
        await asyncio.sleep(0.05)
    assert len(quiet(world)) == 1
    delivery.stop()
    await running


async def test_messages_in_hand_that_do_not_move_are_told(world: World) -> None:
    """A connector that never answers holds its slots for ever: the reader is not at fault, but it is said."""
    city = world.cities[A]
    city.latency_s = 3600
    world.options = replace(world.options, drain_s=0.1)
    world.log.send(A, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: "waited for" in (delivery.health() or ""), within_s=3, also=running)
    delivery.stop()
    await running


async def test_a_group_that_does_not_confirm_the_worker_is_left_and_joined_anew(world: World) -> None:
    world.session_s = 0.2
    beats = [True]

    class Beating(QuietReader):
        heard = 0.0

        def heard_s(self) -> float:
            if beats[0]:
                self.heard = asyncio.get_running_loop().time()
            return self.heard

    class BeatingLog(QuietLog):
        def reader(self, topics: Iterable[str], *, assigned: OnPartitions, revoked: OnPartitions) -> Reader:
            self.made.append(Beating(self, topics, assigned, revoked))
            return self.made[-1]

    world.log = BeatingLog()
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: bool(world.log.members), also=running)
    beats[0] = False
    await wait_for(lambda: "confirmed" in (delivery.health() or ""), within_s=3, also=running)
    beats[0] = True
    await wait_for(lambda: delivery.health() is None, within_s=3, also=running)
    assert len(quiet(world)) == 2
    message = world.log.send(A, "451300/1")
    await wait_for(lambda: world.cities[A].names() == [message.name], also=running)
    delivery.stop()
    await running
