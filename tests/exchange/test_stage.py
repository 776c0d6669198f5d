"""The exchange at work on a real store and a ledger in memory: repeats, faults, zombies, poison."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest_asyncio

from broker.core.case.lifecycle import Status
from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, Party
from broker.core.message import MessageClass, from_record
from broker.core.records import NewRecord
from broker.exchange.options import ExchangeOptions
from broker.exchange.stage import Exchange
from broker.log.admin.topics import LEDGER
from broker.store.access.engine import Store
from broker.store.view import cases, ledger_view, messages
from broker.telemetry import UNREADABLE
from tests.exchange.fakes import CODEC, Ledger, Reader, message

CASE = CaseId("451300/LB-1")
A, B = "451300", "430423"


class World:
    """A ledger with a directory on it, a store, and the exchanges that were started."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ledger = Ledger()
        self.ledger.put_directory()
        self.topics_made: list[frozenset[PartnerId]] = []

    def exchange(self, batch: int = 1000) -> Exchange:
        return Exchange(
            ExchangeOptions(batch=batch, wait_s=0.01),
            reader=partial(Reader, self.ledger),
            writer=self.ledger,
            store=self.store,
            codec=CODEC,
            outbox_partitions=1,
            make_topics=self._make_topics,
            read_at=self.ledger.read_at,
        )

    async def _make_topics(self, partners: Collection[PartnerId]) -> None:
        self.topics_made.append(frozenset(partners))

    async def position(self) -> int:
        found = await self.store.read(ledger_view.positions, [0])
        return found[0][0] if 0 in found else 0

    def ids(self, partner: str) -> list[str]:
        return [from_record(record).id for record in self.ledger.outbox(partner)]

    @asynccontextmanager
    async def at_work(self, batch: int = 1000) -> AsyncIterator[Exchange]:
        exchange = self.exchange(batch)
        running = asyncio.create_task(exchange.run())
        try:
            yield exchange
        finally:
            exchange.stop()
            await running

    async def caught_up(self) -> None:
        async with asyncio.timeout(10):
            while await self.position() < len(self.ledger.records[LEDGER, 0]):
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await Store.open(f"sqlite:///{tmp_path / 'view.db'}")
    yield World(store)
    await store.close()


async def test_a_submission_reaches_the_outbox_with_its_source_position_and_the_view(world: World) -> None:
    position = world.ledger.put(message("m-1"))
    async with world.at_work():
        await world.caught_up()
    (record,) = world.ledger.outbox(B)
    derived = from_record(record)
    assert derived.source_position == position
    assert derived.value == message("m-1").value
    state = await world.store.read(cases.case_state, CASE)
    assert state is not None
    assert state.status is Status.SUBMITTED
    assert world.topics_made == [frozenset({PartnerId(A), PartnerId(B), PartnerId("350200")})]


async def test_a_repeat_has_no_second_effect_also_after_a_restart(world: World) -> None:
    for identity, message_type in (("m-1", "case.submitted"), ("m-2", "case.urged")):
        world.ledger.put(message(identity, message_type))
        world.ledger.put(message(identity, message_type))
        async with world.at_work(batch=1):
            await world.caught_up()
        world.ledger.put(message(identity, message_type))
        async with world.at_work():
            await world.caught_up()
    assert world.ids(B) == ["m-1", "m-2"]
    assert world.ids(A) == [], "a repeat is no fault of its sender: no notice"


async def test_an_id_reused_for_other_content_is_refused_and_the_first_stays(world: World) -> None:
    world.ledger.put(message("m-1"))
    world.ledger.put(message("m-1", digest="sha-256:other"))
    async with world.at_work():
        await world.caught_up()
    assert world.ids(B) == ["m-1"]
    (notice,) = [from_record(record) for record in world.ledger.outbox(A)]
    assert notice.type == "notice.refused"
    assert CODEC.decode(notice.value).datum["code"] == "message-id-reused"
    row = await world.store.read(messages.message, Party(A), MessageId("m-1"))
    assert row is not None
    assert (row.verdict, row.digest) == ("applied", message("m-1").digest)


