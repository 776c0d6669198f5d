"""The figures count what they say, each in the month in which it happened, and hide what is small."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core import clock
from broker.core.calendar import STATUTORY, calendar
from broker.core.case.case_state import CaseState, Rating, Status
from broker.core.evaluation.figure_columns import COLUMNS, COUNTED
from broker.core.evaluation.figures import Card, Figures, Level, Row, month_of, nearest_rank
from broker.core.message import Mode
from tests.core.figure_samples import HENGSHAN, ITEM, LAIBIN, XIAMEN, a_case, accepted, at, decided

NOVEMBER = "2026-11"


def count(states: Iterable[CaseState], *months: str, small: int = 1) -> list[Row]:
    figures = Figures(months or (NOVEMBER,))
    for state in states:
        figures.add(state, STATUTORY)
    return list(figures.rows(small))


def pair(states: Iterable[CaseState], month: str = NOVEMBER) -> Mapping[str, int | float | None]:
    """The values of the one pair there is."""
    (row,) = [row for row in count(states, month) if row.level is Level.PAIR]
    assert row.values is not None
    return row.values


def test_a_case_counts_in_the_month_in_which_each_thing_happened() -> None:
    state = replace(
        decided(1, "11-30 23:59", "10-30"),
        opened_at=at("10-29"),
        status=Status.DELIVERED,
        ended_at=at("12-01 00:00"),
    )
    october, november, december = (pair([state], month) for month in ("2026-10", "2026-11", "2026-12"))
    assert (october["opened"], october["accepted"], october["decided"]) == (1, 1, 0)
    assert (november["opened"], november["decided"], november["delivered"]) == (0, 1, 0)
    assert (december["decided"], december["delivered"], december["cases"]) == (0, 1, 1)
    assert count([state], "2026-09") == []


def test_on_time_is_before_the_promise_has_run_out() -> None:
    on_time = decided(1, "11-10 23:59", "11-03", days=5)
    late = decided(2, "11-11 00:00", "11-03", days=5)
    values = pair([on_time, late, replace(decided(3), granted=False), replace(decided(4), clock=None)])
    assert (values["on_time"], values["late"], values["on_time_rate"]) == (2, 1, 0.6667)
    assert (values["decided"], values["granted"], values["denied"]) == (4, 3, 1)


def test_on_time_goes_by_the_place_s_own_closures() -> None:
    figures = Figures([NOVEMBER])
    figures.add(decided(1, "11-11", "11-03", days=5), calendar([date(2026, 11, 4)]))
    (row, *_) = figures.rows(1)
    assert row.values is not None
    assert (row.values["on_time"], row.values["late"], row.values["working_days_median"]) == (1, 0, 5)


def test_times_are_quantiles_by_nearest_rank() -> None:
    states = [decided(number, f"11-03 10:{number:02}", days=1) for number in range(1, 21)]
    values = pair(states)
    assert (values["seconds_median"], values["seconds_p95"]) == (600, 1140)
    assert (values["working_days_median"], values["working_days_p95"]) == (0, 0)


def test_pauses_and_extensions_are_taken_out_of_the_working_days() -> None:
    state = decided(1, "11-20", "11-03", days=5)
    assert state.clock is not None
    running = clock.resume(clock.pause(state.clock, at("11-05")), at("11-12"), STATUTORY)
    values = pair([replace(state, clock=clock.extend(running, 5), supplements=1)])
    assert values["working_days_median"] == 13 - 5
    assert (values["paused"], values["extended"], values["supplements"], values["on_time"]) == (1, 1, 1, 1)


def test_a_case_that_counts_as_accepted_is_accepted_since_its_receipt() -> None:
    running = clock.start(at("10-30"), date(2026, 10, 30), days=5, minutes=None)
    state = accepted(1, "11-10", clock=running, deemed=True, opened_at=at("10-30"))
    assert pair([state], "2026-10")["accepted"] == 1
    assert count([state]) == []


def test_cards_count_when_they_fell_due_also_of_open_cases() -> None:
    figures = Figures([NOVEMBER])
    state = a_case(1, opened_at=at("10-28"))
    cards = [Card(at("11-04"), False), Card(at("11-05"), True), Card(at("12-01"), True)]
    figures.add(state, STATUTORY, cards)
    (row, *_) = figures.rows(1)
    assert row.values is not None
    assert (row.values["cases"], row.values["yellow_cards"], row.values["red_cards"]) == (1, 1, 1)


def test_ratings_count_by_level() -> None:
    def rated(number: int, score: int, rating: Rating = Rating.RATED) -> CaseState:
        return decided(number, score=score, rated_at=at("11-09"), rating=rating)

    values = pair([rated(1, 5), rated(2, 5), rated(3, 2, Rating.POOR), rated(4, 1, Rating.RECTIFIED)])
    assert [values[f"rated_{level}"] for level in (5, 4, 3, 2, 1)] == [2, 0, 0, 1, 1]
    assert (values["rated"], values["rating_mean"], values["corrected"]) == (4, 3.25, 1)


def test_complaints_are_no_cases_submitted() -> None:
    filed = a_case(1, status=Status.FILED, mode="", answer_by=date(2026, 11, 20))
    in_time = replace(filed, status=Status.ANSWERED, ended_at=at("11-20 23:00"))
    too_late = replace(filed, status=Status.ANSWERED, ended_at=at("11-21"))
    unnamed = replace(in_time, answer_by=None, ended_at=at("11-23"))
    values = pair([filed, in_time, too_late, unnamed])
    assert (values["complaints"], values["opened"], values["cases"]) == (4, 0, 4)
    assert (values["complaints_answered"], values["complaints_on_time"]) == (3, 2)


def test_totals_are_of_responsible_partners_and_of_items() -> None:
    states = [
        decided(1),
        decided(2, opening=XIAMEN),
        decided(3, item="B"),
        decided(4, responsible=XIAMEN, item="B"),
    ]
    rows = count(states)
    assert [(row.level, row.responsible, row.opening, row.item) for row in rows] == [
        (Level.PAIR, XIAMEN, LAIBIN, "B"),
        (Level.PAIR, HENGSHAN, XIAMEN, ITEM),
        (Level.PAIR, HENGSHAN, LAIBIN, "B"),
        (Level.PAIR, HENGSHAN, LAIBIN, ITEM),
        (Level.PARTNER, XIAMEN, None, None),
        (Level.PARTNER, HENGSHAN, None, None),
        (Level.ITEM, None, None, "B"),
        (Level.ITEM, None, None, ITEM),
    ]
    told = [row.values["decided"] for row in rows if row.values]
    assert told == [1, 1, 1, 1, 1, 3, 2, 2]


def test_a_row_of_nine_cases_is_hidden_and_one_of_ten_is_not() -> None:
    def states(of: int) -> list[CaseState]:
        return [decided(number) for number in range(of)]

    assert all(row.values is None for row in count(states(9), small=10))
    assert all(row.values is not None for row in count(states(10), small=10))


def test_quantiles_over_few_decisions_are_left_blank() -> None:
    states = [decided(number) for number in range(9)] + [a_case(9)]
    (row, *_) = count(states, small=10)
    assert row.values is not None
    assert (row.values["decided"], row.values["seconds_median"], row.values["working_days_p95"]) == (
        9,
        None,
        None,
    )


STATES = st.lists(
    st.builds(
        lambda number, responsible, opening, item, base: replace(
            base, responsible=responsible, opening=opening, item=item
        ),
        st.integers(0, 99),
        st.sampled_from([HENGSHAN, XIAMEN]),
        st.sampled_from([LAIBIN, HENGSHAN]),
        st.sampled_from(["A", "B", "C"]),
        st.sampled_from(
            [a_case(), accepted(), decided(), decided(when="11-30", score=4, rated_at=at("12-01"))]
        ),
    ),
    max_size=60,
)


@given(STATES, st.integers(1, 12))
def test_totals_add_up_and_hidden_rows_are_never_told_by_them(states: list[CaseState], small: int) -> None:
    rows = count(states, small=small)
    open_rows = count(states, small=1)
    for row, plain in zip(rows, open_rows, strict=True):
        assert plain.values is not None
        if row.values is None:
            continue
        assert int(row.values["cases"] or 0) >= small
        assert {name: row.values[name] for name in COUNTED} == {name: plain.values[name] for name in COUNTED}
    for level in (Level.PARTNER, Level.ITEM):
        for total in (row for row in rows if row.level is level and row.values is not None):
            key = "responsible" if level is Level.PARTNER else "item"
            parts = [
                row for row in rows if row.level is Level.PAIR and getattr(row, key) == getattr(total, key)
            ]
            hidden = [row for row in parts if row.values is None]
            shown = sum(int(row.values["cases"] or 0) for row in parts if row.values)
            assert total.values is not None
            left = int(total.values["cases"] or 0) - shown
            assert (not hidden and left == 0) or (len(hidden) > 1 and left >= small)


@given(STATES)
def test_the_order_in_which_cases_come_changes_nothing(states: list[CaseState]) -> None:
    assert count(states) == count(reversed(states))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=200), st.sampled_from([50, 95]))
def test_the_nearest_rank_is_the_smallest_value_that_enough_do_not_exceed(
    values: list[int], percent: int
) -> None:
    values.sort()
    found = nearest_rank(values, percent)
    enough = [
        each for each in values if sum(other <= each for other in values) * 100 >= percent * len(values)
    ]
    assert found == min(enough)


def test_nothing_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="no values"):
        nearest_rank([], 50)


def test_a_month_begins_at_midnight_in_china() -> None:
    assert month_of(at("11-30 23:59")) == "2026-11"
    assert month_of(at("12-01 00:00")) == "2026-12"


def test_every_column_has_a_value_or_a_key() -> None:
    values = pair([decided(1, mode=Mode.ONLINE)])
    keys = {"month", "level", "responsible", "opening", "item", "suppressed"}
    assert {column.name for column in COLUMNS} == keys | set(values)
