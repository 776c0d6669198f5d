"""Lanes on the desk: whole, in order, what comes later behind them, and home again in order."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from broker.core.ids import CaseId, MessageId, PartnerId, Party, receipt_id
from broker.core.message import Message, MessageClass
from broker.core.operating.desk import BEHIND_A_DOSSIER, SCHEDULE_USED_UP
from broker.core.records import NewRecord
from broker.store.access.engine import Store
from broker.store.delivering import attempts, blocked, parked
from connectors.base import Answer, Deferred, Delivered, Parcel, Refused
from tests.delivery.fakes import SENDER, City, FakeLog, World, wait_for

A = "430423"
CASE = "451300/1"


@pytest.fixture
def world(store: Store) -> World:
    made = World(store=store, cities={A: City()}, log=FakeLog(partitions=1))
    made.schedule = replace(made.schedule, quick=(0.01,), parked=(0.05,))
    return made


def down(parcel: Parcel) -> Answer:
    return Deferred(reason="500") if parcel.message.case == CASE else Delivered(code="200")


def fine(parcel: Parcel) -> Answer:
    return Delivered(code="200")


def causes(world: World) -> list[tuple[str, str]]:
    """What went to the desk, in order: name and cause."""
    found = []
    for record in world.ledger.records:
        if record.topic == "tongban.desk":
            facts = dict(record.headers)
            name = f"{facts['ce_source'].decode().removeprefix('/partners/')}/{facts['ce_id'].decode()}"
            found.append((name, facts["__connect.errors.exception.class.name"].decode()))
    return found


async def held(store: Store) -> set[str]:
    return {each.name for each in await store.read(blocked.read, PartnerId(A), 0)}


async def test_a_lane_goes_whole_and_what_comes_later_goes_behind_it(world: World, store: Store) -> None:
    city = world.cities[A]
    city.judge = down
    first = [world.log.send(A, CASE) for _ in range(3)]
    await world.run_until(lambda: len(world.ledger.desk()) == 3)
    assert causes(world) == [
        (first[0].name, SCHEDULE_USED_UP),
        (first[1].name, BEHIND_A_DOSSIER),
        (first[2].name, BEHIND_A_DOSSIER),
    ]
    assert await store.read(parked.counts) == {}
    city.judge = fine
    late, other = world.log.send(A, CASE), world.log.send(A, "451300/2")
    await world.run_until(world.committed)  # a restart: the lane is held by what is in the store
    assert causes(world)[3:] == [(late.name, BEHIND_A_DOSSIER)]
    assert city.names() == [other.name]
    assert world.ledger.said("notice.undeliverable") == [each.name for each in (*first, late)]
    assert await held(store) == {each.name for each in (*first, late)}


async def test_redriven_in_order_it_comes_home_in_order_and_is_open_again(world: World, store: Store) -> None:
    city = world.cities[A]
    city.judge = down
    sent = [world.log.send(A, CASE) for _ in range(3)]
    await world.run_until(lambda: len(world.ledger.desk()) == 3)
    city.judge = fine
    world.log.redrive(A, sent[0])
    between = world.log.send(A, CASE)  # two of its case are on the desk still
    for message in sent[1:]:
        world.log.redrive(A, message)
    after = world.log.send(A, CASE)  # behind the one in between
    world.log.redrive(A, between)
    world.log.redrive(A, after)
    free = world.log.send(A, CASE)
    await world.run_until(world.committed)
    assert city.names() == [each.name for each in (*sent, between, after, free)]
    assert await held(store) == set()
    # the same webhook-id over all redrives, and one receipt for each effect
    assert world.ledger.said("receipt.delivered") == [each.name for each in (*sent, between, after, free)]


async def test_a_second_failure_opens_the_dossier_again(world: World, store: Store) -> None:
    city = world.cities[A]
    city.judge = down
    sent = [world.log.send(A, CASE) for _ in range(2)]
    await world.run_until(lambda: len(world.ledger.desk()) == 2)
    for message in sent:
        world.log.redrive(A, message)
    await world.run_until(lambda: len(causes(world)) == 4)
    assert causes(world)[2:] == [(sent[0].name, SCHEDULE_USED_UP), (sent[1].name, BEHIND_A_DOSSIER)]
    ids = [notice_id(record) for record in world.ledger.records if is_notice(record)]
    assert ids == [
        receipt_id(message.name, A, "undeliverable", number) for number in (0, 1) for message in sent
    ]
    assert await held(store) == {message.name for message in sent}
    rows = await store.read(attempts.attempts_of, SENDER, MessageId(sent[0].id))
    assert [(row.redrive, row.attempt) for row in rows] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    city.judge = fine
    for message in sent:
        world.log.redrive(A, message, 2)
    await world.run_until(lambda: len(city.effects) == 2)
    assert city.names() == [message.name for message in sent]


def notice_id(record: NewRecord) -> str:
    return dict(record.headers)["ce_id"].decode()


def is_notice(record: NewRecord) -> bool:
    return dict(record.headers).get("ce_type") == b"cn.tongban.notice.undeliverable"


@pytest.mark.parametrize("act", ["returned", "skipped"])
async def test_returned_and_skipped_release_the_lane_and_are_not_sent(
    world: World, store: Store, act: str
) -> None:
    city = world.cities[A]
    city.judge = down
    sent = [world.log.send(A, CASE) for _ in range(2)]
    await world.run_until(lambda: len(world.ledger.desk()) == 2)
    city.judge = fine
    world.log.let_go(A, sent[0], act)
    world.log.redrive(A, sent[1])
    free = world.log.send(A, CASE)
    await world.run_until(world.committed)
    assert city.names() == [sent[1].name, free.name]
    assert await held(store) == set()


async def test_what_is_no_act_on_this_partner_is_an_ordinary_message(world: World) -> None:
    told = world.log.let_go(A, world.log.send(A, CASE), "returned")
    told = replace(told, destination=Party(A), id=MessageId("o-2"))  # to its sender, who is told
    told = replace(told, source_position=world.log._act_on(CASE))
    world.log.append(A, told)
    await world.run_until(world.committed)
    assert world.cities[A].names() == ["451300/1-1", told.name]


async def test_a_refusal_holds_nobody(world: World, store: Store) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: Refused(code="422") if parcel.message.id == "1-1" else Delivered(code="200")
    sent = [world.log.send(A, CASE) for _ in range(3)]
    await world.run_until(world.committed)
    assert city.names() == [sent[1].name, sent[2].name]
    assert await held(store) == set()


async def test_receipts_open_no_dossier_and_so_never_stay_on_the_desk(world: World, store: Store) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: (
        Deferred(reason="500") if parcel.message.id == "1-1" else Delivered(code="200")
    )
    head = world.log.send(A, CASE)
    receipt = world.log.send(A, CASE, message_class=MessageClass.RECEIPT)
    behind = world.log.send(A, CASE)
    world.schedule = replace(world.schedule, quick=(), parked=(0.05,))
    await world.run_until(lambda: len(city.effects) == 1)
    assert [message.name for message in world.ledger.desk()] == [head.name, behind.name]
    assert city.names() == [receipt.name]
    later = world.log.send(A, CASE, message_class=MessageClass.RECEIPT)
    await world.run_until(world.committed)
    assert city.names() == [receipt.name, later.name]
    assert await held(store) == {head.name, behind.name}


async def test_a_schedule_without_a_parked_part_ends_at_once(world: World) -> None:
    world.schedule = replace(world.schedule, quick=(0.01,), parked=())
    world.cities[A].judge = down
    message = world.log.send(A, CASE)
    await world.run_until(lambda: causes(world) == [(message.name, SCHEDULE_USED_UP)])
    assert world.cities[A].attempts[message.name] == 2


async def test_a_redriven_lane_that_is_parked_lets_the_rest_of_the_desk_behind_it(
    world: World, store: Store
) -> None:
    city = world.cities[A]
    city.judge = down
    sent = [world.log.send(A, CASE) for _ in range(2)]
    await world.run_until(lambda: len(world.ledger.desk()) == 2)
    world.schedule = replace(world.schedule, quick=(), parked=(0.3,) * 5)
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    world.log.redrive(A, sent[0])
    await wait_for(lambda: city.attempts[sent[0].name] == 4, also=running)
    await asyncio.sleep(0.1)
    assert await store.read(parked.counts) == {PartnerId(A): 1}
    late = world.log.send(A, CASE)  # sent[1] is on the desk: this one goes there too, and not behind sent[0]
    await wait_for(lambda: late.name in [name for name, _ in causes(world)], also=running)
    world.log.redrive(A, sent[1])
    world.log.redrive(A, late)
    city.judge = fine
    await wait_for(lambda: len(city.effects) == 3, also=running)
    delivery.stop()
    await running
    assert city.names() == [sent[0].name, sent[1].name, late.name]


async def test_a_kill_while_the_lane_goes_to_the_desk_leaves_none_of_it_to_be_delivered(
    world: World, store: Store
) -> None:
    """The head went, its row with it; what was left of the lane must not be tried as if nothing were before it."""
    world.cities[A].judge = down
    sent = [world.log.send(A, CASE) for _ in range(3)]
    world.schedule = replace(world.schedule, parked=(0.4,))
    await world.run_until(world.committed)  # parked
    await store.call(blocked.put, PartnerId(A), [row(sent[0])])
    await store.call(parked.settle, PartnerId(A), CaseId(CASE), [(0, 0)])
    world.cities[A].judge = fine
    await world.run_until(lambda: len(world.ledger.desk()) == 2)
    assert world.cities[A].names() == []
    assert causes(world) == [(each.name, BEHIND_A_DOSSIER) for each in sent[1:]]


def row(message: Message) -> blocked.BlockedMessage:
    return blocked.BlockedMessage(
        case=message.case,
        source=message.source,
        id=message.id,
        outbox_partition=0,
        outbox_offset=0,
    )
