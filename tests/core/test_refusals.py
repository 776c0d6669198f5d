"""What a refusal lists as allowed: what would not be refused at once, whatever it said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from broker.core import clock
from broker.core.bundle.bundle_state import BundleState, PartState, PartStatus
from broker.core.case.case_state import CaseState, Fee, Status
from broker.core.case.lifecycle import Advanced, Role, advance, allowed
from broker.core.ids import PartnerId
from broker.core.message import Mode
from broker.core.problems import Refusal
from tests.core.samples import NOON, after, by_opening, by_responsible

SUBMITTED = after(by_opening("case.submitted"))
ACCEPTED = after(by_opening("case.submitted"), by_responsible("case.accepted"))
DECIDED = replace(ACCEPTED, status=Status.DECIDED)


def extended(days: int, mode: Mode = Mode.ONLINE) -> CaseState:
    running = clock.extend(clock.start(NOON, date(2026, 3, 2), days=5, minutes=None), days)
    return replace(ACCEPTED, clock=running, mode=mode)


def joint(*statuses: PartStatus, answer: str = "lead") -> CaseState:
    parts = tuple(
        PartState(name=f"p{number}", item="x", authority=PartnerId(f"43040{number}"), status=status)
        for number, status in enumerate(statuses)
    )
    bundle = BundleState(code="x", answer="lead" if answer == "lead" else "broker", parts=parts)
    return replace(ACCEPTED, bundle=bundle)


BARRED = {
    "silent past the time to accept: accepted": (
        replace(SUBMITTED, deemed=True),
        {"case.supplement-requested", "case.refused"},
    ),
    "extended as far as the law allows": (extended(10), {"case.extended"}),
    "extended as far as the law allows a joint case": (extended(15, Mode.JOINT), {"case.extended"}),
    "a fee that is open": (replace(DECIDED, fee=Fee.REQUESTED), {"case.result-issued"}),
    "parts that have not ended": (joint(PartStatus.GRANTED, PartStatus.OPEN), {"case.decided"}),
    "answers that the broker joins": (
        joint(PartStatus.OPEN, answer="broker"),
        {"case.step-completed", "case.paused", "case.decided", "fee.requested"},
    ),
}


@pytest.mark.parametrize("why", BARRED)
def test_what_a_guard_would_refuse_whatever_it_said_is_not_listed(why: str) -> None:
    state, barred = BARRED[why]
    freed = replace(state, deemed=False, clock=None, bundle=None)
    freed = replace(freed, fee=Fee.NONE if state.fee is Fee.REQUESTED else state.fee)
    with_it = set(allowed(freed, Role.RESPONSIBLE))
    assert barred <= with_it, "by the table it may be said"
    assert set(allowed(state, Role.RESPONSIBLE)) & barred == set()
    for type_ in barred:
        answer = advance(state, by_responsible(type_), NOON)
        assert isinstance(answer, Refusal), type_
        assert not barred & set(dict(answer.facts)["allowed"]), "a refusal does not offer it either"


LISTED = {
    "a shorter extension": (extended(9), Role.RESPONSIBLE, "case.extended"),
    "an extension of a joint case": (extended(10, Mode.JOINT), Role.RESPONSIBLE, "case.extended"),
    "a denial, where a part was denied": (
        joint(PartStatus.GRANTED, PartStatus.DENIED),
        Role.RESPONSIBLE,
        "case.decided",
    ),
    "the amount of the notice": (
        replace(DECIDED, fee=Fee.REQUESTED, fee_notice="JF-1", fee_fen=5),
        Role.OPENING,
        "fee.paid",
    ),
    "the courier number of the result": (
        replace(DECIDED, status=Status.ISSUED, courier="1069"),
        Role.OPENING,
        "case.delivered",
    ),
}


@pytest.mark.parametrize("what", LISTED)
def test_what_depends_on_the_words_themselves_is_listed(what: str) -> None:
    state, role, type_ = LISTED[what]
    assert type_ in allowed(state, role)


def test_a_message_that_does_not_read_is_not_held_to_the_days_that_it_may_name() -> None:
    now = datetime(2026, 3, 3, tzinfo=UTC)
    assert isinstance(advance(extended(9), by_responsible("case.extended"), now), Advanced)
