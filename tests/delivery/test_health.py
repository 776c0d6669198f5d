"""A circuit at work: what opens it, and how a partner's return is paced."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import replace

import pytest

from broker.core.catalogue.directory import Limits
from broker.core.ids import PartnerId
from broker.core.lane.circuit import CircuitPolicy, Phase
from broker.delivery.lines.health import Health
from broker.store.access.engine import Store
from broker.store.delivering import awaiting, parked
from connectors.base import Answer, Deferred, Delivered, Misconfigured, Parcel, Refused, Taken
from tests.delivery.fakes import TOUCHY, City, FakeLog, World, in_order, wait_for
from tests.delivery.test_lease import FakeClock

A = PartnerId("430423")
POLICY = CircuitPolicy(minimum=10, ramp_s=10.0, ramp_from=0.1, probe_first_s=5.0)
GOOD, BAD = Delivered(code="200"), Deferred(reason="503")


def health(clock: FakeClock, supposed_per_s: float = 64.0) -> Health:
    return Health(A, clock, POLICY, lambda: None, supposed_per_s=supposed_per_s)


def work(one: Health, clock: FakeClock, *, seconds: int, per_second: int) -> None:
    for _ in range(seconds):
        clock.at_s += 1.0
        for _ in range(per_second):
            one.judge(GOOD, probe=False)
        one.count(clock.at_s)


def break_and_mend(one: Health, clock: FakeClock) -> None:
    for _ in range(1000):
        one.judge(BAD, probe=False)
        if not one.flows():
            break
    clock.at_s += 14_400.0
    assert one.begin_probe(clock.at_s)
    one.judge(GOOD, probe=True)
    assert one.flows()


def storm(one: Health, clock: FakeClock, *, seconds: float) -> list[float]:
    """A backlog without end, answered at once: the times at which deliveries start."""
    started: list[float] = []
    until_s = clock.at_s + seconds
    while clock.at_s < until_s:
        count = one.paced(clock.at_s, 64)
        one.started(count)
        started += [clock.at_s] * count
        clock.at_s += max(0.001, one.pace_s(clock.at_s, waiting=True))
    return started


def peak(started: list[float]) -> int:
    """The most that start within any second."""
    return max(bisect_left(started, at_s + 1.0) - first for first, at_s in enumerate(started))


@pytest.mark.parametrize("normal", [10, 20, 100])
def test_a_return_is_no_storm(normal: int) -> None:
    clock = FakeClock()
    one = health(clock)
    work(one, clock, seconds=600, per_second=normal)
    break_and_mend(one, clock)
    started = storm(one, clock, seconds=60)
    assert peak(started) <= 1.5 * normal
    assert len(started) >= 40 * normal  # … and yet the backlog goes down faster than it grows
    # a second outage during the first one's backlog does not lower what is normal
    break_and_mend(one, clock)
    assert len(storm(one, clock, seconds=60)) >= 40 * normal


def test_what_was_never_measured_is_supposed() -> None:
    clock = FakeClock()
    one = health(clock, 30.0)
    break_and_mend(one, clock)
    assert peak(storm(one, clock, seconds=30)) <= 45


def test_without_an_outage_nothing_is_held_down() -> None:
    clock = FakeClock()
    one = health(clock)
    work(one, clock, seconds=60, per_second=1)
    assert one.paced(clock.at_s, 64) == 64
    assert one.pace_s(clock.at_s, waiting=True) == 0.0


def test_the_end_of_the_backlog_ends_the_pace() -> None:
    clock = FakeClock()
    one = health(clock)
    work(one, clock, seconds=60, per_second=10)
    break_and_mend(one, clock)
    storm(one, clock, seconds=20)
    assert one.recovering
    one.pace_s(clock.at_s, waiting=False)
    clock.at_s += 1.0
    assert one.paced(clock.at_s, 64) == 64
    assert not one.recovering


def test_late_good_answers_are_counted_before_a_failure_is_judged() -> None:
    clock = FakeClock()
    one = health(clock)
    for _ in range(100):
        one.judge(GOOD, probe=False)
    for _ in range(29):
        one.judge(BAD, probe=False)
    assert one.flows()  # 29 of 129


def test_a_probe_that_is_asked_for_does_not_double_one_under_way() -> None:
    clock = FakeClock()
    one = health(clock)
    one.judge(Misconfigured(reason="401"), probe=False)
    clock.at_s += 5.0
    assert one.begin_probe(clock.at_s)
    one.probe_at_once(clock.at_s)
    assert not one.begin_probe(clock.at_s)
    assert one.phase is Phase.HALF_OPEN


async def test_a_batch_that_fails_as_a_whole_is_one_failure(store: Store) -> None:
    city = City(batch=20)
    city.judge = lambda parcel: BAD if city.attempts[parcel.message.name] == 1 else GOOD
    world = World(store=store, cities={A: city}, log=FakeLog(partitions=1), limits=Limits(batch=20))
    world.circuit = replace(TOUCHY, minimum=5)
    for n in range(20):
        world.log.send(A, f"451300/{n}")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: len(city.attempts) == 20, also=running)
    assert delivery.partner_troubles() == {}
    await wait_for(world.committed, also=running)
    delivery.stop()
    await running
    assert len(city.effects) == 20


async def test_after_an_outage_lanes_parked_cases_and_askings_share_one_pace(store: Store) -> None:
    """All of them due at once, a partner that answers at once: it is still no faster than it was used to."""
    city = World(store=store, cities={A: City()}, log=FakeLog()).cities[A]
    world = World(store=store, cities={A: city}, log=FakeLog(), limits=Limits(in_flight=16, per_second=40.0))
    world.circuit = replace(TOUCHY, minimum=3, ramp_s=0.5)
    world.schedule = replace(world.schedule, quick=(), parked=(0.2,) * 50)
    heard: list[float] = []
    mood = ["start"]

    def judge(parcel: Parcel) -> Answer:
        case = int(parcel.message.case.partition("/")[2])
        if mood[0] == "start":
            return Taken(within_s=0.3) if case < 20 else BAD if case < 40 else GOOD
        if mood[0] == "down":
            return BAD
        heard.append(asyncio.get_running_loop().time())
        return GOOD

    city.judge = judge
    for n in range(20):
        world.log.send(A, f"451300/{n}")
    world.circuit = replace(world.circuit, minimum=10_000)
    world.schedule = replace(world.schedule, parked=(0.6,) * 50)
    for n in range(20, 40):
        world.log.send(A, f"451300/{n}")
    await world.run_until(world.committed)
    assert len(await store.read(awaiting.due, 1 << 60, 500, [A])) == 20
    assert (await store.read(parked.counts))[A] == 20
    mood[0] = "down"
    world.circuit = replace(world.circuit, minimum=3)
    sent = [world.log.send(A, f"451300/{n}") for n in range(40, 120)]
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: A in delivery.partner_troubles(), also=running)
    await asyncio.sleep(1.0)  # everything is due by now
    mood[0] = "up"
    await wait_for(lambda: len(city.effects) == 120, within_s=20, also=running)
    delivery.stop()
    await running
    assert in_order(city)
    assert {message.name for message in sent} <= set(city.names())
    # 60 = 1.5 x the 40 a second that the partner takes; its own limit lets 40 and one saved second go
    assert peak(heard) <= 61
    first_new = next(index for index, (case, _) in enumerate(city.effects) if int(case[7:]) >= 40)
    assert first_new < 20  # new messages do not wait for the whole pile
    assert not world.ledger.desk()


def test_a_refusal_is_the_answer_of_a_partner_in_health() -> None:
    one = health(FakeClock())
    for _ in range(50):
        one.judge(Refused(code="422"), probe=False)
    assert one.flows()
