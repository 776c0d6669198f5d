"""The table against a day-by-day count, which asks the library about each day by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import cast

import chinese_calendar  # type: ignore[import-untyped]  # it carries no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.calendar import FIRST, LAST, PUBLISHED_UNTIL, STATUTORY, Calendar, calendar

DAY = timedelta(days=1)
is_workday = cast("Callable[[date], bool]", chinese_calendar.is_workday)
days_of_three_years = st.dates(date(2024, 1, 1), date(2026, 12, 31))
any_day = st.dates(FIRST, LAST)
few_closures = st.frozensets(days_of_three_years, max_size=12)


def span(first: str, last: str) -> list[date]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [start + n * DAY for n in range((end - start).days + 1)]


def counted(after: date, until: date, closures: frozenset[date] = frozenset()) -> int:
    """Working days in (after, until], each day asked for by itself."""
    count = 0
    while after < until:
        after += DAY
        count += is_workday(after) and after not in closures
    return count


@pytest.mark.parametrize("day", ["01-04", "02-14", "02-28", "05-09", "09-20", "10-10"])
def test_make_up_days_of_2026_are_worked(day: str) -> None:
    assert STATUTORY.is_working(date.fromisoformat(f"2026-{day}"))


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2026-01-01", "2026-01-03"),
        ("2026-02-15", "2026-02-23"),
        ("2026-04-04", "2026-04-06"),
        ("2026-05-01", "2026-05-05"),
        ("2026-06-19", "2026-06-21"),
        ("2026-09-25", "2026-09-27"),
        ("2026-10-01", "2026-10-07"),
    ],
)
def test_statutory_holidays_of_2026_are_off(first: str, last: str) -> None:
    assert not [day for day in span(first, last) if STATUTORY.is_working(day)]


def test_every_day_of_three_years_is_as_the_library_says() -> None:
    for day in span("2024-01-01", "2026-12-31"):
        assert STATUTORY.is_working(day) == is_workday(day), day


@given(days_of_three_years, days_of_three_years, few_closures)
def test_between_agrees_with_a_count_day_by_day(one: date, other: date, closures: frozenset[date]) -> None:
    after, until = sorted((one, other))
    counting = calendar(closures)
    assert counting.between(after, until) == counted(after, until, closures)
    assert counting.between(until, after) == -counted(after, until, closures)


@given(st.dates(date(2024, 1, 1), date(2026, 6, 30)), st.integers(0, 90), few_closures)
def test_add_agrees_with_a_count_day_by_day(start: date, days: int, closures: frozenset[date]) -> None:
    day, left = start, days
    while left:
        day += DAY
        left -= is_workday(day) and day not in closures
    assert calendar(closures).add(start, days) == day


@given(st.dates(date(2006, 1, 1), date(2040, 12, 31)), st.integers(1, 500))
def test_add_and_between_undo_each_other(day: date, days: int) -> None:
    later = STATUTORY.add(day, days)
    assert STATUTORY.is_working(later)
    assert STATUTORY.between(day, later) == days
    earlier = STATUTORY.add(day, -days)
    assert STATUTORY.is_working(earlier)
    # Nothing but `day` itself may stand between the count back from it and the one up to the day before.
    assert STATUTORY.between(earlier, day - DAY) == days - 1
    if STATUTORY.is_working(day):
        assert STATUTORY.add(later, -days) == day
        assert STATUTORY.add(earlier, days) == day


@given(any_day)
def test_no_days_is_the_day_itself(day: date) -> None:
    assert STATUTORY.add(day, 0) == day
    assert STATUTORY.between(day, day) == 0


def test_a_closure_takes_its_day_out() -> None:
    tuesday = date(2026, 3, 3)
    closed = calendar([tuesday])
    assert not closed.is_working(tuesday)
    assert STATUTORY.is_working(tuesday)
    assert closed.add(date(2026, 3, 2), 1) == date(2026, 3, 4)
    assert closed.between(date(2026, 3, 2), date(2026, 3, 6)) == 3
    assert closed.closures == {tuesday}


def test_a_make_up_day_can_be_closed() -> None:
    assert not calendar([date(2026, 2, 14)]).is_working(date(2026, 2, 14))


@given(days_of_three_years, st.integers(-200, 200))
def test_a_closure_on_a_day_off_changes_nothing(day: date, days: int) -> None:
    off = frozenset({date(2026, 10, 3), date(2025, 3, 1), date(1999, 1, 4), date(2150, 1, 3)})
    assert calendar(off).add(day, days) == STATUTORY.add(day, days)


def test_the_same_closures_are_the_same_calendar() -> None:
    one = calendar([date(2026, 3, 3), date(2026, 3, 4)])
    assert one is calendar((date(2026, 3, 4), date(2026, 3, 3)))
    assert one == Calendar(one.closures, bytes((LAST - FIRST).days + 1))
    assert hash(one) == hash(calendar(one.closures))
    assert one != STATUTORY
    assert calendar() is STATUTORY
    assert "2026-03-03" in repr(one)


def test_a_year_without_its_notice_says_so() -> None:
    assert STATUTORY.published(date(2026, 10, 10))
    assert not STATUTORY.published(date(2027, 1, 1))
    assert not STATUTORY.published(date(2027, 10, 1))
    assert STATUTORY.published_until == PUBLISHED_UNTIL
    assert STATUTORY.published(PUBLISHED_UNTIL)
    assert not STATUTORY.published(PUBLISHED_UNTIL + DAY)
    # Until its notice is there, Monday to Friday: its National Day is counted, and every such date provisional.
    assert STATUTORY.is_working(date(2027, 10, 1))
    assert not STATUTORY.is_working(date(2027, 10, 2))


def test_a_notice_reaches_back_into_the_last_days_of_the_year_before() -> None:
    """Why the last three days of the last year are not published: this was in the notice for 2019."""
    assert STATUTORY.is_working(date(2018, 12, 29))
    assert not STATUTORY.is_working(date(2018, 12, 31))
    made = [
        day
        for year in range(FIRST.year, PUBLISHED_UNTIL.year)
        for day in span(f"{year}-12-01", f"{year}-12-31")
        if STATUTORY.is_working(day) != (day.weekday() < 5)
    ]
    assert made
    assert min(day.day for day in made) > PUBLISHED_UNTIL.day


@pytest.mark.parametrize("day", [FIRST - DAY, LAST + DAY, date.min, date.max])
def test_outside_of_the_range_is_an_error_that_says_the_range(day: date) -> None:
    says = f"{FIRST} to {LAST}"
    for ask in (
        lambda: STATUTORY.is_working(day),
        lambda: STATUTORY.published(day),
        lambda: STATUTORY.add(day, 0),
        lambda: STATUTORY.between(day, FIRST),
        lambda: STATUTORY.between(FIRST, day),
    ):
        with pytest.raises(ValueError, match=says):
            ask()


@pytest.mark.parametrize(("day", "days"), [(LAST, 1), (FIRST, -1), (FIRST, 10**9), (LAST, -(10**9))])
def test_a_sum_outside_of_the_range_is_an_error_too(day: date, days: int) -> None:
    with pytest.raises(ValueError, match=f"{FIRST} to {LAST}"):
        STATUTORY.add(day, days)


def test_the_last_working_day_of_the_range_can_be_reached_and_none_behind_it() -> None:
    all_of_them = STATUTORY.between(FIRST, LAST)
    last = STATUTORY.add(FIRST, all_of_them)
    assert last == max(day for day in span(f"{LAST.year}-12-20", str(LAST)) if STATUTORY.is_working(day))
    with pytest.raises(ValueError, match="lead out of"):
        STATUTORY.add(FIRST, all_of_them + 1)
