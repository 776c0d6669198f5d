from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.lane.office_hours import ALWAYS, SPREAD_MS, Day, OfficeHours, Window

CHINA = timezone(timedelta(hours=8))
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HALL = OfficeHours(
    windows=(Window(opens=time(9), closes=time(12)), Window(opens=time(14, 30), closes=time(17))),
    closed=(date(2026, 10, 1), date(2026, 10, 2)),
)


def at(text: str) -> int:
    """A moment in China as UTC milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=CHINA).timestamp() * 1000)


@pytest.mark.parametrize(
    ("planned", "tried"),
    [
        ("2026-09-28T09:00:00", "2026-09-28T09:00:00"),  # a Monday, the first moment
        ("2026-09-28T11:59:59.999", "2026-09-28T11:59:59.999"),
        ("2026-09-28T12:00:00", "2026-09-28T14:30:00"),  # closes is the first moment that nobody is there
        ("2026-09-28T03:00:00", "2026-09-28T09:00:00"),
        ("2026-09-28T17:00:00", "2026-09-29T09:00:00"),
        ("2026-09-30T18:00:00", "2026-10-05T09:00:00"),  # Thursday and Friday are closed, then a weekend
    ],
)
def test_moved_to_the_next_opening(planned: str, tried: str) -> None:
    assert HALL.not_before(at(planned), 0.0) == at(tried)


def test_not_all_in_the_first_second() -> None:
    closed = at("2026-09-28T03:00:00")
    opening = at("2026-09-28T09:00:00")
    assert HALL.not_before(closed, 0.5) == opening + SPREAD_MS // 2
    short = OfficeHours(windows=(Window(days=("mon",), opens=time(9), closes=time(9, 1)),))
    assert short.not_before(closed, 0.999) < opening + 60_000
    assert short.is_open(short.not_before(closed, 0.999))


def test_without_hours_always() -> None:
    assert ALWAYS.not_before(123, 0.7) == 123
    holiday = OfficeHours(closed=(date(2026, 10, 1),))
    assert not holiday.is_open(at("2026-10-01T12:00:00"))
    assert holiday.not_before(at("2026-10-01T12:00:00"), 0.0) == at("2026-10-02T00:00:00")


def test_midnight_is_the_end_of_the_day() -> None:
    night = OfficeHours(windows=(Window(days=("sat",), opens=time(20), closes=time(0)),))
    assert night.is_open(at("2026-09-26T23:59:59"))
    assert not night.is_open(at("2026-09-27T00:00:00"))


@pytest.mark.parametrize(
    ("opens", "closes"), [(time(9), time(9)), (time(12), time(9)), (time(0), time(0, 0, 0))]
)
def test_a_window_closes_after_it_opens(opens: time, closes: time) -> None:
    if closes == time(0):
        assert Window(opens=opens, closes=closes).closes_ms == 24 * 3_600_000
        return
    with pytest.raises(ValueError, match="closes after opens"):
        Window(opens=opens, closes=closes)


MINUTES = st.integers(0, 24 * 60 - 1)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    first, second = sorted((draw(MINUTES), draw(MINUTES)))
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True))
    closes = time(0) if first == second else time(second // 60, second % 60)
    return Window(days=tuple(days), opens=time(first // 60, first % 60), closes=closes)


@given(
    st.lists(windows(), max_size=4),
    st.lists(st.dates(date(2026, 1, 1), date(2026, 3, 31)), max_size=20),
    st.datetimes(datetime(2025, 12, 1), datetime(2026, 6, 1)),  # noqa: DTZ001 - Hypothesis adds the zone
    st.floats(0, 1, exclude_max=True),
)
def test_never_before_the_planned_time_and_always_inside(
    chosen: list[Window], closed: list[date], planned: datetime, jitter: float
) -> None:
    hours = OfficeHours(windows=tuple(chosen), closed=tuple(closed))
    planned_ms = round(planned.replace(tzinfo=UTC).timestamp() * 1000)
    tried_ms = hours.not_before(planned_ms, jitter)
    assert tried_ms >= planned_ms
    assert hours.is_open(tried_ms)
    if hours.is_open(planned_ms):
        assert tried_ms == planned_ms
    # nothing was open in between: what is tried comes with the first opening there is
    earliest = hours.not_before(planned_ms, 0.0)
    assert tried_ms - earliest < SPREAD_MS
    assert all(not hours.is_open(ms) for ms in range(planned_ms, earliest, 600_000))


@given(st.integers(0, 4_000_000_000_000))
def test_a_day_has_24_hours_the_whole_year(at_ms: int) -> None:
    local = datetime.fromtimestamp(at_ms / 1000, CHINA)
    expected = local.weekday() < 5 and time(9) <= local.time() < time(12)
    assert OfficeHours(windows=HALL.windows[:1]).is_open(at_ms) == expected
