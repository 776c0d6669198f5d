"""The clock against a naive one that walks day by day and asks the library about each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import cast

import chinese_calendar  # type: ignore[import-untyped]  # it carries no types
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.calendar import STATUTORY, calendar
from broker.core.clock import (
    Clock,
    due_at,
    due_on,
    extend,
    from_facts,
    pause,
    remaining,
    resume,
    start,
    to_facts,
)
from broker.core.message import SHANGHAI

DAY = timedelta(days=1)
MONDAY = date(2026, 3, 2)
Span = tuple[date, date]
is_workday = cast("Callable[[date], bool]", chinese_calendar.is_workday)
start_days = st.dates(date(2024, 1, 1), date(2026, 5, 31))


def at(day: date, hour: int = 10, minute: int = 0) -> datetime:
    """A moment of the day in China."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=SHANGHAI)


def begun(on: date = MONDAY, days: int = 20, minutes: float | None = None) -> Clock:
    return start(at(on), on, days=days, minutes=minutes)


def due(clock: Clock) -> date:
    return due_on(clock, STATUTORY)


def after(clock: Clock, spans: Sequence[Span]) -> Clock:
    """The clock after these pauses, one minute of the day later each time."""
    for number, (first, last) in enumerate(spans):
        clock = pause(clock, at(first, 10, 2 * number))
        clock = resume(clock, at(last, 10, 2 * number + 1), STATUTORY)
    return clock


def counted(on: date, days: int, spans: Sequence[Span] = (), extended: int = 0) -> date:
    """The naive count: walk, and count each day that is worked and not paused, until so many are counted.

    No days: the day itself, if it counts, or the next that does.
    """
    day, left = (on, days + extended) if days else (on - DAY, 1 + extended)
    while left:
        day += DAY
        left -= is_workday(day) and not any(first <= day < last for first, last in spans)
    return day


@st.composite
def in_order(draw: st.DrawFn, most: int = 4) -> tuple[date, list[Span]]:
    """A start and pauses behind it, one after the other; the next may begin on the day the last one ended."""
    on = day = draw(start_days)
    spans = []
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 30)), max_size=most)):
        first = day + gap * DAY
        day = first + length * DAY
        spans.append((first, day))
    return on, spans


@given(in_order(), st.integers(0, 30))
def test_dates_agree_with_a_count_day_by_day(run: tuple[date, list[Span]], days: int) -> None:
    on, spans = run
    assert due(begun(on, days)) == counted(on, days)
    assert due(after(begun(on, days), spans)) == counted(on, days, spans)


@given(in_order(), st.integers(0, 30), st.integers(1, 10))
def test_an_extension_is_so_many_days_more(run: tuple[date, list[Span]], days: int, more: int) -> None:
    on, spans = run
    clock = extend(begun(on, days), more)
    assert due(after(clock, spans)) == counted(on, days, spans, more)


@given(in_order(most=3), st.integers(0, 30))
def test_a_pause_never_shortens(run: tuple[date, list[Span]], days: int) -> None:
    on, spans = run
    clock = begun(on, days)
    for first, last in spans:
        before = due(clock)
        clock = pause(clock, at(first))
        assert due(clock) == before
        day = first
        while day <= last:  # nor does it while it lasts, however long
            later = due_on(clock, STATUTORY, at(day))
            assert later >= before
            before = later
            day += DAY
        clock = resume(clock, at(last), STATUTORY)
        assert due(clock) == before


@given(st.floats(0.1, 1e4), st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), max_size=4))
def test_a_pause_never_shortens_minutes(minutes: float, spans: list[tuple[float, float]]) -> None:
    clock, now = begun(days=0, minutes=minutes), at(MONDAY)
    for gap, length in spans:
        before = due_at(clock, STATUTORY)
        now += timedelta(seconds=gap)
        clock = pause(clock, now)
        now += timedelta(seconds=length)
        during = due_at(clock, STATUTORY, now)
        clock = resume(clock, now, STATUTORY)
        assert during == due_at(clock, STATUTORY) >= before


@given(start_days, st.lists(st.integers(0, 12), min_size=1, max_size=4), st.data())
def test_the_order_of_pauses_does_not_matter(on: date, lengths: list[int], data: st.DataObject) -> None:
    """Pauses of so many working days each, in any order, with the same working days between them."""
    gap = data.draw(st.integers(0, 3))
    days = gap * len(lengths) + 1
    found = set()
    for order in permutations(lengths):
        day, spans = STATUTORY.add(on, 1), []
        for length in order:
            first = STATUTORY.add(day, gap)
            day = STATUTORY.add(first, length)
            spans.append((first, day))
        found.add(due(after(begun(on, days), spans)))
    assert found == {STATUTORY.add(on, days + sum(lengths))}


@given(in_order(most=3))
def test_the_order_in_which_pauses_are_entered_does_not_matter(run: tuple[date, list[Span]]) -> None:
    on, spans = run
    clock = begun(on, 80)  # whatever the order, all of these begin before so many working days are over
    assert len({due(after(clock, each)) for each in permutations(spans)}) == 1


