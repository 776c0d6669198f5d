from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, delete, insert

from broker.core.catalogue.directory import Limits
from broker.core.ids import MessageId, PartnerId
from broker.core.message import Message, MessageClass
from broker.core.records import Commit, TopicPartition
from broker.delivery.lines.place import MailboxPlace
from broker.delivery.stage import SystemClock
from broker.store import tables
from broker.store.access.engine import Store
from broker.store.delivering import attempts, awaiting, mailbox, parked
from connectors.base import (
    Answer,
    Closed,
    Deferred,
    Delivered,
    Misconfigured,
    Parcel,
    Ports,
    Refused,
    Taken,
)
from connectors.mailbox import MailboxConnector, MailboxOptions
from tests.delivery.fakes import (
    SENDER,
    TOUCHY,
    City,
    FakeLog,
    GatedRows,
    World,
    directory_of,
    in_order,
    wait_for,
)

A, B = "430423", "350200"


@pytest.fixture
def world(store: Store) -> World:
    return World(store=store, cities={A: City(), B: City()}, log=FakeLog())


async def test_every_message_has_one_effect_in_order_and_a_receipt(world: World) -> None:
    sent = [world.log.send(A, f"451300/{n % 7}") for n in range(200)]
    await world.run_until(world.committed)
    city = world.cities[A]
    assert sorted(city.names()) == sorted(message.name for message in sent)
    assert in_order(city)
    assert not city.overtaken
    assert set(world.ledger.said("receipt.delivered")) == {message.name for message in sent}
    assert max(city.attempts.values()) == 1


async def test_many_cases_fly_at_once_but_never_two_of_one(store: Store) -> None:
    city = City(latency_s=0.02)
    world = World(store=store, cities={A: city}, log=FakeLog(), limits=Limits(in_flight=16))
    for n in range(100):
        world.log.send(A, f"451300/{n % 25}")
    await world.run_until(world.committed)
    assert city.most_in_flight == 16
    assert not city.overtaken


async def test_repeats_of_the_exchange_are_dropped(world: World) -> None:
    sent = [world.log.send(A, f"451300/{n % 3}") for n in range(20)]
    for message in sent[:15]:
        world.log.append(A, message)
    await world.run_until(world.committed)
    assert max(world.cities[A].attempts.values()) == 1
    # … also after a restart: the marks are stored
    for message in sent[5:]:
        world.log.append(A, message)
    await world.run_until(world.committed)
    assert max(world.cities[A].attempts.values()) == 1


async def test_receipts_are_delivered_and_never_receipted(world: World) -> None:
    world.log.send(A, "451300/1", message_class=MessageClass.RECEIPT)
    await world.run_until(world.committed)
    assert len(world.cities[A].effects) == 1
    assert not world.ledger.records


async def test_a_refusal_is_told_and_its_lane_goes_on(world: World) -> None:
    def judge(parcel: Parcel) -> Answer:
        if parcel.message.id == "1-2":
            return Refused(code="item-closed", detail="停办")
        return Delivered(code="200")

    world.cities[A].judge = judge
    sent = [world.log.send(A, "451300/1") for _ in range(4)]
    await world.run_until(world.committed)
    assert world.cities[A].names() == [message.name for message in sent if message.id != "1-2"]
    assert world.ledger.said("receipt.rejected") == [sent[1].name]
    (dossier,) = world.ledger.desk()
    assert (dossier.name, dossier.value) == (sent[1].name, sent[1].value)
    desk = next(record for record in world.ledger.records if record.topic == "tongban.desk")
    headers = dict(desk.headers)
    assert headers["__connect.errors.topic"] == b"tongban.outbox.430423"
    assert headers["__connect.errors.exception.class.name"] == b"item-closed"
    assert headers["__connect.errors.exception.message"].decode() == "停办"


async def test_an_expired_message_is_not_sent(world: World) -> None:
    late = world.log.send(A, "451300/1", expires=datetime.now(UTC) - timedelta(seconds=1))
    good = world.log.send(A, "451300/1")
    await world.run_until(world.committed)
    assert world.cities[A].names() == [good.name]
    assert world.ledger.said("receipt.expired") == [late.name]
    assert [message.name for message in world.ledger.desk()] == [late.name]


