"""Endings that leave nothing on the log: told in the next turn, each by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from broker.core.ids import PartnerId
from broker.core.message import MessageClass, from_record
from broker.core.receipts import Outcome
from broker.delivery.assigned.lease import Lease
from broker.delivery.assigned.tenure import Entry, Tenure
from broker.delivery.ending.receipts import Ending
from broker.delivery.ending.settlement import Settlement
from broker.delivery.stage import SystemClock
from broker.store.access.engine import Store
from tests.delivery.fakes import CODEC, FakeLedger, FakeLog

PARTNER = PartnerId("430423")
DELIVERED = Ending(outcome=Outcome.DELIVERED, attempt=1, at_s=1_790_000_000.0)


def settlement(store: Store) -> Settlement:
    clock = SystemClock()
    return Settlement(
        codec=CODEC,
        ledger=FakeLedger(),
        store=store,
        clock=clock,
        lease=Lease(clock, 10.0),
        write_deadline_s=1.0,
    )


def receipt() -> Entry:
    """A delivered receipt: nobody is told of it."""
    log = FakeLog()
    log.send(PARTNER, "451300/1", message_class=MessageClass.RECEIPT)
    place = next(iter(log.records))
    record = log.records[place][0]
    return Entry(record, from_record(record), Tenure(place, PARTNER), None)


async def test_what_is_not_receipted_is_told_in_the_next_turn_and_in_order(store: Store) -> None:
    told: list[int] = []
    shared, entry = settlement(store), receipt()
    for number in range(3):
        shared.end(entry, PARTNER, "http", DELIVERED, partial(told.append, number))
    assert told == []
    await asyncio.sleep(0)
    assert told == [0, 1, 2]
    shared.end(entry, PARTNER, "http", DELIVERED, partial(told.append, 3))
    await asyncio.sleep(0)
    assert told == [0, 1, 2, 3]


async def test_of_one_answer_each_partition_has_its_receipts_and_one_that_is_gone_has_none(
    store: Store,
) -> None:
    log, shared, told = FakeLog(partitions=2), settlement(store), list[str]()
    for number in range(4):
        log.send(PARTNER, f"451300/{number}")
    tenures = {place: Tenure(place, PARTNER) for place in log.records}
    assert len(tenures) == 2
    entries = [
        Entry(record, from_record(record), tenures[place], None)
        for place, records in log.records.items()
        for record in records
    ]
    gone, kept = tenures.values()
    shared.delivered(
        [(entry, DELIVERED) for entry in entries], PARTNER, lambda entry: told.append(entry.message.name)
    )
    assert told == [], "before the receipts are on the log"
    gone.alive = False
    shared._lease.renew(SystemClock().monotonic_s())
    writing = asyncio.create_task(shared.records.run())
    await asyncio.sleep(0.05)
    writing.cancel()
    expected = [entry.message.name for entry in entries if entry.tenure is kept]
    assert told == expected
    ledger = shared._ledger
    assert isinstance(ledger, FakeLedger)
    assert ledger.said("receipt.delivered") == expected


async def test_one_that_fails_does_not_keep_the_others_from_being_told(store: Store) -> None:
    told: list[int] = []
    faults: list[object] = []

    def fails() -> None:
        raise ValueError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    shared, entry = settlement(store), receipt()
    for done in (partial(told.append, 1), fails, partial(told.append, 2)):
        shared.end(entry, PARTNER, "http", DELIVERED, done)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == [1, 2]
    assert [type(fault) for fault in faults] == [ValueError]


async def test_a_failure_goes_to_the_desk_though_nobody_is_told(store: Store) -> None:
    shared, entry = settlement(store), receipt()
    told: list[str] = []
    rejected = replace(DELIVERED, outcome=Outcome.REJECTED, code="422")
    shared.end(entry, PARTNER, "http", rejected, partial(told.append, "done"))
    await asyncio.sleep(0)
    assert told == []  # it is not on the desk yet
