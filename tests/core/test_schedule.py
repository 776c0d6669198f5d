from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.lane.schedule import AS_THE_HOUSE, HOUSE, RetryPlan, Schedule, Schedules, Waits

EXACT = 0.5  # jitter in the middle of its range: the wait itself
H = 3600.0


@pytest.mark.parametrize(
    ("attempt", "wait_s", "parks"),
    [
        (1, 1, False),
        (2, 5, False),
        (3, 20, False),
        (4, 300, True),
        (5, 1800, True),
        (6, 2 * H, True),
        (7, 5 * H, True),
        (8, 10 * H, True),
        (9, 14 * H, True),
        (10, 20 * H, True),
        (11, 24 * H, True),
        (12, None, False),
        (99, None, False),
    ],
)
def test_the_houses_schedule(attempt: int, wait_s: float | None, parks: bool) -> None:
    assert HOUSE.next_after(attempt, EXACT) == wait_s
    assert wait_s is None or HOUSE.parks(wait_s) is parks


def test_twelve_attempts_over_three_days() -> None:
    assert HOUSE.attempts == 1 + 3 + 8
    waits = [HOUSE.next_after(attempt, EXACT) or 0 for attempt in range(1, 12)]
    # 1 + 5 + 20 + 300 + 1,800 s = 2,126 s; 2 + 5 + 10 + 14 + 20 + 24 h = 75 h
    assert sum(waits) == 2126 + 75 * H


@pytest.mark.parametrize(
    ("jitter", "wait_s"),
    [(0.0, 240.0), (0.25, 270.0), (0.5, 300.0), (0.75, 330.0), (math.nextafter(1, 0), 360.0)],
)
def test_jitter_is_a_fifth_either_way(jitter: float, wait_s: float) -> None:
    assert HOUSE.next_after(4, jitter) == pytest.approx(wait_s)


@pytest.mark.parametrize(
    ("attempt", "jitter", "retry_after_s", "wait_s"),
    [
        (1, EXACT, 120.0, 132.0),  # 120 x (1 + 0.2 x 0.5)
        (1, 0.0, 120.0, 120.0),  # never sooner than asked
        (1, 0.0, 0.5, 0.8),  # sooner than the schedule: the schedule, 1 x 0.8
        (4, EXACT, 0.0, 300.0),
        (4, EXACT, -5.0, 300.0),
        (4, EXACT, math.nan, 300.0),
        (4, 0.0, 1e9, 24 * H),  # bounded by the stated maximum
        (4, 0.0, math.inf, 24 * H),
        (12, EXACT, 60.0, None),  # used up is used up
    ],
)
def test_retry_after(attempt: int, jitter: float, retry_after_s: float, wait_s: float | None) -> None:
    assert HOUSE.next_after(attempt, jitter, retry_after_s) == (
        None if wait_s is None else pytest.approx(wait_s)
    )


@pytest.mark.parametrize(("attempt", "jitter"), [(0, 0.5), (-1, 0.5), (1, 1.0), (1, -0.1), (1, math.nan)])
def test_arguments_out_of_range(attempt: int, jitter: float) -> None:
    with pytest.raises(ValueError, match="attempts count from 1"):
        HOUSE.next_after(attempt, jitter)


CLASSES = {"birth-1": "birth", "birth-2": "birth"}
PLAN = RetryPlan(
    parked_s=(60.0, 90.0),
    items={"birth": Waits(quick_s=(2.0,)), "birth-2": Waits(parked_s=(), retry_after_max_s=10.0)},
)


@pytest.mark.parametrize(
    ("item", "waits"),
    [
        (None, [1, 5, 20, 60, 90, None]),  # the partner's parked waits, the house's quick ones
        ("loan", [1, 5, 20, 60, 90, None]),
        ("birth-1", [2, 60, 90, None]),  # by its class
        ("birth-2", [1, 5, 20, None]),  # by its own code: what its class says does not count
    ],
)
def test_waits_per_partner_and_item(item: str | None, waits: list[float | None]) -> None:
    schedule = Schedules(PLAN, HOUSE, CLASSES.get).of(item)
    assert [schedule.next_after(attempt, EXACT) for attempt in range(1, len(waits) + 1)] == waits


def test_an_items_own_maximum_of_retry_after() -> None:
    schedules = Schedules(PLAN, HOUSE, CLASSES.get)
    assert schedules.of("birth-2").next_after(1, 0.0, 1e6) == 10.0
    assert schedules.of("birth-1").next_after(1, 0.0, 1e6) == 24 * H


def test_without_a_plan_the_houses_schedule() -> None:
    assert Schedules(AS_THE_HOUSE, HOUSE, CLASSES.get).of("birth-1") == HOUSE


@given(
    attempt=st.integers(1, 20),
    jitter=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.floats(0, 1e12),
)
def test_waits_stay_within_their_bounds(attempt: int, jitter: float, asked: float | None) -> None:
    schedule = Schedule()
    wait_s = schedule.next_after(attempt, jitter, asked)
    if wait_s is not None:
        assert 0 < wait_s <= 24 * H * 1.2
        assert asked is None or wait_s >= min(asked, schedule.retry_after_max_s)
