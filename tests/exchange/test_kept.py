"""What the exchange keeps from batch to batch is what the store says, and is forgotten wherever that may not be so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest_asyncio
from sqlalchemy import Connection

from broker.core.case.case_state import CaseState, Status
from broker.core.catalogue.directory import EMPTY
from broker.core.ids import BROKER, CaseId, MessageId, Party
from broker.core.message import MessageClass
from broker.core.records import TopicPartition
from broker.errors import Unreachable
from broker.exchange.judged import NO_BOOK, Judged
from broker.exchange.kept import Kept, beyond, joined
from broker.exchange.options import ExchangeOptions
from broker.exchange.reading import Wanted
from broker.exchange.stage import Exchange
from broker.store.access.engine import Store
from broker.store.rows import MessageRow, OutcomeRow
from broker.store.view import cases, ledger_view
from broker.store.view.ledger_view import NOTHING_OF_THE_DESK, Loaded
from tests.exchange.fakes import CODEC, P0, Ledger, Reader, message
from tests.store import samples

P = ParamSpec("P")
T = TypeVar("T")
A, B = Party("451300"), Party("430423")
CASE = CaseId("451300/LB-1")
ANSWER = {"source": B, "destination": A, "item": None, "mode": None}


class Watched(Store):
    """A store that notes which cases and names are loaded. ``lost``: so many commits happen, and nobody hears of it."""

    loads: list[tuple[set[str], set[str]]]
    lost: int

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if work is ledger_view.load:
            wanted: tuple[Any, ...] = args
            self.loads.append((set(wanted[0]), {name[1] for name in wanted[1]}))
        return await super().read(work, *args, **kwargs)

    async def call(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        done = await super().call(work, *args, **kwargs)
        if self.lost:
            self.lost -= 1
            raise Unreachable("the database did not answer in time; the transaction may have happened")
        return done


class Member(Reader):
    """A member of the group to which the partition is given, and from which it is taken. Told by ``work`` to poll."""

    async def give(self) -> None:
        await self._assigned(frozenset({P0}))

    async def take(self) -> None:
        await self._revoked(frozenset({P0}))


class World:
    def __init__(self, store: Watched) -> None:
        self.store = store
        self.ledger = Ledger()
        self.ledger.put_directory()

    def worker(self) -> tuple[Exchange, Member]:
        """An exchange that works when it is told to, and its membership."""
        members: list[Member] = []

        def reader(**callbacks: Any) -> Member:
            members.append(Member(self.ledger, **callbacks))
            return members[0]

        exchange = Exchange(
            ExchangeOptions(wait_s=0.01),
            reader=reader,
            writer=self.ledger,
            store=self.store,
            codec=CODEC,
            outbox_partitions=1,
            make_topics=_no_topics,
            read_at=self.ledger.read_at,
        )
        return exchange, members[0]

    async def work(self, worker: tuple[Exchange, Member]) -> None:
        """One turn of the stage, as :meth:`Exchange.run` makes it."""
        exchange, member = worker
        polled: dict[TopicPartition, Any] = await member.poll(max_records=1000, wait_s=0)
        try:
            await exchange._work(polled)
        except Unreachable:
            await exchange._rewind()

    async def status(self) -> Status:
        state = await self.store.read(cases.case_state, CASE)
        assert state is not None
        return state.status


async def _no_topics(partners: object) -> None:
    del partners


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await Watched.open(f"sqlite:///{tmp_path / 'view.db'}")
    assert isinstance(store, Watched)
    store.loads, store.lost = [], 0
    yield World(store)
    await store.close()


async def test_what_was_just_committed_is_not_read_again(world: World) -> None:
    worker = world.worker()
    await worker[1].give()
    world.ledger.put(message("m-1"))
    await world.work(worker)
    world.ledger.put(message("m-2", "case.accepted", **ANSWER))
    world.ledger.put(_receipt("m-1"))
    await world.work(worker)
    assert world.store.loads[-1] == (set(), {"m-2"}), "the new name alone is asked for"
    assert await world.status() is Status.ACCEPTED
    row = (await world.store.read(ledger_view.load, [], [(A, MessageId("m-1"))])).messages
    assert [each.outcome for each in row.values()] == ["delivered"]


async def test_a_partition_that_was_elsewhere_is_judged_on_what_stands_there_now(world: World) -> None:
    worker, other = world.worker(), world.worker()
    await worker[1].give()
    world.ledger.put(message("m-1"))
    await world.work(worker)
    await worker[1].take()

    await other[1].give()
    world.ledger.put(message("m-2", "case.accepted", **ANSWER))
    await world.work(other)
    await other[1].take()

    await worker[1].give()
    world.ledger.put(message("m-3", "case.decided", **ANSWER))
    await world.work(worker)
    assert await world.status() is Status.DECIDED, "by the case as submitted it would be refused"


async def test_a_commit_that_happened_unheard_is_not_judged_over(world: World) -> None:
    worker = world.worker()
    await worker[1].give()
    world.ledger.put(message("m-1"))
    await world.work(worker)
    world.store.lost = 1
    world.ledger.put(message("m-2", "case.accepted", **ANSWER))
    await world.work(worker)
    world.ledger.put(message("m-3", "case.decided", **ANSWER))
    await world.work(worker)
    assert await world.status() is Status.DECIDED


async def test_a_message_that_ended_is_asked_of_the_store_again(world: World) -> None:
    """Only the store knows what the desk has of it."""
    worker = world.worker()
    await worker[1].give()
    world.ledger.put(message("m-1"))
    world.ledger.put(_receipt("m-1"))
    await world.work(worker)
    world.ledger.put(_receipt("m-1"))
    await world.work(worker)
    assert world.store.loads[-1] == (set(), {"m-1"})


def test_no_more_is_kept_than_the_latest() -> None:
    kept = Kept(most=8)
    states = [samples.case_state(number) for number in range(12)]
    for state in states:
        kept.take(_judged(cases=[state]))
        kept.take(_judged(cases=[states[0]]))  # changes all the time
    found = kept.of(_wanted(cases=[state.case for state in states])).cases
    assert len(found) <= 8
    assert states[0].case in found
    assert states[11].case in found
    assert states[1].case not in found


def test_only_what_will_have_a_receipt_is_kept() -> None:
    kept = Kept()
    rows = [
        samples.message("owed"),
        samples.message("receipt", message_class=int(MessageClass.RECEIPT)),
        samples.message("to-the-broker", destination=BROKER),
        samples.message("recorded", verdict="recorded"),
        samples.message("refused", verdict="refused"),
        samples.message("ended"),
    ]
    kept.take(_judged(messages=rows, outcomes=[samples.outcome("ended")]))
    names = {(row.source, row.id) for row in rows}
    here = kept.of(Wanted(cases=set(), names=names, desk=NOTHING_OF_THE_DESK))
    assert {name[1] for name in here.messages} == {"m-owed"}
    rest = beyond(Wanted(cases=set(), names=names, desk=NOTHING_OF_THE_DESK), here)
    assert rest.names == names - here.messages.keys()


async def test_kept_is_as_read(world: World) -> None:
    rows, states = [samples.message(1), samples.message(2)], [samples.case_state(1)]
    await world.store.call(ledger_view.apply, [samples.batch(0, 3, cases=states, messages=rows)])
    read = await world.store.read(
        ledger_view.load, [state.case for state in states], [(row.source, row.id) for row in rows]
    )
    kept = Kept()
    kept.take(_judged(cases=states, messages=rows))
    wanted = Wanted(cases=set(read.cases), names=set(read.messages), desk=NOTHING_OF_THE_DESK)
    assert kept.of(wanted) == replace(read, dossiers=(), levers={})
    assert joined(kept.of(wanted), Loaded(cases={}, messages={})) == kept.of(wanted)
    kept.forget()
    assert kept.of(wanted) == Loaded(cases={}, messages={})


def _receipt(of: str) -> Any:
    facts = {
        "acknowledged": f"{A}/{of}", "recipient": str(B), "digest": "sha-256:0", "dataschema": "/schemas/ids/1",
        "attempt": 1, "at": message(of).time,
    }  # fmt: skip
    return message(
        f"r-{of}",
        "receipt.delivered",
        source=BROKER,
        destination=A,
        message_class=MessageClass.RECEIPT,
        correlation=f"{A}/{of}",
        value=CODEC.encode("receipt.delivered", facts),
    )


def _judged(
    *,
    cases: list[CaseState] | None = None,
    messages: list[MessageRow] | None = None,
    outcomes: list[OutcomeRow] | None = None,
) -> Judged:
    return Judged(
        directory=EMPTY,
        book=NO_BOOK,
        cases={state.case: state for state in cases or []},
        messages=messages or [],
        outcomes=outcomes or [],
    )


def _wanted(*, cases: list[CaseId]) -> Wanted:
    return Wanted(cases=set(cases), names=set(), desk=NOTHING_OF_THE_DESK)