async def test_poison_becomes_a_dossier_and_neighbours_flow(world: World) -> None:
    corrupt = world.log.send(A, "451300/1", value=b"\0\0\0\0\1corrupt")
    world.log.append_raw(TopicPartition(f"tongban.outbox.{A}", 0), b"k", b"\xff", (("ce_id", b"\xff"),))
    good = [world.log.send(A, f"451300/{n}") for n in range(5)]
    await world.run_until(world.committed)
    assert set(world.cities[A].names()) == {message.name for message in good}
    assert world.ledger.said("notice.undeliverable") == [corrupt.name]
    assert sum(record.topic == "tongban.desk" for record in world.ledger.records) == 2


async def test_seconds_of_trouble_are_sat_out_in_the_lane(world: World, store: Store) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: (
        Deferred(reason="503") if city.attempts[parcel.message.name] < 3 else Delivered(code="200")
    )
    sent = [world.log.send(A, "451300/1") for _ in range(3)]
    await world.run_until(world.committed)
    assert city.names() == [message.name for message in sent]
    await wait_for(lambda: True)
    rows = await store.read(attempts.attempts_of, SENDER, MessageId("1-1"))
    assert [(row.attempt, row.result) for row in rows] == [(1, "deferred"), (2, "deferred")]


async def test_a_failing_lane_is_parked_with_its_successors_and_comes_home_in_order(
    world: World, store: Store
) -> None:
    mended = asyncio.Event()
    city = world.cities[A]

    def judge(parcel: Parcel) -> Answer:
        sick = parcel.message.case == "451300/1" and not mended.is_set()
        return Deferred(reason="500") if sick else Delivered(code="200")

    city.judge = judge
    stuck = [world.log.send(A, "451300/1") for _ in range(3)]
    others = [world.log.send(A, "451300/2") for _ in range(3)]
    world.schedule = replace(world.schedule, parked=(0.15,) * 20)

    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(world.committed, also=running)
    assert city.names() == [message.name for message in others]
    lanes = await store.read(parked.lanes, PartnerId(A), sum(b"451300/1") % 8 % 2)
    assert [lane.case for lane in lanes] == ["451300/1"]
    late = [world.log.send(A, "451300/1") for _ in range(2)]  # behind the others, in order
    await wait_for(world.committed, also=running)
    mended.set()
    await wait_for(lambda: len(city.names("451300/1")) == 5, also=running)
    after = world.log.send(A, "451300/1")
    await wait_for(lambda: after.name in city.names(), also=running)
    delivery.stop()
    await running
    assert city.names("451300/1") == [message.name for message in (*stuck, *late, after)]
    assert await store.read(parked.counts) == {}
    assert not world.ledger.desk()


async def test_a_parked_lane_survives_a_restart(world: World, store: Store) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: Deferred(reason="500")
    world.schedule = replace(world.schedule, parked=(0.3,) * 20)
    sent = [world.log.send(A, "451300/1") for _ in range(3)]
    await world.run_until(world.committed)
    assert await store.read(parked.counts) == {PartnerId(A): 1}
    sent.append(world.log.send(A, "451300/1"))
    city.judge = lambda parcel: Delivered(code="200")
    await world.run_until(lambda: len(city.effects) == 4)
    assert city.names() == [message.name for message in sent]


async def test_the_end_of_the_schedule_brings_the_whole_lane_to_the_desk_in_order(world: World) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: Deferred(reason="500")
    sent = [world.log.send(A, "451300/1") for _ in range(3)]
    await world.run_until(lambda: len(world.ledger.desk()) == 3)
    names = [message.name for message in sent]
    assert [message.name for message in world.ledger.desk()] == names
    assert world.ledger.said("notice.undeliverable") == names
    # 1 first attempt, 2 quick ones, 2 parked ones; its successors were never tried
    assert dict(city.attempts) == {names[0]: 5}


async def test_retry_after_is_honoured(world: World) -> None:
    city, heard = world.cities[A], list[float]()

    def judge(parcel: Parcel) -> Answer:
        heard.append(asyncio.get_running_loop().time())
        return Deferred(reason="429", retry_after_s=0.4) if len(heard) == 1 else Delivered(code="200")

    city.judge = judge
    world.schedule = replace(world.schedule, lane_wait_max_s=10.0)
    world.log.send(A, "451300/1")
    await world.run_until(world.committed)
    assert heard[1] - heard[0] >= 0.4