def test_the_facts_of_a_case() -> None:
    """20 working days from Monday, 2026-03-02; Qingming (Apr 4-6) is Saturday to Monday."""
    clock = begun()
    assert due(clock) == date(2026, 3, 30)
    assert due_at(clock, STATUTORY) == datetime(2026, 3, 30, 16, tzinfo=UTC)  # midnight in China
    assert due(begun(date(2026, 3, 31), 5)) == date(2026, 4, 8)
    paused = pause(clock, at(date(2026, 3, 6)))
    assert due(paused) == date(2026, 3, 30)
    assert due_on(paused, STATUTORY, at(date(2026, 3, 9))) == date(2026, 3, 31)  # Friday is out
    running = resume(paused, at(date(2026, 3, 11)), STATUTORY)
    assert (running.paused_days, running.turn) == (3, 2)
    assert due(running) == date(2026, 4, 2)
    assert due(extend(running, 10)) == date(2026, 4, 17)


def test_closures_of_the_place_count() -> None:
    closed = calendar([date(2026, 3, 4), date(2026, 3, 7)])  # a Wednesday, and a Saturday that is off anyway
    assert due_on(begun(days=5), closed) == date(2026, 3, 10)
    paused = pause(begun(days=5), at(date(2026, 3, 3)))
    assert resume(paused, at(date(2026, 3, 5)), closed).paused_days == 1


def test_an_acceptance_on_a_day_off_counts_from_the_next_working_day() -> None:
    saturday = date(2026, 3, 7)
    assert due(begun(saturday, 1)) == date(2026, 3, 9)
    assert due(begun(saturday, 0)) == date(2026, 3, 9)
    assert due(begun(MONDAY, 0)) == MONDAY
    make_up = date(2026, 2, 14)
    assert due(begun(make_up, 0)) == make_up
    assert due(begun(make_up, 1)) == date(2026, 2, 24)  # behind the Spring Festival


def test_the_day_is_the_day_in_china() -> None:
    clock = pause(begun(), datetime(2026, 3, 5, 16, 30, tzinfo=UTC))  # half past midnight on Friday
    assert due_on(clock, STATUTORY, datetime(2026, 3, 6, 15, 59, tzinfo=UTC)) == date(2026, 3, 30)
    assert due_on(clock, STATUTORY, datetime(2026, 3, 6, 16, 0, tzinfo=UTC)) == date(2026, 3, 31)


def test_a_pause_of_what_is_late_takes_nothing_out() -> None:
    late = after(begun(days=5), [(date(2026, 3, 10), date(2026, 3, 20))])  # due on the 9th
    assert due(late) == date(2026, 3, 9)
    assert due(after(begun(days=5), [(date(2026, 3, 9), date(2026, 3, 20))])) == date(2026, 3, 20)
    minutes = begun(days=0, minutes=30)
    late = resume(pause(minutes, at(MONDAY, 10, 30)), at(MONDAY, 12), STATUTORY)
    assert due_at(late, STATUTORY) == at(MONDAY, 10, 30)


def test_a_pause_that_ends_before_it_began_takes_nothing_out() -> None:
    for clock in (begun(), begun(days=0, minutes=30)):
        back = resume(pause(clock, at(MONDAY, 10, 20)), at(MONDAY, 10, 10), STATUTORY)
        assert due_at(back, STATUTORY) == due_at(clock, STATUTORY)


def test_minutes_pause_in_seconds() -> None:
    clock = begun(days=0, minutes=30)
    assert due_at(clock, STATUTORY) == at(MONDAY, 10, 30)
    assert due_on(clock, STATUTORY) == MONDAY
    paused = pause(clock, at(MONDAY, 10, 20))
    assert due_at(paused, STATUTORY) == at(MONDAY, 10, 30)
    assert due_at(paused, STATUTORY, at(MONDAY, 10, 50)) == at(MONDAY, 11)
    assert remaining(paused, STATUTORY, at(MONDAY, 10, 50)) == 10
    running = resume(paused, at(MONDAY, 10, 21) + timedelta(seconds=30), STATUTORY)
    assert running.paused_s == 90
    assert due_at(running, STATUTORY) == at(MONDAY, 10, 31) + timedelta(seconds=30)
    overnight = start(at(MONDAY, 23, 50), MONDAY, days=0, minutes=30)
    assert due_on(overnight, STATUTORY) == MONDAY + DAY


def test_minutes_hold_where_days_are_promised_too() -> None:
    assert begun(days=1, minutes=30) == begun(days=0, minutes=30)


def test_an_extension_makes_minutes_into_days() -> None:
    clock = resume(pause(begun(days=0, minutes=30), at(MONDAY, 10, 20)), at(MONDAY + 2 * DAY, 9), STATUTORY)
    extended = extend(clock, 3)
    assert extended.minutes is None
    assert due(extended) == MONDAY + 7 * DAY  # Thursday, and the two days that were paused
    assert (extended.paused_s, extended.turn) == (0, 3)