async def test_a_refusal_goes_back_to_its_sender_and_says_what_would_be_allowed(world: World) -> None:
    world.ledger.put(message("m-1"))
    world.ledger.put(message("m-2", "case.decided", source=Party(B), destination=Party(A)))
    async with world.at_work():
        await world.caught_up()
    (notice,) = [each for each in map(from_record, world.ledger.outbox(B)) if each.type == "notice.refused"]
    datum = CODEC.decode(notice.value).datum
    assert datum["code"] == "transition-illegal"
    assert "case.accepted" in datum["facts"]["allowed"]  # type: ignore[index]
    assert notice.correlation == f"{B}/m-2"


async def test_a_write_that_fails_is_made_again_and_its_repeats_carry_the_same_source(world: World) -> None:
    world.ledger.put(message("m-1"))
    world.ledger.fail_writes = 1
    async with world.at_work():
        await world.caught_up()
    sources = [from_record(record).source_position for record in world.ledger.outbox(B)]
    assert len(sources) == 2
    assert sources[0] == sources[1]
    assert await world.store.read(cases.case_state, CASE) is not None


async def test_a_zombie_s_commit_is_refused_and_it_takes_up_what_the_other_left(world: World) -> None:
    world.ledger.put(message("m-1"))
    async with world.at_work() as first:
        await world.caught_up()
        async with world.at_work():  # a second worker that believes it holds the partition
            world.ledger.put(message("m-2", "case.urged"))
            await world.caught_up()
            world.ledger.put(message("m-3", "case.urged"))
            await world.caught_up()
        assert first.health() is None
    offsets = [each.source_position for each in map(from_record, world.ledger.outbox(B))]
    firsts = list(dict.fromkeys(offsets))
    assert firsts == sorted(firsts, key=str), "what a zombie repeats never rises above what was seen"
    for identity in ("m-1", "m-2", "m-3"):
        assert await world.store.read(messages.message, Party(A), MessageId(identity)) is not None


async def test_poison_on_the_ledger_is_told_and_passed_and_its_neighbours_flow(world: World) -> None:
    before = UNREADABLE.labels("exchange")._value.get()
    foreign = NewRecord(topic=LEDGER, key=b"x", value=b"\xff", headers=(("ce_id", b"\xff"),), partition=0)
    garbled = replace(
        message("r-1", "receipt.delivered"),
        source=BROKER,
        destination=Party(A),
        message_class=MessageClass.RECEIPT,
        correlation=f"{A}/m-1",
        value=b"\x00\x00\x00\x00\x18garbage",
    )
    world.ledger.append(foreign)
    world.ledger.put(message("m-1"))
    world.ledger.put(garbled)
    world.ledger.put(replace(garbled, correlation=None))
    world.ledger.put(message("m-2", "case.urged"))
    async with world.at_work():
        await world.caught_up()
    assert world.ids(B) == ["m-1", "m-2"]
    row = await world.store.read(messages.message, Party(A), MessageId("m-1"))
    assert row is not None
    assert row.outcome is None
    assert UNREADABLE.labels("exchange")._value.get() - before == 3


async def test_judging_is_deterministic_whatever_the_batches(world: World, tmp_path: Path) -> None:
    said = ["case.submitted", "case.urged", "case.decided", "case.withdrawn", "case.urged", "case.submitted"]
    for number, message_type in enumerate(said):
        world.ledger.put(message(f"m-{number}", message_type))
    exported: list[list[tuple[str, str]]] = []
    for batch in (1, 2, 1000):
        store = await Store.open(f"sqlite:///{tmp_path / f'view-{batch}.db'}")
        other = World(store)
        other.ledger.records[LEDGER, 0][:] = world.ledger.records[LEDGER, 0]
        async with other.at_work(batch):
            await other.caught_up()
        exported.append([(each.id, each.verdict) for each in await store.read(cases.timeline, CASE)])
        await store.close()
    assert exported[0] == exported[1] == exported[2]
    assert dict(exported[0])["m-2"] == "refused"