async def test_a_partner_that_is_down_is_a_circuit_and_not_a_pile(world: World, store: Store) -> None:
    up = asyncio.Event()
    city, other = world.cities[A], world.cities[B]
    city.judge = lambda parcel: Delivered(code="200") if up.is_set() else Deferred(reason="no connection")
    world.circuit = TOUCHY
    sent = [world.log.send(A, f"451300/{n % 20}") for n in range(60)]
    healthy = [world.log.send(B, f"451300/{n % 20}") for n in range(60)]
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: len(other.effects) == len(healthy), also=running)
    await asyncio.sleep(0.5)
    assert A in delivery.partner_troubles()
    assert B not in delivery.partner_troubles()
    tried = sum(city.attempts.values())
    assert tried < 64 + 30  # what was in flight, and some probes
    assert await store.read(parked.counts) == {}
    up.set()
    await wait_for(world.committed, also=running)
    delivery.stop()
    await running
    assert sorted(city.names()) == sorted(message.name for message in sent)
    assert in_order(city)
    assert not world.ledger.desk()


@pytest.mark.parametrize("answer", [Misconfigured(reason="answered 404"), Closed(reason="410")])
async def test_a_fault_of_configuration_opens_the_circuit_at_once(world: World, answer: Answer) -> None:
    city = world.cities[A]
    world.limits = Limits(in_flight=1)
    world.directory = directory_of(world.cities, world.limits)
    city.judge = lambda parcel: answer
    world.log.send(A, "451300/1")
    world.log.send(A, "451300/2")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: A in delivery.partner_troubles(), also=running)
    await asyncio.sleep(0.3)
    tries = sum(city.attempts.values())
    if isinstance(answer, Closed):
        assert tries == 1
    else:
        assert 2 <= tries <= 8  # probes
    city.judge = lambda parcel: Delivered(code="200")
    if isinstance(answer, Closed):  # only a change of its entry opens it again
        world.directory = directory_of(world.cities, world.limits, contact="new")
    await wait_for(world.committed, also=running)
    delivery.stop()
    await running
    assert len(city.effects) == 2
    assert not world.ledger.desk()


async def test_what_was_taken_is_awaited_and_asked_again(world: World, store: Store) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: (
        Taken(within_s=0.2) if city.attempts[parcel.message.name] == 1 else Delivered(code="200")
    )
    message = world.log.send(A, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(world.committed, also=running)
    assert await store.read(awaiting.find, PartnerId(A), [(SENDER, message.id)])
    assert not world.ledger.said("receipt.delivered")
    await wait_for(lambda: world.ledger.said("receipt.delivered") == [message.name], also=running)
    delivery.stop()
    await running
    assert not await store.read(awaiting.find, PartnerId(A), [(SENDER, message.id)])


async def test_a_mailbox_holds_its_messages_without_a_receipt(world: World, store: Store) -> None:
    ports = Ports(
        sign=lambda webhook_id, timestamp, body: "",
        secrets={},
        now_s=lambda: 0.0,
        place=MailboxPlace(store, SystemClock()),
    )
    world.links.special[B] = lambda partner: MailboxConnector(partner, MailboxOptions(), ports)
    sent = [world.log.send(B, f"451300/{n % 3}") for n in range(30)]
    expired = world.log.send(B, "451300/1", expires=datetime.now(UTC) - timedelta(seconds=1))
    await world.run_until(world.committed)
    lying, oldest = await store.read(mailbox.waiting, PartnerId(B))
    assert lying == 30
    assert oldest is not None
    found = await store.read(mailbox.find, PartnerId(B), [(SENDER, message.id) for message in sent])
    assert len(found) == 30
    assert world.ledger.said("receipt.delivered") == []
    assert world.ledger.said("receipt.expired") == [expired.name]


async def test_a_receipt_that_cannot_be_written_holds_its_offset(world: World) -> None:
    world.ledger.fail = 1.0
    world.log.send(A, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: len(world.cities[A].effects) == 1, also=running)
    await asyncio.sleep(0.3)
    assert not world.log.history
    assert delivery.health() is not None
    world.ledger.fail = 0.0
    await wait_for(world.committed, also=running)
    await wait_for(lambda: delivery.health() is None, also=running)
    delivery.stop()
    await running
    assert sum(world.cities[A].attempts.values()) == 1


async def test_a_new_partner_is_followed_within_two_seconds(world: World) -> None:
    world.directory = directory_of([A], world.limits)
    world.log.send(B, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: bool(world.log.members), also=running)
    world.directory = directory_of([A, B], world.limits)
    await wait_for(world.committed, within_s=2.0, also=running)
    delivery.stop()
    await running


async def test_a_commit_is_never_above_the_lowest_unfinished(world: World) -> None:
    slow = asyncio.Event()
    city = world.cities[A]
    city.judge = lambda parcel: (
        Delivered(code="200")
        if parcel.message.case != "451300/1" or slow.is_set()
        else Deferred(reason="503")
    )
    world.schedule = replace(world.schedule, quick=(0.3,) * 10, lane_wait_max_s=1.0)
    first = world.log.send(A, "451300/1")
    place = TopicPartition(f"tongban.outbox.{A}", sum(b"451300/1") % 8 % 2)
    for n in range(50):
        world.log.send(A, f"451300/{n + 2}")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: len(city.effects) == 50, also=running)
    await asyncio.sleep(0.1)
    assert world.log.commits.get(place, Commit(0)).offset == 0
    slow.set()
    await wait_for(world.committed, also=running)
    delivery.stop()
    await running
    assert first.name in city.names()


