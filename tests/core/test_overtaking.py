"""Overtaking is what the plain definition says it is, and is found without comparing each with each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.evaluation.overtaking import NEVER, Overtaking, overtakings

Case = tuple[int, int, int, int]

CASES = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.one_of(st.integers(0, 9), st.just(NEVER)),
        st.integers(0, 1),
        st.integers(0, 1),
    ),
    max_size=40,
)


def _columns(cases: list[Case]) -> tuple[list[int], list[int], list[int], list[int]]:
    came, left, waits, served = ([case[column] for case in cases] for column in range(4))
    return came, left, waits, served


def naive(cases: list[Case], at_least: int) -> list[Overtaking]:
    """Each against each, word for word as the issue says it."""
    found = []
    for index, (came, left, _, served) in enumerate(cases):
        if not served or left == NEVER:
            continue
        ahead = [
            (other_came, other)
            for other, (other_came, other_left, waits, _) in enumerate(cases)
            if waits and other_came < came and other_left > left
        ]
        if len(ahead) >= at_least:
            first = tuple(other for _, other in sorted(ahead)[:3])
            found.append(Overtaking(index=index, ahead=len(ahead), first=first))
    return found


@given(CASES, st.integers(1, 8))
def test_the_sweep_agrees_with_each_against_each(cases: list[Case], at_least: int) -> None:
    assert overtakings(*_columns(cases), at_least=at_least) == naive(cases, at_least)


def test_twenty_that_came_earlier_and_still_wait_are_a_finding_and_nineteen_are_none() -> None:
    waiting: list[Case] = [(day, NEVER, 1, 0) for day in range(20)]
    late: Case = (20, 5, 1, 1)
    (found,) = overtakings(*_columns([*waiting, late]), at_least=20)
    assert found == Overtaking(index=20, ahead=20, first=(0, 1, 2))
    assert overtakings(*_columns([*waiting[1:], late]), at_least=20) == []


def test_the_same_day_has_no_order_and_a_pause_gives_way() -> None:
    assert overtakings(*_columns([(1, NEVER, 1, 0), (1, 5, 1, 1)]), at_least=1) == []
    assert overtakings(*_columns([(1, NEVER, 0, 0), (2, 5, 1, 1)]), at_least=1) == []
    assert overtakings(*_columns([(1, 5, 1, 1), (2, 5, 1, 1)]), at_least=1) == []


def test_a_hundred_thousand_cases_take_seconds_and_not_hours() -> None:
    count = 100_000
    came = list(range(count))
    left = [count - each for each in came]  # the last come is the first served
    found = overtakings(came, left, [1] * count, [1] * count, at_least=count - 1)
    assert [each.index for each in found] == [count - 1]


def test_nobody_overtakes_nobody() -> None:
    with pytest.raises(ValueError, match="at least one"):
        overtakings([], [], [], [], at_least=0)
