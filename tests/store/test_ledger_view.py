"""The view: all of a batch or nothing, only from the position before, and the same as a plain model says."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from broker.core.case.lifecycle import Status
from broker.core.ids import CaseId, MessageId, Party
from broker.core.receipts import Outcome
from broker.errors import PositionConflict
from broker.store.access.database import Database
from broker.store.access.engine import Store
from broker.store.access.migrate import migrate
from broker.store.access.schema import VIEW_SCHEMA
from broker.store.rows import Name
from broker.store.tables import HELD, VIEW, mailbox
from broker.store.tables import directory as directory_table
from broker.store.view import desk, directory, ledger_view, messages
from broker.store.view.ledger_view import LedgerBatch
from broker.store.view.messages import Backlog
from tests.store import samples
from tests.store.samples import HENGSHAN, LAIBIN, T0, VERSION, XIAMEN, batch, case_state, dossier, outcome

NAME: Name = (Party(LAIBIN), MessageId("m-1"))


def _rows(connection: Connection) -> dict[str, int]:
    return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in VIEW}


async def test_what_is_applied_is_loaded_again(store: Store) -> None:
    state = case_state(status=Status.ACCEPTED, accepted_at=T0 + timedelta(hours=1))
    await store.call(ledger_view.apply, [batch(0, 3, cases=[state], messages=[samples.message(1)])])
    loaded = await store.read(
        ledger_view.load, {state.case, CaseId("451300/none")}, {NAME, (Party("x"), MessageId("y"))}
    )
    assert loaded.cases == {state.case: state}
    known = loaded.messages[NAME]
    assert list(loaded.messages) == [NAME]
    assert (known.digest, known.outcome, known.ledger_offset, known.verdict) == (
        "sha-256:1",
        None,
        1,
        "applied",
    )
    assert await store.read(ledger_view.positions, [0, 1]) == {0: (3, VERSION)}


async def test_nothing_is_loaded_for_no_names(store: Store) -> None:
    loaded = await store.read(ledger_view.load, [], [])
    assert (loaded.cases, loaded.messages) == ({}, {})
    assert await store.read(ledger_view.positions, []) == {}


async def test_the_last_state_of_a_case_stands(store: Store) -> None:
    first, later = case_state(), case_state(status=Status.DECIDED, updated_at=T0 + timedelta(days=2))
    await store.call(ledger_view.apply, [batch(0, 1, cases=[first]), batch(1, 2, cases=[later])])
    loaded = await store.read(ledger_view.load, [first.case], [])
    assert loaded.cases == {first.case: later}


@pytest.mark.parametrize(("since", "until"), [(0, 9), (4, 9), (6, 9)])
async def test_a_position_moves_only_from_where_it_stood(store: Store, since: int, until: int) -> None:
    await store.call(ledger_view.apply, [batch(0, 5)])
    with pytest.raises(PositionConflict):
        await store.call(ledger_view.apply, [batch(since, until, messages=[samples.message(7)])])
    assert await store.read(ledger_view.positions, [0]) == {0: (5, VERSION)}
    assert (await store.read(_rows))["message"] == 0


async def test_a_partition_without_a_position_begins_at_zero_only(store: Store) -> None:
    with pytest.raises(PositionConflict):
        await store.call(ledger_view.apply, [batch(4, 5)])
    assert await store.read(ledger_view.positions, [0]) == {}


async def test_one_conflict_undoes_the_batches_of_all_partitions(store: Store) -> None:
    await store.call(ledger_view.apply, [batch(0, 5, partition=1)])
    before = await store.read(_rows)
    with pytest.raises(PositionConflict):
        await store.call(ledger_view.apply, [samples.filled(0, 3), batch(4, 9, partition=1)])
    assert await store.read(_rows) == before
    assert await store.read(ledger_view.positions, [0, 1]) == {1: (5, VERSION)}


async def test_of_two_workers_on_one_partition_exactly_one_wins(url: str) -> None:
    one, other = await Store.open(url), await Store.open(url)
    try:
        for offset in range(0, 60, 3):
            rivals = [
                store.call(
                    ledger_view.apply,
                    [batch(offset, offset + 3, messages=[samples.message(f"{offset}-{name}")])],
                )
                for name, store in (("a", one), ("b", other))
            ]
            ended = await asyncio.gather(*rivals, return_exceptions=True)
            assert [type(each) for each in ended if each is not None] == [PositionConflict]
            assert await one.read(ledger_view.positions, [0]) == {0: (offset + 3, VERSION)}
        assert (await one.read(_rows))["message"] == 20
    finally:
        await one.close()
        await other.close()


async def test_a_message_that_another_partition_stored_meanwhile_is_a_conflict(store: Store) -> None:
    await store.call(ledger_view.apply, [batch(0, 1, messages=[samples.message(1)])])
    twin = samples.message(1, ledger_partition=1, digest="sha-256:other")
    with pytest.raises(PositionConflict):
        await store.call(ledger_view.apply, [batch(0, 1, partition=1, messages=[twin])])
    assert await store.read(ledger_view.positions, [0, 1]) == {0: (1, VERSION)}


async def test_a_refused_message_that_reuses_a_name_leaves_the_first_one_as_it_is(store: Store) -> None:
    await store.call(ledger_view.apply, [batch(0, 1, messages=[samples.message(1)])])
    reuse = samples.message(1, verdict="refused", code="message-id-reused", digest="sha-256:other")
    new = samples.message(2, verdict="refused", code="case-unknown", detail="no such case")
    await store.call(ledger_view.apply, [batch(1, 3, messages=[reuse, new])])
    loaded = await store.read(ledger_view.load, [], [NAME, (Party(LAIBIN), MessageId("m-2"))])
    assert [(known.digest, known.code) for _, known in sorted(loaded.messages.items())] == [
        ("sha-256:1", None),
        ("sha-256:2", "case-unknown"),
    ]


async def test_an_outcome_fills_the_row_and_opens_the_dossier_given(store: Store) -> None:
    rejected = outcome(outcome="rejected", reference=None, answer="422 材料不全")
    await store.call(
        ledger_view.apply,
        [batch(0, 2, messages=[samples.message(1)], outcomes=[rejected], dossiers=[dossier(1)])],
    )
    row = await store.read(messages.message, *NAME)
    assert row == replace(
        samples.message(1),
        outcome="rejected",
        outcome_at=rejected.outcome_at,
        attempts=1,
        answer="422 材料不全",
        receipt_id="r-1",
    )
    assert await store.read(desk.dossier, *NAME) == dossier(1)
    loaded = await store.read(ledger_view.load, [], [NAME])
    assert (loaded.messages[NAME].outcome, loaded.messages[NAME].receipt) == (Outcome.REJECTED, "r-1")


@pytest.mark.parametrize("later", ["rejected", "expired", "undeliverable", "delivered"])
async def test_delivered_is_final(store: Store, later: str) -> None:
    await store.call(ledger_view.apply, [batch(0, 2, messages=[samples.message(1)], outcomes=[outcome(1)])])
    await store.call(
        ledger_view.apply, [batch(2, 3, outcomes=[outcome(1, outcome=later, receipt_id="r-later")])]
    )
    row = await store.read(messages.message, *NAME)
    assert row is not None
    assert (row.outcome, row.receipt_id) == ("delivered", "r-1")


async def test_a_failure_may_still_become_delivered(store: Store) -> None:
    failed = outcome(1, outcome="undeliverable", receipt_id="n-1")
    await store.call(
        ledger_view.apply, [batch(0, 2, messages=[samples.message(1)], outcomes=[failed, outcome(1)])]
    )
    row = await store.read(messages.message, *NAME)
    assert row is not None
    assert row.outcome == "delivered"


async def test_an_outcome_of_an_unknown_message_changes_nothing_else(store: Store) -> None:
    await store.call(ledger_view.apply, [batch(0, 1, outcomes=[outcome("nobody")])])
    assert await store.read(_rows) == {name: int(name == "position") for name in await store.read(_rows)}


async def test_a_directory_version_on_every_partition_is_one_row_with_its_last_time(store: Store) -> None:
    other = samples.directory("f" * 16, applied_at=1002)
    for at in (2, 0, 1):
        row = samples.directory(applied_at=1000 + at)
        await store.call(ledger_view.apply, [batch(0, 1, partition=at, directories=[row])])
    times = select(directory_table.c.applied_at)
    assert await store.read(lambda connection: list(connection.scalars(times))) == [1002]
    assert await store.read(directory.current) == (VERSION, {"items/1.toml": 'name = "新生儿入户"'})
    await store.call(
        ledger_view.apply,
        [batch(1, 2, directories=[replace(other, applied_at=1010), samples.directory(applied_at=1020)])],
    )
    found = await store.read(directory.current)
    assert found is not None
    assert found[0] == VERSION, "a version applied again is in force again"
    assert (await store.read(_rows))["directory"] == 2


async def test_what_postgresql_cannot_hold_is_replaced_on_both(store: Store) -> None:
    hostile = samples.message(1, item="a\0b", correlation="\0")
    answer = outcome(1, reference="x\0", answer="\0")
    await store.call(
        ledger_view.apply, [batch(0, 2, messages=[hostile], outcomes=[answer], cases=[case_state(item="\0")])]
    )
    row = await store.read(messages.message, *NAME)
    assert row is not None
    assert (row.item, row.correlation, row.reference, row.answer) == (
        "a\ufffdb",
        "\ufffd",
        "x\ufffd",
        "\ufffd",
    )


async def test_clear_view_empties_the_view_and_what_delivery_holds(store: Store) -> None:
    held = {
        "partner": LAIBIN,
        "outbox_partition": 0,
        "outbox_offset": 0,
        "source": HENGSHAN,
        "id": "m",
        "case_id": "451300/1",
        "record": b"",
        "placed_at": 0,
    }
    await store.call(lambda connection: connection.execute(mailbox.insert().values(held)))
    await store.call(ledger_view.apply, [samples.filled(0, 3)])
    await store.call(ledger_view.clear_view)
    assert set((await store.read(_rows)).values()) == {0}
    counts = [select(func.count()).select_from(table) for table in HELD]
    assert await store.read(lambda connection: [connection.scalar(each) for each in counts]) == [0] * len(
        HELD
    )
    await store.call(ledger_view.apply, [samples.filled(0, 3)])


_TORN = """
import asyncio, sys, time
from broker.store.view import ledger_view
from broker.store.access.engine import Store
from tests.store import samples

