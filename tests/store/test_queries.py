"""What people ask of the view: cases, messages, directory, desk, attempts."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event

from broker.core.case.lifecycle import Status
from broker.core.ids import CaseId, MessageId, Party
from broker.core.message import epoch_ms
from broker.errors import Corrupt
from broker.store.access.engine import Store
from broker.store.delivering import attempts
from broker.store.rows import AttemptRow
from broker.store.view import cases, desk, directory, ledger_view, messages
from broker.store.view.outcomes import Tallies, settle
from tests.store import samples
from tests.store.samples import HENGSHAN, LAIBIN, T0, XIAMEN, batch, case_state, dossier, outcome


async def test_a_case_and_its_timeline_in_the_ledgers_order(store: Store) -> None:
    rows = [samples.message(n, ledger_offset=9 - n, verdict="applied" if n else "refused") for n in range(4)]
    stranger = samples.message("other", case_id=CaseId("451300/2"))
    await store.call(ledger_view.apply, [batch(0, 10, cases=[case_state()], messages=[*rows, stranger])])
    assert await store.read(cases.case_state, CaseId("451300/1")) == case_state()
    assert await store.read(cases.case_state, CaseId("451300/none")) is None
    assert await store.read(cases.timeline, CaseId("451300/1")) == rows[::-1]
    assert await store.read(cases.timeline, CaseId("451300/1"), limit=1) == [rows[3]]


async def test_cases_of_a_partner_on_either_side_newest_first(store: Store) -> None:
    def at(hours: int) -> dict[str, object]:
        return {"opened_at": T0, "updated_at": T0 + timedelta(hours=hours)}

    opened = case_state(1, **at(1))
    answered = case_state(2, opening=XIAMEN, responsible=LAIBIN, status=Status.DECIDED, **at(3))
    own = case_state(3, responsible=LAIBIN, **at(2))  # both sides in one
    foreign = case_state(4, opening=XIAMEN, **at(4))
    await store.call(ledger_view.apply, [batch(0, 4, cases=[opened, answered, own, foreign])])
    assert await store.read(cases.list_cases) == [foreign, answered, own, opened]
    assert await store.read(cases.list_cases, partner=LAIBIN) == [answered, own, opened]
    assert await store.read(cases.list_cases, partner=LAIBIN, limit=2) == [answered, own]
    assert await store.read(cases.list_cases, partner=LAIBIN, before=own.updated_at) == [opened]
    assert await store.read(cases.list_cases, partner=LAIBIN, status=Status.SUBMITTED) == [own, opened]
    assert await store.read(cases.list_cases, status=Status.DECIDED) == [answered]


async def test_messages_by_name_and_what_is_settled(store: Store) -> None:
    many = [samples.message(number) for number in range(1200)]
    ended = [outcome(number) for number in range(0, 1200, 2)]
    await store.call(ledger_view.apply, [batch(0, 1200, messages=many, outcomes=ended)])
    names = [(Party(LAIBIN), MessageId(f"m-{number}")) for number in range(1300)]
    assert await store.read(messages.settled, names) == set(names[0:1200:2])
    assert await store.read(messages.settled, []) == set()
    assert await store.read(messages.message, Party(LAIBIN), MessageId("m-1")) == many[1]
    assert await store.read(messages.message, Party(HENGSHAN), MessageId("m-1")) is None


async def test_unsettled_is_what_a_partner_is_still_to_get(store: Store) -> None:
    owed = [samples.message(1), samples.message(2)]
    others = [
        samples.message(3),
        samples.message(4, verdict="refused", code="expired"),
        samples.message(5, message_class=2),
        samples.message(6, destination=Party(XIAMEN)),
    ]
    await store.call(
        ledger_view.apply, [batch(0, 7, messages=[*others, *owed], outcomes=[outcome(3, outcome="expired")])]
    )
    assert await store.read(messages.unsettled, HENGSHAN) == owed
    assert await store.read(messages.unsettled, HENGSHAN, limit=1) == owed[:1]
    found = {each.partner: each for each in await store.read(messages.backlogs)}
    of = found[HENGSHAN]
    assert (of.accepted, of.delivered, of.failed, of.owed) == (3, 0, 1, 2)
    assert of.oldest_at == epoch_ms(T0) + 1
    assert found[XIAMEN].owed == 1


async def test_counts_hold_over_partitions_and_batches(store: Store) -> None:
    await store.call(ledger_view.apply, [samples.filled(0, 3), samples.filled(0, 4, partition=1)])
    ended = [outcome(f"{at}-1", id=MessageId(f"m-{at}-1")) for at in (0, 1)]
    await store.call(
        ledger_view.apply, [batch(3, 4, outcomes=ended[:1]), batch(4, 5, partition=1, outcomes=ended[1:])]
    )
    (of,) = await store.read(messages.backlogs)
    assert (of.accepted, of.delivered, of.failed, of.owed) == (7, 2, 0, 5)


async def test_directory_versions(store: Store) -> None:
    assert await store.read(directory.current) is None
    assert await store.read(directory.by_version, "f" * 16) is None
    with pytest.raises(Corrupt):
        await store.read(directory.documents, "f" * 16)
    first, second = samples.directory(), samples.directory("f" * 16, applied_at=2000, documents='{"a":"b"}')
    await store.call(ledger_view.apply, [batch(0, 2, directories=[second, first])])
    assert await store.read(directory.current) == (second.version, {"a": "b"})
    assert await store.read(directory.documents, first.version) == first.documents
    assert await store.read(directory.by_version, second.version) == {"a": "b"}


async def test_attempts_are_kept_by_their_number(store: Store) -> None:
    first = AttemptRow(
        partner=HENGSHAN,
        source=Party(LAIBIN),
        id=MessageId("m-1"),
        attempt=1,
        started_at=1,
        duration_ms=20,
        result="deferred",
        detail="503",
    )
    second = replace(first, attempt=2, detail="429\0")
    await store.call(attempts.put, [second, first])
    await store.call(attempts.put, [replace(first, detail="503 again")])
    await store.call(attempts.put, [])
    found = await store.read(attempts.attempts_of, first.source, first.id)
    assert [(each.attempt, each.detail) for each in found] == [(1, "503 again"), (2, "429\ufffd")]


_SCANS = re.compile(r"(SCAN|Seq Scan on) (message|case_view|attempt|dossier|dossier_act)\b")


async def test_what_is_asked_often_reads_by_key_and_never_a_whole_table(store: Store) -> None:
    """PostgreSQL would scan a small table; the plan it keeps must be the one for a large table."""
    name = (Party(LAIBIN), MessageId("m-0-1"))

    def ask_all(connection: Connection) -> None:
        ledger_view.load(connection, [CaseId("451300/1")], [name])
        settle(connection, [outcome("0-1")], {}, Tallies())
        messages.settled(connection, [name])
        messages.message(connection, *name)
        messages.unsettled(connection, HENGSHAN)
        messages.backlogs(connection)
        cases.list_cases(connection, partner=LAIBIN)
        cases.timeline(connection, CaseId("451300/1"))
        attempts.attempts_of(connection, *name)
        desk.dossier(connection, *name)
        desk.acts(connection, *name)
        desk.redrives(connection, *name)
        desk.settled(connection, [(name, 1)])
        desk.holding(connection, [(HENGSHAN, CaseId("451300/1"))])
        desk.refusals(connection, dossier())

    def plans(connection: Connection) -> dict[str, str]:
        asked: list[tuple[str, Any]] = []
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")  # now its planner knows how small it is

        def heard(_: Any, __: Any, statement: str, values: Any, ___: Any, many: bool) -> None:
            asked.append((statement, values[0] if many else values))

        event.listen(connection, "before_cursor_execute", heard)
        ask_all(connection)
        event.remove(connection, "before_cursor_execute", heard)
        explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        return {
            statement: "\n".join(
                str(row[-1]) for row in connection.exec_driver_sql(explain + statement, values)
            )
            for statement, values in asked
        }

    await store.call(ledger_view.apply, [samples.filled(0, 3)])
    found = await store.call(plans)
    assert len(found) >= 16
    assert {statement: plan for statement, plan in found.items() if _SCANS.search(plan)} == {}