async def test_memory_is_bounded_by_bytes_and_only_the_sick_partner_is_paused(store: Store) -> None:
    stuck = asyncio.Event()
    sick, well = City(), City()
    sick.judge = lambda parcel: Delivered(code="200") if stuck.is_set() else Deferred(reason="503")
    world = World(store=store, cities={A: sick, B: well}, log=FakeLog(partitions=1))
    world.options = replace(world.options, partner_floor_bytes=1 << 14, memory_bytes=1 << 20, poll_records=10)
    world.limits = Limits(queue_bytes=65536)
    world.directory = directory_of(world.cities, world.limits)
    world.schedule = replace(world.schedule, quick=(1.0,) * 10, lane_wait_max_s=2.0)
    for n in range(300):
        world.log.send(A, f"451300/{n}", value=b"\0\0\0\0\1" + b"x" * 1024)
        world.log.send(B, f"451300/{n}", value=b"\0\0\0\0\1" + b"x" * 1024)
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: len(well.effects) == 300, also=running)
    (reader,) = world.log.members
    assert reader.paused == {TopicPartition(f"tongban.outbox.{A}", 0)}
    assert reader.next[TopicPartition(f"tongban.outbox.{A}", 0)] * 5120 < 65536 + 20 * 5200
    stuck.set()
    await wait_for(world.committed, also=running)
    delivery.stop()
    await running


async def test_batches_hold_different_cases_and_settle_each_by_itself(store: Store) -> None:
    city = City(batch=10, latency_s=0.01)

    def judge(parcel: Parcel) -> Answer:
        if parcel.message.case == "451300/3" and city.attempts[parcel.message.name] < 3:
            return Deferred(reason="503")
        return Refused(code="422") if parcel.message.id == "4-2" else Delivered(code="200")

    city.judge = judge
    world = World(store=store, cities={A: city}, log=FakeLog(), limits=Limits(batch=10))
    for n in range(60):
        world.log.send(A, f"451300/{n % 12}")
    await world.run_until(world.committed)
    assert len(city.effects) == 59
    assert in_order(city)
    assert world.ledger.said("receipt.rejected") == [f"{SENDER}/4-2"]


