"""How a case stands against its limits: worked through a pause and over a holiday."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from broker.core.case.terms import NO_TERMS, Terms
from broker.core.clocks.outlook import outlook
from tests.core.samples import NOON, after, by_opening, by_responsible

SUBMITTED = by_opening("case.submitted")
ACCEPTED = (by_responsible("case.accepted"), {"promised_days": 5})
# NOON is Monday 2 March 2026; five working days later is Monday 9 March.


def test_before_acceptance_there_is_nothing_to_be_late_for() -> None:
    assert outlook(after(SUBMITTED), NO_TERMS, NOON) is None


def test_days_left_run_down_and_past_the_due_day_it_is_late() -> None:
    state = after(SUBMITTED, ACCEPTED)
    for days, left, late in ((0, 5, False), (1, 4, False), (7, 0, False), (8, -1, True)):
        found = outlook(state, NO_TERMS, NOON + timedelta(days=days))
        assert found is not None
        assert (found.due_on, found.left, found.late) == (date(2026, 3, 9), left, late)


def test_a_pause_moves_the_due_day_while_it_lasts() -> None:
    paused = after(SUBMITTED, ACCEPTED, by_responsible("case.paused"))
    found = outlook(
        paused, NO_TERMS, NOON + timedelta(days=4)
    )  # Friday: Tuesday to Thursday were paused days
    assert found is not None
    assert found.paused
    assert found.due_on > date(2026, 3, 9)


def test_a_decided_case_stands_as_it_stood_at_its_decision() -> None:
    state = after(SUBMITTED, ACCEPTED, by_responsible("case.decided"))
    found = outlook(state, NO_TERMS, NOON + timedelta(days=300))
    assert found is not None
    assert not found.late


def test_a_case_that_was_withdrawn_is_never_late_afterwards() -> None:
    state = after(SUBMITTED, ACCEPTED, by_opening("case.withdrawn"))
    found = outlook(state, NO_TERMS, NOON + timedelta(days=300))
    assert found is not None
    assert (found.late, found.left) == (False, 5)


def test_what_falls_next_says_when_until_when_and_at_whose_side() -> None:
    found = outlook(after(SUBMITTED, ACCEPTED), NO_TERMS, NOON)
    assert found is not None
    assert found.to_facts()["next"] == {
        "kind": "decision",
        "light": "yellow",
        "at": "2026-03-05T16:00:00+00:00",
        "due_on": "2026-03-09",
        "late": "430423",
    }


def test_minutes_count_as_minutes_and_an_unpublished_year_says_so() -> None:
    state = after(SUBMITTED, by_responsible("case.accepted"), terms=Terms(minutes=30.0))
    found = outlook(state, Terms(minutes=30.0), NOON + timedelta(hours=1, minutes=20))
    assert found is not None
    assert (found.in_minutes, round(found.left), found.late) == (True, 10, False)
    far = after(SUBMITTED, (by_responsible("case.accepted"), {"promised_days": 600}))
    later = outlook(far, NO_TERMS, datetime(2026, 3, 3, tzinfo=UTC))
    assert later is not None
    assert later.provisional
    assert later.to_facts()["provisional"] is True