def test_changes_that_change_nothing_have_no_turn() -> None:
    clock = begun()
    assert resume(clock, at(MONDAY), STATUTORY) is clock
    paused = pause(clock, at(MONDAY))
    assert pause(paused, at(MONDAY + DAY)) is paused
    assert extend(paused, 1).turn == 2
    assert extend(paused, 1).paused_at == paused.paused_at


@given(in_order(most=2), st.integers(0, 20), st.integers(0, 120), st.integers(0, 23))
def test_remaining_days_are_those_that_a_walk_finds(
    run: tuple[date, list[Span]], days: int, later: int, hour: int
) -> None:
    on, spans = run
    clock = after(begun(on, days), spans)
    now, last = at(on + later * DAY, hour), due(clock)
    left = remaining(clock, STATUTORY, now)
    today = now.date()
    if now < due_at(clock, STATUTORY):
        assert left == sum(is_workday(today + n * DAY) for n in range(1, (last - today).days + 1)) >= 0
    else:
        begun_since = sum(is_workday(last + n * DAY) for n in range(1, (today - last).days + 1))
        assert left == min(-1, -begun_since)


def test_remaining_of_a_paused_clock_stands_still() -> None:
    paused = pause(begun(), at(date(2026, 3, 6)))
    left = {
        remaining(paused, STATUTORY, at(date(2026, 3, 6) + n * DAY))
        for n in range(60)
        if is_workday(date(2026, 3, 6) + n * DAY)
    }
    assert left == {16}
    late = pause(begun(days=1), at(date(2026, 3, 6)))
    assert remaining(late, STATUTORY, at(date(2026, 3, 11))) == -6


def test_a_promise_of_friday_is_late_on_saturday() -> None:
    clock = begun(days=4)
    days = [remaining(clock, STATUTORY, at(date(2026, 3, 6) + n * DAY)) for n in range(5)]
    assert days == [0, -1, -1, -1, -2]


def test_minutes_left_are_negative_when_late() -> None:
    clock = begun(days=0, minutes=30)
    assert remaining(clock, STATUTORY, at(MONDAY, 10, 15)) == 15
    assert remaining(clock, STATUTORY, at(MONDAY, 10, 31)) == -1


NAIVE = datetime(2026, 3, 2, 10)  # noqa: DTZ001 - what is to be refused


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: begun(days=-1),
        lambda: begun(days=0, minutes=0),
        lambda: begun(days=0, minutes=-5),
        lambda: extend(begun(), 0),
        lambda: start(NAIVE, MONDAY, days=1, minutes=None),
        lambda: pause(begun(), NAIVE),
        lambda: resume(pause(begun(), at(MONDAY)), NAIVE, STATUTORY),
        lambda: due_at(pause(begun(), at(MONDAY)), STATUTORY, NAIVE),
        lambda: remaining(begun(), STATUTORY, NAIVE),
    ],
)
def test_what_is_no_clock_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"expected|time zone"):
        wrong()


moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
counts = st.integers(0, 500)
clocks = st.one_of(
    st.builds(
        Clock,
        started_at=moments,
        started_on=start_days,
        days=counts,
        minutes=st.none(),
        extended=counts,
        paused_at=st.none() | moments,
        paused_days=counts,
        turn=counts,
    ),
    st.builds(
        Clock,
        started_at=moments,
        started_on=start_days,
        days=st.just(0),
        minutes=st.floats(0.5, 1e6),
        paused_at=st.none() | moments,
        paused_days=counts,
        paused_s=st.floats(0, 1e6),
        turn=counts,
    ),
)


@given(clocks)
def test_facts_are_json_and_come_back(clock: Clock) -> None:
    assert from_facts(_as_written(to_facts(clock))) == clock


def test_facts_leave_out_what_is_as_at_the_start() -> None:
    facts = _as_written(to_facts(begun()))
    assert facts == {"started_at": "2026-03-02T02:00:00Z", "started_on": "2026-03-02", "days": 20}


def _as_written(facts: dict[str, object]) -> dict[str, object]:
    """As the state of a case holds them."""
    found: dict[str, object] = orjson.loads(orjson.dumps(facts, option=orjson.OPT_UTC_Z))
    return found


@pytest.mark.parametrize(
    "changed",
    [
        {"started_at": None},
        {"started_at": "2026-03-02T02:00:00"},
        {"started_at": "soon"},
        {"started_on": "2026-02-30"},
        {"started_on": 20260302},
        {"days": -1},
        {"days": True},
        {"days": 1.5},
        {"days": "20"},
        {"minutes": 30},
        {"days": 0, "minutes": 0},
        {"days": 0, "minutes": 10**400},
        {"days": 0, "minutes": True},
        {"days": 0, "minutes": float("nan")},
        {"days": 0, "minutes": 30, "extended": 2},
        {"paused_at": 5},
        {"paused_s": -1},
        {"turn": -1},
        {"of_another_release": 1},
    ],
)
def test_other_facts_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        from_facts({**_as_written(to_facts(begun())), **changed})


@pytest.mark.parametrize("facts", [None, [], "clock", {}, {"started_on": "2026-03-02", "days": 1}])
def test_what_is_no_facts_is_refused(facts: object) -> None:
    with pytest.raises(ValueError, match="not a clock"):
        from_facts(facts)