async def test_a_record_that_comes_as_its_parked_lane_ends_is_not_forgotten(store: Store) -> None:
    rows = GatedRows(store)
    world = World(store=rows, cities={A: City()}, log=FakeLog())
    city, mended = world.cities[A], asyncio.Event()
    city.judge = lambda parcel: Delivered(code="200") if mended.is_set() else Deferred(reason="500")
    world.schedule = replace(world.schedule, parked=(0.15,) * 20)
    world.log.send(A, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(world.committed, also=running)  # parked
    rows.gate = asyncio.Event()
    late = world.log.send(A, "451300/1")
    await asyncio.sleep(0.1)  # it is on its way to the store
    mended.set()
    await wait_for(lambda: len(city.effects) == 1, also=running)
    await asyncio.sleep(0.2)  # the lane is empty in the store
    rows.gate.set()
    await wait_for(lambda: late.name in city.names(), also=running)
    await wait_for(world.committed, also=running)
    delivery.stop()
    await running


async def test_what_is_settled_or_awaited_is_not_delivered_again(world: World, store: Store) -> None:
    city = world.cities[A]
    city.judge = lambda parcel: (
        Taken(within_s=100) if parcel.message.case == "451300/1" else Delivered(code="200")
    )
    taken, settled = world.log.send(A, "451300/1"), world.log.send(A, "451300/2")
    await world.run_until(world.committed)
    await store.call(know_outcome, settled)
    await store.call(forget_marks)
    world.log.commits.clear()
    after = world.log.send(A, "451300/3")
    await world.run_until(world.committed)
    assert dict(city.attempts) == {taken.name: 1, settled.name: 1, after.name: 1}


def know_outcome(connection: Connection, message: Message) -> None:
    row = {
        "source": message.source,
        "id": message.id,
        "case_id": message.case,
        "type": message.type,
        "destination": message.destination,
        "message_class": 0,
        "digest": message.digest,
        "proof": "broker",
        "said_at": 0,
        "ledger_partition": 0,
        "ledger_offset": 0,
        "accepted_at": 0,
        "verdict": "applied",
        "outcome": "delivered",
        "receipt_id": "r-1",
        "attempts": 1,
    }
    connection.execute(insert(tables.message), [row])


def forget_marks(connection: Connection) -> None:
    connection.execute(delete(tables.mark))


async def test_probes_use_nothing_up(world: World, store: Store) -> None:
    up, city = asyncio.Event(), world.cities[A]
    world.circuit = replace(TOUCHY, minimum=1, failure_ratio=0.1)
    city.judge = lambda parcel: Delivered(code="200") if up.is_set() else Deferred(reason="503")
    message = world.log.send(A, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: city.attempts[message.name] >= 6, also=running)
    assert await store.read(parked.counts) == {}
    up.set()
    await wait_for(world.committed, also=running)
    delivery.stop()
    await running
    assert not world.ledger.desk()


async def test_results_of_an_old_assignment_do_not_touch_the_new_one(world: World) -> None:
    city = world.cities[A]
    city.latency_s = 0.4
    world.options = replace(world.options, drain_s=0.05)
    message = world.log.send(A, "451300/1")
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: city.in_flight["451300/1"] == 1, also=running)
    await asyncio.sleep(0.2)
    await world.log.rebalance()
    await wait_for(
        lambda: bool(city.effects), also=running
    )  # the first attempt's effect, and its late answer
    assert city.attempts[message.name] == 1
    await asyncio.sleep(0.05)
    assert not world.log.history
    assert not world.ledger.records
    await wait_for(world.committed, also=running)
    delivery.stop()
    await running
    assert city.attempts[message.name] == 2


async def test_a_rebalance_while_keys_are_fetched_loses_nothing(world: World) -> None:
    city = world.cities[A]
    world.options = replace(world.options, drain_s=0.05)
    world.log = FakeLog(partitions=1)
    city.latency_s = 5.0
    sent = [world.log.send(A, f"451300/{n}") for n in range(50)]
    delivery = world.delivery()
    running = asyncio.create_task(delivery.run())
    await wait_for(lambda: city.most_in_flight == 50, also=running)
    world.papers.gate = gate = asyncio.Event()
    sent += [world.log.send(A, f"451300/{n}") for n in range(50, 60)]
    await asyncio.sleep(0.1)  # the second batch waits for its keys
    city.latency_s = 0.001
    await world.log.rebalance()
    gate.set()
    await wait_for(world.committed, also=running)
    delivery.stop()
    await running
    assert set(city.names()) == {message.name for message in sent}
