"""What falls due next, on SQLite and PostgreSQL; and that what is not due costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, text

from broker.core.case.case_state import evolve
from broker.core.case.lifecycle import CaseState, Status
from broker.core.ids import CaseId
from broker.store.access.engine import Store
from broker.store.rows import CardRow, CaseRow
from broker.store.view import cards, deadlines, ledger_view
from broker.store.view.deadlines import Planned
from tests.store.samples import HENGSHAN, LAIBIN, XIAMEN, batch, case_state

OPEN = 100_000


def rows(*falls: int | None, **facts: Any) -> list[CaseRow]:
    """Cases 0, 1, 2 … whose next deadlines fall at these times."""
    return [CaseRow(state=case_state(n, **facts), falls_at=at) for n, at in enumerate(falls)]


async def put(store: Store, cases: Sequence[CaseRow], **facts: Any) -> None:
    await store.call(ledger_view.apply, [batch(0, 1, cases=cases, **facts)])


def card(number: int, **facts: Any) -> CardRow:
    plain = CardRow(
        case_id=CaseId(f"{LAIBIN}/{number}"),
        kind="decision",
        step="",
        light="yellow",
        turn=0,
        falls_at=1000,
        issued_at=2000 + number,
        due_on="2026-03-09",
        late=HENGSHAN,
        opening=LAIBIN,
        responsible=HENGSHAN,
        item="11430423MB1",
        ledger_partition=0,
        ledger_offset=number,
    )
    return replace(plain, **facts)


async def test_what_is_due_comes_by_time_page_by_page(store: Store) -> None:
    await put(store, rows(30, 10, None, 10, 20, 31))
    first = await store.read(deadlines.due, 30, limit=2)
    assert first == [(10, "451300/1"), (10, "451300/3")]
    second = await store.read(deadlines.due, 30, after=first[-1], limit=2)
    assert second == [(20, "451300/4"), (30, "451300/0")]
    assert await store.read(deadlines.due, 30, after=second[-1], limit=2) == []


async def test_cases_are_read_as_they_are_planned(store: Store) -> None:
    cases = rows(30, None, *range(40, 1240))
    await put(store, cases)
    named = [row.state.case for row in cases]
    found = await store.read(deadlines.planned, named)
    assert {each.state.case: each.falls_at for each in found} == {
        row.state.case: row.falls_at for row in cases if row.falls_at is not None
    }
    assert await store.read(deadlines.planned, []) == []


async def test_upcoming_of_a_partner_on_either_side(store: Store) -> None:
    of_xiamen = replace(rows(5)[0], state=case_state("x", opening=XIAMEN, responsible=LAIBIN))
    await put(store, [*rows(30, 10), of_xiamen])
    everything = await store.read(deadlines.upcoming, 30)
    assert [each.falls_at for each in everything] == [5, 10, 30]
    assert [each.falls_at for each in await store.read(deadlines.upcoming, 30, partner=HENGSHAN)] == [10, 30]
    assert [each.falls_at for each in await store.read(deadlines.upcoming, 30, partner=LAIBIN)] == [5, 10, 30]
    assert [each.falls_at for each in await store.read(deadlines.upcoming, 29, limit=1)] == [5]


async def test_planning_anew_changes_only_what_is_still_as_it_was_read(store: Store) -> None:
    await put(store, rows(10, 20, 30))
    read = await store.read(deadlines.planned, [CaseId(f"451300/{n}") for n in range(3)])
    one, two, three = sorted(read, key=lambda each: each.falls_at)
    moved_on = CaseRow(state=evolve(two.state, {"status": Status.ACCEPTED, "revision": 2}), falls_at=20)
    await store.call(ledger_view.apply, [batch(1, 2, cases=[moved_on])])
    changes: list[tuple[Planned, int | None]] = [(one, 99), (two, 98), (replace(three, falls_at=31), 97)]
    assert await store.call(deadlines.replan, changes) == 1
    assert await store.read(deadlines.due, 1000) == [
        (20, "451300/1"),
        (30, "451300/2"),
        (99, "451300/0"),
    ]
    (first,) = await store.read(deadlines.planned, [CaseId("451300/0")])
    assert await store.call(deadlines.replan, [(first, None)]) == 1
    assert len(await store.read(deadlines.due, 1000)) == 2


async def test_a_change_of_the_case_replaces_when_it_falls(store: Store) -> None:
    await put(store, rows(10))
    ended = CaseRow(state=case_state(0, status=Status.WITHDRAWN), falls_at=None)
    await store.call(ledger_view.apply, [batch(1, 2, cases=[ended])])
    assert await store.read(deadlines.due, 1000) == []


async def test_cards_of_a_case_and_of_a_partner(store: Store) -> None:
    yellow, red = card(1), card(1, light="red", issued_at=5000, ledger_offset=9)
    other = card(2, opening=XIAMEN, late=XIAMEN)
    await put(
        store,
        [CaseRow(state=case_state(n), falls_at=None) for n in (1, 2)],
        cards=[red, other, yellow],
    )
    assert await store.read(cards.of_case, CaseId("451300/1")) == [yellow, red]
    issued: list[tuple[CardRow, CaseState]] = await store.read(cards.issued)
    assert [each for each, _ in issued] == [red, other, yellow]
    assert issued[0][1] == case_state(1)
    assert [each for each, _ in await store.read(cards.issued, partner=LAIBIN)] == [red, yellow]
    assert [each for each, _ in await store.read(cards.issued, light="red")] == [red]
    assert [each for each, _ in await store.read(cards.issued, before=red, limit=1)] == [other]


async def test_a_card_is_one_row_however_often_it_is_judged(store: Store) -> None:
    await put(store, rows(None, None), cards=[card(1)])
    again = batch(1, 2, cases=[], cards=[card(1, issued_at=9999, ledger_offset=77)])
    await store.call(ledger_view.apply, [again])
    assert await store.read(cards.of_case, CaseId("451300/1")) == [card(1)]


async def test_a_hundred_thousand_open_cases_are_not_looked_at(store: Store) -> None:
    """The index alone answers, in its own order: no table is scanned and nothing is sorted."""
    await store.call(_open_cases, OPEN)
    plan = await store.read(_plan)
    assert "ix_case_view_falls_at" in plan
    assert "SCAN case_view" not in plan
    assert "Seq Scan" not in plan
    assert "B-TREE" not in plan
    assert "Sort" not in plan
    assert [at for at, _ in await store.read(deadlines.due, 1_000_002)] == [1_000_000, 1_000_001, 1_000_002]


def _open_cases(connection: Connection, count: int) -> None:
    """So many open cases, in one statement; the next deadline of case n falls at 1,000,000 + n."""
    numbers = (
        f"SELECT n FROM generate_series(0, {count - 1}) AS numbers(n)"
        if connection.dialect.name == "postgresql"
        else f"WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count - 1}) "
        "SELECT n FROM numbers"
    )
    connection.execute(
        text(
            "INSERT INTO case_view (case_id, opening, responsible, item, mode, status, opened_at, updated_at,"
            " state, falls_at) SELECT '451300/' || n, '451300', '430423', 'i', 'collected', 'submitted', 0, 0,"
            f" '{{}}', 1000000 + n FROM ({numbers}) AS each"
        )
    )
    connection.execute(text("ANALYZE case_view"))


def _plan(connection: Connection) -> str:
    """How the database answers ``deadlines.due`` for a page in the middle."""
    explain = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    lines: list[str] = []
    for after in (None, (1_000_001, CaseId("451300/1"))):
        statement = deadlines.due_statement(1_000_003, after=after, limit=1000).compile(
            connection, compile_kwargs={"literal_binds": True}
        )
        lines += [str(row) for row in connection.exec_driver_sql(f"{explain} {statement}")]
    return "\n".join(lines)
