"""A city's list is held against the ledger line by line; what the ledger bears out is no finding."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from broker.archive.finding import Finding, Kind
from broker.archive.reconciliation import of_lists
from broker.core.case.case_state import CaseState, Fee
from broker.core.ids import CaseId
from broker.core.message import epoch_ms
from broker.store.access.engine import Store
from tests.archive.audit_world import HENGSHAN, LAIBIN, World, accepted, at, decided

Line = tuple[str, str | None, int | None]
DONE = decided(1, "11-06", number="HS-77", fee=Fee.PAID, fee_fen=500)


async def ask(store: Store, world: World) -> list[Finding]:
    await store.call(world.write)
    return await store.scan(lambda connection: list(of_lists(connection, None)))


async def held(store: Store, state: CaseState, *lines: Line) -> list[Finding]:
    world = World()
    world.case(state)
    world.list("2026-11", *lines)
    return await ask(store, world)


@pytest.mark.parametrize(
    "line",
    [
        ("HS-77", "2026-11-06", 500),
        ("000001", "2026-11-06", None),
        (f"{LAIBIN}/000001", None, 500),
        ("HS-77", None, None),
    ],
)
async def test_what_the_ledger_bears_out_is_no_finding(store: Store, line: Line) -> None:
    assert await held(store, DONE, line) == []


@pytest.mark.parametrize(
    ("line", "kind", "told"),
    [
        (("HS-78", "2026-11-06", None), Kind.OUTSIDE_THE_EXCHANGE, "is no case of the ledger"),
        (("HS-77", "2026-11-09", None), Kind.OUTSIDE_THE_EXCHANGE, "the ledger has it on 2026-11-06"),
        (("HS-77", None, 800), Kind.PAID_OUTSIDE_THE_EXCHANGE, "the ledger has 500 fen"),
        (("HS-77", None, 0), Kind.PAID_OUTSIDE_THE_EXCHANGE, "was paid 0 fen by the list"),
    ],
)
async def test_what_the_ledger_does_not_know_is_a_finding(
    store: Store, line: Line, kind: Kind, told: str
) -> None:
    (found,) = await held(store, DONE, line)
    assert (found.kind, found.partner) == (kind, HENGSHAN)
    assert told in found.detail
    assert f"{line[0]} (line 1 of the list of 2026-11)" in found.detail
    assert found.case == (None if line[0] == "HS-78" else DONE.case)
    assert (found.proofs[0].type, found.proofs[0].position.offset) == ("operator.reconciled", 3)


async def test_a_case_listed_as_decided_and_paid_of_which_the_ledger_knows_neither(store: Store) -> None:
    found = await held(store, accepted(1, number="HS-77"), ("HS-77", "2026-11-06", 500))
    assert [each.kind for each in found] == [Kind.OUTSIDE_THE_EXCHANGE, Kind.PAID_OUTSIDE_THE_EXCHANGE]
    assert "knows no decision" in found[0].detail
    assert "confirms no payment" in found[1].detail
    assert [proof.type for proof in found[0].proofs] == ["operator.reconciled", "case.submitted"]


async def test_a_decision_that_reached_the_ledger_a_day_late_is_no_finding(store: Store) -> None:
    world = World()
    world.case(DONE)
    world.messages[2] = replace(world.messages[2], said_at=epoch_ms(at("11-05 23:59")))
    world.list("2026-11", ("HS-77", "2026-11-05", None))
    assert await ask(store, world) == []


async def test_a_decision_that_bears_the_day_of_the_list_is_no_finding(store: Store) -> None:
    dated = replace(DONE, decided_on=date(2026, 11, 5))
    days = [("HS-77", f"2026-11-0{day}", None) for day in (4, 5, 6)]
    (found,) = await held(store, dated, *days)
    assert "was decided on 2026-11-04 by the list" in found.detail


async def test_one_of_several_cases_with_the_number_is_enough(store: Store) -> None:
    world = World()
    world.case(accepted(2, case=CaseId("350200/7")))
    world.case(decided(1, "11-06", case=CaseId(f"{LAIBIN}/7")))
    world.list("2026-11", ("7", "2026-11-06", None))
    assert await ask(store, world) == []


async def test_another_city_s_case_is_not_this_city_s(store: Store) -> None:
    (found,) = await held(store, replace(DONE, responsible=LAIBIN, opening=HENGSHAN), ("HS-77", None, None))
    assert found.kind is Kind.OUTSIDE_THE_EXCHANGE


async def test_the_last_list_of_a_month_counts(store: Store) -> None:
    world = World()
    world.case(DONE)
    world.list("2026-10", ("HS-1", None, None))
    world.list("2026-11", ("HS-2", None, None), ("HS-3", None, None))
    last = world.list("2026-11", ("HS-77", "2026-11-06", 500), ("HS-4", None, None))
    found = await ask(store, world)
    assert [each.detail.partition(" ")[0] for each in found] == ["HS-1", "HS-4"]
    assert found[1].proofs[0].position.offset == last
