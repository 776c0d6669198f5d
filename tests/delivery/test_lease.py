"""A worker that was frozen or cut off past its session has no effect any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from broker.core.ids import PartnerId
from broker.core.records import NewRecord, Position, TopicPartition
from broker.delivery.assigned.lease import Lease
from broker.delivery.ports import OnPartitions, Reader
from broker.store.access.engine import Store
from broker.store.delivering import parked
from connectors.base import Deferred, Delivered
from tests.delivery.fakes import City, FakeLedger, FakeLog, FakeReader, World, wait_for

A = "430423"


class FakeClock:
    def __init__(self) -> None:
        self.at_s = 100.0

    def now_s(self) -> float:
        return 1_800_000_000.0 + self.at_s

    def monotonic_s(self) -> float:
        return self.at_s


def test_it_runs_out_before_the_session_does() -> None:
    clock = FakeClock()
    lease = Lease(clock, 10.0)
    assert not lease.holds()  # nobody has confirmed anything
    lease.renew(100.0)
    clock.at_s = 108.9
    assert lease.holds()
    clock.at_s = 109.1
    assert not lease.holds()
    lease.renew(105.0)
    assert lease.holds()
    lease.renew(90.0)  # older news
    assert lease.holds()


def test_it_asks_when_it_has_run_out() -> None:
    clock, heard = FakeClock(), [100.0]
    lease = Lease(clock, 10.0)
    lease.heard = lambda: heard[0]
    assert lease.holds()
    clock.at_s = 120.0
    assert not lease.holds()
    heard[0] = 119.0
    assert lease.holds()


async def test_held_returns_once_it_holds() -> None:
    clock = FakeClock()
    lease = Lease(clock, 10.0)
    waiting = asyncio.create_task(lease.held())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    lease.renew(100.0)
    await asyncio.wait_for(waiting, 1)


class HeartReader(FakeReader):
    """A reader whose group can stop hearing of it, while it goes on handing out what it has."""

    beating = True

    def __init__(
        self, log: FakeLog, topics: Iterable[str], assigned: OnPartitions, revoked: OnPartitions
    ) -> None:
        super().__init__(log, topics, assigned, revoked)
        self._heard_s = 0.0

    def heard_s(self) -> float:
        if HeartReader.beating:
            self._heard_s = asyncio.get_running_loop().time()
        return self._heard_s


class HeartLog(FakeLog):
    def reader(self, topics: Iterable[str], *, assigned: OnPartitions, revoked: OnPartitions) -> Reader:
        HeartReader.beating = True
        return HeartReader(self, topics, assigned, revoked)


async def test_cut_off_from_its_group_a_worker_sends_nothing_and_goes_on_when_it_is_heard(
    store: Store,
) -> None:
    world = World(store=store, cities={A: City()}, log=HeartLog(), session_s=0.3)
    city = world.cities[A]
    first = world.log.send(A, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: city.names() == [first.name], also=running)
    HeartReader.beating = False
    await asyncio.sleep(0.5)
    later = [world.log.send(A, f"451300/{n}") for n in range(20)]
    await asyncio.sleep(0.5)
    assert city.names() == [first.name]
    HeartReader.beating = True
    await wait_for(world.committed, also=running)
    assert len(city.effects) == 1 + len(later)
    delivery.stop()
    await running


async def test_what_a_fenced_worker_still_had_to_write_is_dropped(store: Store) -> None:
    """Its attempts end while it is cut off; then its partitions turn out to be another's."""
    world = World(store=store, cities={A: City()}, log=HeartLog(partitions=1), session_s=0.3)
    city = world.cities[A]
    city.latency_s = 0.6
    city.judge = lambda parcel: (
        Delivered(code="200") if parcel.message.id.startswith("1") else Deferred(reason="500")
    )
    world.options = type(world.options)(drain_s=0.1, commit_s=0.01, directory_s=0.05)
    world.schedule = type(world.schedule)(quick=(), parked=(60.0,))
    world.log.send(A, "451300/1")
    world.log.send(A, "451300/2")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: sum(city.in_flight.values()) == 2, also=running)
    HeartReader.beating = False
    await wait_for(lambda: len(city.attempts) == 2, also=running)
    await asyncio.sleep(0.2)
    assert not world.ledger.records
    assert await store.read(parked.counts) == {}
    (reader,) = world.log.members
    world.log.members.remove(reader)
    await reader.hand_over()  # the group says so when it hears of it again
    HeartReader.beating = True
    await asyncio.sleep(0.2)
    assert not world.ledger.records
    assert await store.read(parked.counts) == {}
    assert not world.log.history
    delivery.stop()
    await running


class SlowLedger(FakeLedger):
    """A log that takes its time."""

    async def write(self, records: Sequence[NewRecord], *, deadline_s: float = 15.0) -> list[Position]:
        await asyncio.sleep(0.2)
        return await super().write(records, deadline_s=deadline_s)


async def test_a_receipt_on_its_way_while_the_partition_moves_finishes_nothing_of_the_next_assignment(
    store: Store,
) -> None:
    world = World(store=store, cities={A: City()}, log=FakeLog(partitions=1), ledger=SlowLedger())
    world.options = type(world.options)(drain_s=0.01, commit_s=0.01, directory_s=0.05)
    message = world.log.send(A, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: bool(world.cities[A].effects), also=running)
    await world.log.rebalance()
    place = TopicPartition(f"tongban.outbox.{PartnerId(A)}", 0)
    assert not world.log.commits.get(place)
    await wait_for(world.committed, also=running)
    delivery.stop()
    await running
    assert world.ledger.said("receipt.delivered") == [message.name]
