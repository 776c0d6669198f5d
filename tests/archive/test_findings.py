"""What is forbidden is found, with the records that prove it; what only looks like it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from broker.archive.case_findings import Span
from broker.archive.finding import MEANINGS, Finding, Kind
from broker.archive.findings import Question, as_document, findings
from broker.core import clock
from broker.core.bundle.bundles import BundleState
from broker.core.calendar import STATUTORY
from broker.core.case.case_state import CaseState, Fee, Status
from broker.core.ids import CaseId, PartnerId
from broker.core.message import epoch_ms
from broker.log.admin.topics import LEDGER
from broker.store.access.engine import Store
from broker.store.view import ledger_view
from tests.archive.audit_world import HENGSHAN, LAIBIN, World, a_case, accepted, at, decided

CASE = CaseId(f"{LAIBIN}/000001")
XIAMEN = PartnerId("350200")


async def ask(store: Store, world: World, question: Question | None = None) -> list[Finding]:
    await store.call(ledger_view.clear_view)
    await store.call(world.write)
    return await store.scan(findings, question or Question(ahead=1))


def summary(found: Sequence[Finding]) -> list[tuple[Kind, str | None, list[tuple[str, int]]]]:
    return [
        (each.kind, each.case, [(proof.type, proof.position.offset) for proof in each.proofs])
        for each in found
    ]


async def test_a_decision_before_any_acceptance_is_found_and_one_in_a_pause_is_not(store: Store) -> None:
    world = World()
    world.case(a_case(1))
    world.refused("case.decided", CASE, HENGSHAN, at("11-04"), "transition-illegal")
    other = world.case(accepted(2))
    world.refused("case.decided", other.case, HENGSHAN, at("11-04"), "transition-illegal")
    found = await ask(store, world)
    assert summary(found) == [
        (Kind.DECIDED_BEFORE_ACCEPTED, CASE, [("case.decided", 1), ("case.submitted", 0)])
    ]
    assert found[0].partner == HENGSHAN
    assert found[0].proofs[0].position.topic == LEDGER
    assert found[0].proofs[0].message == f"{HENGSHAN}/m-1"


async def test_a_case_that_counts_as_accepted_may_be_decided(store: Store) -> None:
    world = World()
    state = world.case(a_case(1))
    world.refused("case.decided", CASE, HENGSHAN, at("11-04"), "transition-illegal")
    world.red_acceptance(state, at("11-10"))
    world.refused("case.decided", CASE, HENGSHAN, at("11-11"), "transition-illegal")
    found = await ask(store, world)
    assert [proofs[0] for _, _, proofs in summary(found)] == [("case.decided", 1)]


async def test_a_decision_dated_before_the_acceptance_is_found(store: Store) -> None:
    world = World()
    world.case(decided(1, "11-06", "11-03"))
    world.case(decided(2, "11-06", "11-03"))
    world.messages[2] = replace(world.messages[2], said_at=epoch_ms(at("11-02 23:59")))
    world.messages[5] = replace(world.messages[5], said_at=epoch_ms(at("11-03 00:00")))
    found = await ask(store, world)
    assert summary(found) == [
        (Kind.DECIDED_BEFORE_ACCEPTED, CASE, [("case.decided", 2), ("case.accepted", 1)])
    ]
    assert "2026-11-02" in found[0].detail


async def test_a_decision_that_bears_a_date_before_the_acceptance_is_found_whenever_it_was_said(
    store: Store,
) -> None:
    world = World()
    world.case(decided(1, "11-06", "11-03", decided_on=date(2026, 11, 2)))
    world.case(decided(2, "11-06", "11-03", decided_on=date(2026, 11, 3)))
    found = await ask(store, world)
    assert summary(found) == [
        (Kind.DECIDED_BEFORE_ACCEPTED, CASE, [("case.decided", 2), ("case.accepted", 1)])
    ]
    assert found[0].detail == "decided on 2026-11-02 by the date of the decision, accepted on 2026-11-03"


async def test_a_result_without_a_case_is_found_and_one_sent_astray_is_not(store: Store) -> None:
    world = World()
    world.refused("case.decided", CaseId("451300/none"), HENGSHAN, at("11-04"), "party-not-involved")
    state = world.case(accepted(1))
    world.refused("case.result-issued", CASE, HENGSHAN, at("11-05"), "party-not-involved")
    world.refused("case.decided", state.case, XIAMEN, at("11-06"), "party-not-involved")
    world.refused("case.urged", state.case, XIAMEN, at("11-06"), "party-not-involved")
    found = await ask(store, world)
    assert summary(found) == [
        (Kind.OUTSIDE_THE_EXCHANGE, "451300/none", [("case.decided", 0)]),
        (Kind.OUTSIDE_THE_EXCHANGE, CASE, [("case.decided", 4), ("case.submitted", 1)]),
    ]
    assert [each.partner for each in found] == [HENGSHAN, XIAMEN]


async def test_a_result_that_precedes_its_case_is_a_result_without_one(store: Store) -> None:
    world = World()
    world.refused("case.decided", CASE, HENGSHAN, at("11-01"), "party-not-involved")
    world.case(accepted(1))
    assert summary(await ask(store, world)) == [(Kind.OUTSIDE_THE_EXCHANGE, CASE, [("case.decided", 0)])]


async def test_money_outside_the_exchange_and_twice_is_found(store: Store) -> None:
    world = World()
    world.case(accepted(1, fee=Fee.PAID, fee_fen=500))
    world.refused("fee.paid", CASE, LAIBIN, at("11-04 08:00"), "transition-illegal")
    world.said("fee.requested", CASE, HENGSHAN, at("11-04 09:00"))
    world.refused("fee.requested", CASE, HENGSHAN, at("11-04 10:00"), "charged-twice")
    world.refused("fee.paid", CASE, LAIBIN, at("11-04 11:00"), "cash-refused")
    world.refused("fee.paid", CASE, XIAMEN, at("11-04 11:30"), "party-not-involved")
    world.said("fee.paid", CASE, LAIBIN, at("11-04 12:00"))
    world.refused("fee.paid", CASE, LAIBIN, at("11-04 13:00"), "transition-illegal")
    found = await ask(store, world)
    assert summary(found) == [
        (Kind.PAID_OUTSIDE_THE_EXCHANGE, CASE, [("fee.paid", 2), ("case.submitted", 0)]),
        (Kind.CHARGED_TWICE, CASE, [("fee.requested", 4), ("fee.requested", 3)]),
        (Kind.PAID_OUTSIDE_THE_EXCHANGE, CASE, [("fee.paid", 5), ("fee.requested", 3)]),
        (Kind.CHARGED_TWICE, CASE, [("fee.paid", 8), ("fee.requested", 3), ("fee.paid", 7)]),
    ]
    assert {each.partner for each in found} == {HENGSHAN}


async def test_who_collects_and_decides_is_found(store: Store) -> None:
    world = World()
    world.case(a_case(1))
    world.refused("case.decided", CASE, LAIBIN, at("11-04"), "collector-decides")
    county, bureau = PartnerId("430423"), PartnerId("430423-gongan")
    world.case(decided(2, case=CaseId(f"{county}/2"), opening=county, responsible=bureau))
    world.case(accepted(3, case=CaseId(f"{county}/3"), opening=county, responsible=bureau))
    world.case(decided(4, case=CaseId(f"{county}/4"), opening=county, responsible=bureau, mode="joint"))
    found = await ask(store, world)
    assert summary(found) == [
        (Kind.COLLECTED_AND_DECIDED, CASE, [("case.decided", 1), ("case.submitted", 0)]),
        (Kind.COLLECTED_AND_DECIDED, f"{county}/2", [("case.decided", 4), ("case.accepted", 3)]),
    ]
    assert [each.partner for each in found] == [LAIBIN, bureau]


def late(number: int, **facts: Any) -> CaseState:
    """A case that came on the 3rd and still waits on the 20th."""
    return accepted(number, "11-03", **facts)


async def test_a_case_decided_ahead_of_twenty_that_wait_skipped_the_queue(store: Store) -> None:
    world = World()
    for number in range(20):
        world.case(late(number))
    world.case(decided(20, "11-20", "11-10"))
    world.case(decided(21, "11-21", "11-10", item="another"))
    found = await ask(store, world, Question())
    assert summary(found) == [
        (
            Kind.QUEUE_SKIPPED,
            "451300/000020",
            [
                ("case.decided", 42),
                ("case.accepted", 41),
                ("case.accepted", 1),
                ("case.accepted", 3),
                ("case.accepted", 5),
            ],
        )
    ]
    assert found[0].detail.startswith("20 cases of ")
    assert await ask(store, world, Question(ahead=21)) == []


@pytest.mark.parametrize(
    "waiting",
    [
        late(1, supplements=1),
        late(1, fee=Fee.REQUESTED),
        late(1, status=Status.WITHDRAWN, ended_at=at("11-12")),
        decided(1, "11-20 10:00", "11-03"),
        accepted(1, "11-10"),
        accepted(1, "11-12"),
        late(1, item_class="III"),
        late(1, accepted_at=at("11-12")),
        late(1, bundle=BundleState(code="yijianshi", answer="broker", parts=())),
        replace(
            late(1),
            clock=clock.pause(
                clock.start(at("11-03"), at("11-03").date(), days=5, minutes=None), at("11-05")
            ),
        ),
        replace(
            late(1),
            clock=clock.resume(
                clock.pause(clock.start(at("11-03"), at("11-03").date(), days=5, minutes=None), at("11-05")),
                at("11-09"),
                STATUTORY,
            ),
        ),
    ],
    ids=[
        "supplemented",
        "unpaid",
        "ended",
        "decided",
        "same-day",
        "later",
        "other-class",
        "told-late",
        "bundle",
        "paused",
        "was-paused",
    ],
)
async def test_who_waits_for_something_else_is_not_overtaken(store: Store, waiting: CaseState) -> None:
    world = World()
    world.case(waiting)
    world.case(decided(2, "11-20 10:00", "11-10"))
    assert await ask(store, world) == []


async def test_questions_narrow_by_kind_partner_and_time(store: Store) -> None:
    world = World()
    world.case(a_case(1))
    world.refused("case.decided", CASE, HENGSHAN, at("11-04"), "transition-illegal")
    world.refused("case.decided", CASE, LAIBIN, at("11-05"), "collector-decides")
    world.case(late(2))
    world.case(decided(3, "11-20", "11-10"))
    assert len(await ask(store, world)) == 3
    for question, kinds in (
        (Question(kinds=frozenset({Kind.QUEUE_SKIPPED}), ahead=1), [Kind.QUEUE_SKIPPED]),
        (Question(span=Span(partner=LAIBIN), ahead=1), [Kind.COLLECTED_AND_DECIDED]),
        (Question(span=Span(since=epoch_ms(at("11-05 10:01"))), ahead=1), [Kind.QUEUE_SKIPPED]),
        (Question(span=Span(until=epoch_ms(at("11-05"))), ahead=1), [Kind.DECIDED_BEFORE_ACCEPTED]),
    ):
        assert [each.kind for each in await ask(store, world, question)] == kinds


async def test_a_view_made_again_in_other_batches_gives_the_same_findings(store: Store) -> None:
    world = World()
    world.case(late(1))
    world.case(decided(2, "11-20", "11-10"))
    world.refused("case.decided", CaseId("451300/none"), HENGSHAN, at("11-04"), "case-unknown")
    world.list("2026-11", ("HS-1", "2026-11-24", 500))
    documents = []
    for cut in (1, 2, 100):
        await store.call(ledger_view.clear_view)
        await store.call(world.write, cut=cut)
        documents.append([as_document(each) for each in await store.scan(findings, Question(ahead=1))])
    assert len(documents[0]) == 3
    assert documents[0] == documents[1] == documents[2]


def test_every_kind_says_what_forbids_it() -> None:
    assert set(MEANINGS) == set(Kind)
