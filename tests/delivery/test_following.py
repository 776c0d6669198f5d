"""Operators' levers, and lines as the directory wants them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from broker.core.catalogue.directory import Limits
from broker.core.ids import PartnerId
from broker.core.operating.levers import Levers, Pulled
from broker.delivery.lines.following import in_force
from broker.delivery.lines.place import MailboxPlace
from broker.delivery.stage import Delivery, SystemClock
from broker.store.access.engine import Store
from broker.store.delivering import line_status, mailbox, parked
from broker.telemetry import METRICS
from connectors.base import Closed, Deferred, Delivered, Ports
from connectors.mailbox import MailboxConnector, MailboxOptions
from tests.delivery.fakes import TOUCHY, City, CityConnector, FakeLog, World, directory_of, wait_for

A, B = PartnerId("430423"), PartnerId("350200")
WHO = Pulled(by="王一", reason="对方割接", at_ms=1)


@pytest.fixture
def world(store: Store) -> World:
    return World(store=store, cities={A: City(), B: City()}, log=FakeLog())


def pull(world: World, levers: Levers) -> None:
    """As the watch does it: another mapping when anything has changed."""
    world.levers = {**world.levers, levers.partner: levers}


async def start(world: World) -> tuple[Delivery, asyncio.Task[None]]:
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: bool(world.log.members), also=running)
    return delivery, running


async def stop(delivery: Delivery, running: asyncio.Task[None]) -> None:
    delivery.stop()
    await asyncio.wait_for(running, 10)


async def test_paused_nothing_goes_out_and_resumed_it_comes_home_in_order(world: World, store: Store) -> None:
    pull(world, Levers(partner=A, paused=WHO))
    delivery, running = await start(world)
    sent = [world.log.send(A, f"451300/{n % 3}") for n in range(12)]
    other = world.log.send(B, "451300/1")
    await wait_for(lambda: world.cities[B].names() == [other.name], also=running)
    await asyncio.sleep(0.3)
    assert not world.cities[A].attempts
    assert delivery.partner_troubles() == {A: "paused by an operator"}  # who, and why, is in the store only
    assert delivery.health() is None
    assert METRICS.get_sample_value("tongban_partner_paused", {"partner": A}) == 1
    pull(world, Levers(partner=A))
    await wait_for(world.committed, within_s=2.0, also=running)
    assert len(world.cities[A].effects) == len(sent)
    assert METRICS.get_sample_value("tongban_partner_paused", {"partner": A}) == 0
    await stop(delivery, running)


async def test_a_pause_counts_nothing_and_parks_nothing(world: World, store: Store) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: Deferred(reason="503")
    city.latency_s = 0.2
    world.schedule = replace(world.schedule, quick=(), parked=(0.1,))
    message = world.log.send(A, "451300/1")
    delivery, running = await start(world)
    await wait_for(lambda: city.in_flight["451300/1"] == 1, also=running)
    pull(world, Levers(partner=A, paused=WHO))
    await wait_for(lambda: city.attempts[message.name] == 1, also=running)
    await asyncio.sleep(0.3)
    assert city.attempts[message.name] == 1
    assert await store.read(parked.counts) == {}
    city.judge = lambda parcel: Delivered(code="200")
    pull(world, Levers(partner=A))
    await wait_for(world.committed, also=running)
    await stop(delivery, running)
    assert not world.ledger.desk()


async def test_parked_lanes_that_are_due_wait_for_the_end_of_a_pause(world: World) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: Deferred(reason="503")
    world.schedule = replace(world.schedule, quick=(), parked=(0.2,) * 9)
    message = world.log.send(A, "451300/1")
    delivery, running = await start(world)
    await wait_for(world.committed, also=running)
    pull(world, Levers(partner=A, paused=WHO))
    await asyncio.sleep(0.1)
    tried = city.attempts[message.name]
    await asyncio.sleep(0.5)
    assert city.attempts[message.name] == tried
    city.judge = lambda parcel: Delivered(code="200")
    pull(world, Levers(partner=A))
    await wait_for(lambda: bool(city.effects), also=running)
    await stop(delivery, running)


async def test_limits_are_followed_and_reset(world: World) -> None:
    city = world.cities[A]
    city.latency_s = 0.03
    pull(world, Levers(partner=A, in_flight=2, limited=WHO))
    delivery, running = await start(world)
    for n in range(20):
        world.log.send(A, f"451300/{n}")
    await wait_for(world.committed, also=running)
    assert city.most_in_flight == 2
    pull(world, Levers(partner=A))
    await asyncio.sleep(0.1)
    for n in range(40):
        world.log.send(A, f"451300/{n}")
    await wait_for(world.committed, also=running)
    assert city.most_in_flight > 2
    await stop(delivery, running)
    assert len(city.effects) == 60


async def test_a_limit_above_what_the_connector_was_made_for_has_it_made_anew(world: World) -> None:
    made: list[Limits] = []

    def make(partner: object) -> CityConnector:
        made.append(getattr(partner, "limits"))  # noqa: B009 - a fake of many kinds of partner
        return CityConnector(world.cities[A])

    world.links.special[A] = make
    delivery, running = await start(world)
    pull(world, Levers(partner=A, in_flight=500, batch=7, limited=WHO))
    await wait_for(lambda: len(made) == 2, also=running)
    sent = [world.log.send(A, f"451300/{n}") for n in range(20)]
    await wait_for(world.committed, also=running)
    await stop(delivery, running)
    assert (made[1].in_flight, made[1].batch) == (500, 7)
    assert len(world.cities[A].effects) == len(sent)


def test_limits_in_force() -> None:
    house = Limits(in_flight=10, per_second=5.0, batch=3, queue_bytes=1 << 20)
    assert in_force(house, Levers(partner=A)) == house
    assert in_force(house, Levers(partner=A, per_second=0.0)) == replace(house, per_second=0.0)
    pulled = Levers(partner=A, in_flight=1, per_second=1.0, batch=1, queue_bytes=1 << 16)
    assert in_force(house, pulled) == Limits(in_flight=1, per_second=1.0, batch=1, queue_bytes=1 << 16)


async def test_a_probe_brings_back_a_partner_that_had_closed_its_endpoint(world: World) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: Closed(reason="410")
    world.log.send(A, "451300/1")
    delivery, running = await start(world)
    await wait_for(lambda: A in delivery.partner_troubles(), also=running)
    city.judge = lambda parcel: Delivered(code="200")
    await asyncio.sleep(0.3)
    assert not city.effects
    pull(world, Levers(partner=A, probed=WHO))
    await wait_for(world.committed, within_s=2.0, also=running)
    await stop(delivery, running)
    assert delivery.partner_troubles() == {}


async def test_a_probe_does_not_wait_for_its_turn(world: World) -> None:
    city = world.cities[A]
    world.circuit = replace(TOUCHY, probe_first_s=60.0, probe_max_s=60.0, minimum=1, failure_ratio=0.1)
    city.judge = lambda parcel: Deferred(reason="503")
    world.log.send(A, "451300/1")
    delivery, running = await start(world)
    await wait_for(lambda: A in delivery.partner_troubles(), also=running)
    city.judge = lambda parcel: Delivered(code="200")
    pull(world, Levers(partner=A, probed=WHO))
    await wait_for(world.committed, within_s=3.0, also=running)
    await stop(delivery, running)


async def test_a_probe_that_was_asked_for_before_the_start_is_not_made_again(world: World) -> None:
    probes = 0

    class Counting(CityConnector):
        async def probe(self) -> Delivered:
            nonlocal probes
            probes += 1
            return Delivered(code="204")

    world.links.special[A] = lambda partner: Counting(world.cities[A])
    pull(world, Levers(partner=A, probed=WHO))
    delivery, running = await start(world)
    await asyncio.sleep(0.2)
    assert probes == 0
    pull(world, Levers(partner=A, probed=replace(WHO, at_ms=2)))
    await wait_for(lambda: probes == 1, also=running)  # also of a partner in health
    await stop(delivery, running)


async def test_pausing_a_mailbox_places_nothing(world: World, store: Store) -> None:
    ports = Ports(
        sign=lambda webhook_id, timestamp, body: "",
        secrets={},
        now_s=lambda: 0.0,
        place=MailboxPlace(store, SystemClock()),
    )
    world.links.special[B] = lambda partner: MailboxConnector(partner, MailboxOptions(), ports)
    pull(world, Levers(partner=B, paused=WHO))
    delivery, running = await start(world)
    for n in range(9):
        world.log.send(B, f"451300/{n % 3}")
    await asyncio.sleep(0.3)
    assert (await store.read(mailbox.waiting, B))[0] == 0
    await world.log.rebalance()  # what was kept belongs to an assignment that has ended
    await asyncio.sleep(0.1)
    pull(world, Levers(partner=B))
    await wait_for(world.committed, within_s=2.0, also=running)
    assert (await store.read(mailbox.waiting, B))[0] == 9
    await stop(delivery, running)


async def test_lines_are_told_to_people_and_taken_back_at_the_end(world: World, store: Store) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: Deferred(reason="503")
    world.circuit = replace(TOUCHY, minimum=1, failure_ratio=0.1)
    world.log.send(A, "451300/1")
    pull(world, Levers(partner=B, paused=WHO))
    delivery, running = await start(world)
    await wait_for(lambda: A in delivery.partner_troubles(), also=running)
    await asyncio.sleep(0.2)
    rows = {row.partner: row for row in await store.read(line_status.read)}
    assert rows[B].phase == "paused"
    assert "王一" not in repr(rows)
    assert rows[A].phase in {"open", "half-open"}
    assert "503" in (rows[A].reason or "")
    assert rows[A].next_probe_at is not None
    assert rows[A].waiting + rows[A].in_flight == 1
    world.directory = directory_of([B], world.limits)
    await asyncio.sleep(0.3)
    assert [row.partner for row in await store.read(line_status.read)] == [B]
    await stop(delivery, running)
    assert await store.read(line_status.read) == []
