"""When parked messages are tried again: visible, within office hours, and on the same clock after a restart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, timezone

import pytest

from broker.core.catalogue.directory import Directory
from broker.core.ids import CaseId, MessageId, PartnerId
from broker.core.lane.office_hours import Day, OfficeHours, Window
from broker.core.lane.schedule import RetryPlan, Waits
from broker.store.access.engine import Store
from broker.store.delivering import attempts, parked
from connectors.base import Deferred, Delivered
from tests.delivery.fakes import SENDER, City, FakeLog, World, directory_of, wait_for

A = PartnerId("430423")
CHINA = timezone(timedelta(hours=8))


@pytest.fixture
def world(store: Store) -> World:
    made = World(store=store, cities={A: City()}, log=FakeLog(partitions=1))
    made.cities[A].judge = lambda parcel: Deferred(reason="503")
    return made


def now_ms() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


def closed_now() -> OfficeHours:
    """Hours that begin in three hours, and are over by midnight or end with it."""
    opens = (datetime.now(CHINA) + timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    days: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    day = days[opens.weekday()]
    closes = time(0) if opens.hour == 23 else time(opens.hour + 1)
    return OfficeHours(windows=(Window(days=(day,), opens=time(opens.hour), closes=closes),))


def directory(world: World, **changes: object) -> Directory:
    base = directory_of(world.cities, world.limits)
    return replace(base, partners={A: replace(base.partners[A], **changes)})  # type: ignore[arg-type]


async def test_the_next_attempt_is_always_visible(world: World, store: Store) -> None:
    world.schedule = replace(world.schedule, quick=(0.05,), parked=(60.0,))
    message = world.log.send(A, "451300/1")
    behind = world.log.send(A, "451300/1")
    await world.run_until(world.committed)
    rows = await store.read(attempts.attempts_of, SENDER, MessageId(message.id))
    assert [row.attempt for row in rows] == [1, 2]
    assert rows[0].next_at is not None
    assert 0 < rows[0].next_at - rows[0].started_at < 1000
    assert rows[1].next_at == pytest.approx(now_ms() + 60_000, abs=5_000)
    for each in (message, behind):
        at_ms = await store.read(attempts.next_attempt_at, SENDER, MessageId(each.id))
        assert at_ms == rows[1].next_at


async def test_what_is_parked_is_tried_in_office_hours(world: World, store: Store) -> None:
    hours = closed_now()
    world.schedule = replace(world.schedule, quick=(), parked=(0.2,) * 9)
    world.directory = directory(world, office_hours=hours)
    message = world.log.send(A, "451300/1")
    await world.run_until(world.committed)
    at_ms = await store.read(attempts.next_attempt_at, SENDER, MessageId(message.id))
    assert at_ms is not None
    assert hours.is_open(at_ms)
    assert at_ms - now_ms() > 3_600_000
    assert world.cities[A].attempts[message.name] == 1


async def test_what_is_due_when_nobody_is_there_waits_for_the_opening(world: World, store: Store) -> None:
    world.schedule = replace(world.schedule, quick=(), parked=(0.2,) * 9)
    message = world.log.send(A, "451300/1")
    await world.run_until(world.committed)
    tried = world.cities[A].attempts[message.name]
    hours = closed_now()
    world.directory = directory(world, office_hours=hours)  # … and the worker was down until after they ended
    await asyncio.sleep(0.3)
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await asyncio.sleep(0.4)
    delivery.stop()
    await running
    assert world.cities[A].attempts[message.name] == tried
    (lane,) = await store.read(parked.lanes, A, 0)
    assert hours.is_open(lane.next_at)


async def test_seconds_in_the_lane_are_not_moved(world: World) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: (
        Deferred(reason="503") if city.attempts[parcel.message.name] < 3 else Delivered(code="200")
    )
    world.directory = directory(world, office_hours=closed_now())
    message = world.log.send(A, "451300/1")
    await world.run_until(world.committed)
    assert city.names() == [message.name]


async def test_after_a_restart_no_schedule_begins_again(world: World) -> None:
    """Killed with two of five quick attempts made and their rows durable: three are left, not five."""
    city = world.cities[A]
    world.options = replace(world.options, drain_s=0.05)
    world.schedule = replace(world.schedule, quick=(0.3, 0.3, 0.3, 0.3), parked=(), lane_wait_max_s=2.0)
    message = world.log.send(A, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: city.attempts[message.name] == 2, also=running)
    await asyncio.sleep(0.1)  # the rows are written
    delivery.stop()
    await running
    await world.run_until(lambda: len(world.ledger.desk()) == 1)
    assert city.attempts[message.name] == 5


async def test_an_item_has_a_schedule_of_its_own(world: World) -> None:
    plan = RetryPlan(parked_s=(60.0,), items={"birth": Waits(quick_s=(0.05,), parked_s=())})
    world.directory = directory(world, schedule=plan)
    birth = replace(world.log.send(A, "451300/9"), item="birth", id=MessageId("b-1"), case=CaseId("451300/7"))
    source = world.log.send(A, "451300/1").source_position
    assert source is not None
    world.log.append(A, replace(birth, source_position=replace(source, offset=source.offset + 1000)))
    await world.run_until(lambda: [each.id for each in world.ledger.desk()] == ["b-1"])
    assert world.cities[A].attempts[birth.name] == 2


async def test_a_pile_that_is_due_goes_faster_than_the_ticks(world: World) -> None:
    city, cases = world.cities[A], 200
    world.schedule = replace(world.schedule, quick=(), parked=(0.4,) * 9)
    world.options = replace(world.options, parked_s=0.5)
    for n in range(cases):
        world.log.send(A, f"451300/{n}")
    await world.run_until(world.committed)
    city.judge = lambda parcel: Delivered(code="200")
    await asyncio.sleep(0.5)
    await world.run_until(lambda: len(city.effects) == cases, within_s=4.0)
