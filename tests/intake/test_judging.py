"""Judging ahead of the view: what this process let pass may let more pass, and never refuses anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from broker.intake.submitting.ahead import Ahead
from tests.core import samples


def test_a_case_stands_as_what_was_let_pass_will_make_it_until_the_view_has_that() -> None:
    ahead = Ahead(10)
    seen = samples.after(samples.by_opening("case.submitted"))
    coming = replace(seen, updated_at=seen.updated_at + timedelta(seconds=1))
    ahead.put(coming)
    assert ahead.of(seen.case, None) == coming
    assert ahead.of(seen.case, seen) == coming
    assert ahead.of(seen.case, coming) is None
    assert ahead.of(seen.case, None) is None, "what the view has caught up with is forgotten"


def test_a_view_that_others_have_moved_on_is_believed() -> None:
    ahead = Ahead(10)
    passed = samples.after(samples.by_opening("case.submitted"))
    ahead.put(passed)
    assert ahead.of(passed.case, replace(passed, updated_at=passed.updated_at + timedelta(days=1))) is None


def test_only_the_last_cases_are_kept() -> None:
    ahead = Ahead(2)
    first = samples.after(samples.by_opening("case.submitted"))
    others = [replace(first, case=type(first.case)(f"{first.case}{number}")) for number in range(2)]
    ahead.put(None)
    for state in (first, *others):
        ahead.put(state)
    assert ahead.of(first.case, None) is None
    assert [ahead.of(each.case, None) for each in others] == others