def torn(connection):
    ledger_view.apply(connection, [samples.filled(5, 200)])
    print("in transaction", flush=True)
    time.sleep(60)

async def main():
    store = await Store.open(sys.argv[1])
    await store.call(ledger_view.apply, [samples.filled(0, 5)])
    await store.call(torn)

asyncio.run(main())
"""


async def test_a_worker_killed_in_mid_transaction_leaves_the_position_before(url: str) -> None:
    with subprocess.Popen([sys.executable, "-c", _TORN, url], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "in transaction\n"
        os.kill(worker.pid, signal.SIGKILL)
    store = await Store.open(url)
    try:
        assert await store.read(ledger_view.positions, [0]) == {0: (5, VERSION)}
        assert (await store.read(_rows))["message"] == 5
        await store.call(ledger_view.apply, [samples.filled(5, 200)])
        assert (await store.read(_rows))["message"] == 205
    finally:
        await store.close()


_OUTCOMES = st.sampled_from(["delivered", "rejected", "expired", "undeliverable"])
_NUMBERS = st.integers(min_value=0, max_value=9)
_STEPS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(_NUMBERS, st.sampled_from([HENGSHAN, XIAMEN]), st.sampled_from([0, 1, 2, 3])),
            max_size=4,
        ),
        st.lists(st.tuples(_NUMBERS, _OUTCOMES), max_size=4),
        st.booleans(),
    ),
    max_size=6,
)


class _Model:
    """The view as plain dictionaries: what a reader of the rules would write down."""

    def __init__(self) -> None:
        self.position = 0
        self.messages: dict[int, tuple[str, int]] = {}
        self.outcomes: dict[int, str] = {}

    def step(self, new: list[tuple[int, str, int]], ended: list[tuple[int, str]]) -> LedgerBatch:
        since, rows = self.position, []
        for number, destination, message_class in new:
            if number not in self.messages:
                self.messages[number] = (destination, message_class)
                rows.append(
                    samples.message(number, destination=Party(destination), message_class=message_class)
                )
        for number, word in ended:
            if number in self.messages and self.outcomes.get(number) != "delivered":
                self.outcomes[number] = word
        self.position += 1 + len(new) + len(ended)
        return batch(
            since,
            self.position,
            messages=rows,
            outcomes=[outcome(number, outcome=word) for number, word in ended],
        )

    def backlogs(self) -> list[Backlog]:
        found: list[Backlog] = []
        for partner in (XIAMEN, HENGSHAN):
            owed_ever = [n for n, (to, kind) in self.messages.items() if to == partner and kind != 2]
            words = [self.outcomes[n] for n in owed_ever if n in self.outcomes]
            open_ = [n for n in owed_ever if n not in self.outcomes]
            if owed_ever:
                oldest = min((samples.message(n).accepted_at for n in open_), default=None)
                delivered = words.count("delivered")
                found.append(
                    Backlog(
                        partner=partner,
                        accepted=len(owed_ever),
                        delivered=delivered,
                        failed=len(words) - delivered,
                        owed=len(open_),
                        oldest_at=oldest,
                    )
                )
        return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_the_view_says_what_a_plain_model_says(
    url: str, steps: list[tuple[list[tuple[int, str, int]], list[tuple[int, str]], bool]]
) -> None:
    migrate(url)
    engine = Database.of(url, VIEW_SCHEMA, 3.0).engine("write", 1)
    model = _Model()
    try:
        with engine.begin() as connection:
            ledger_view.clear_view(connection)
        for new, ended, repeated in steps:
            each = model.step(new, ended)
            with engine.begin() as connection:
                ledger_view.apply(connection, [each])
            if repeated and each.until > each.since:
                with pytest.raises(PositionConflict), engine.begin() as connection:
                    ledger_view.apply(connection, [each])
        with engine.begin() as connection:
            names = [(Party(LAIBIN), MessageId(f"m-{number}")) for number in range(10)]
            loaded = ledger_view.load(connection, [], names)
            found = {int(name[1][2:]): known.outcome for name, known in loaded.messages.items()}
            assert found == {number: model.outcomes.get(number) for number in model.messages}
            assert messages.settled(connection, names) == {names[number] for number in model.outcomes}
            assert messages.backlogs(connection) == model.backlogs()
            position = ledger_view.positions(connection, [0])
            assert position == ({0: (model.position, VERSION)} if steps else {})
    finally:
        engine.dispose()
