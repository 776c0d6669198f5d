from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.lane.recovery import PEAK, Recovery

ODD = (0.0001, 0.01, 0.3)


def drain(
    recovery: Recovery, *, seconds: float, waiting: int, seed: int = 0, steps: tuple[float, ...] = ODD
) -> list[float]:
    """The times at which a backlog of ``waiting`` starts, taking at odd moments all that is allowed."""
    draw, now_s, started = random.Random(seed), 0.0, list[float]()
    while now_s < seconds and len(started) < waiting:
        now_s += draw.choice([*steps, recovery.wait_s(now_s)])
        count = min(recovery.available(now_s), waiting - len(started))
        recovery.spend(count)
        started += [now_s] * count
        recovery.seen(now_s, waiting=len(started) < waiting)
    return started


@given(
    normal=st.floats(0, 3000),
    ramp_s=st.floats(0, 60),
    ramp_from=st.floats(0.01, 1),
    seed=st.integers(0, 1000),
)
def test_never_more_than_half_as_much_again_in_any_second(
    normal: float, ramp_s: float, ramp_from: float, seed: int
) -> None:
    recovery = Recovery(0.0, normal_per_s=normal, ramp_from=ramp_from, ramp_s=ramp_s)
    started = drain(recovery, seconds=5, waiting=20_000, seed=seed)
    first = 0
    for index, at_s in enumerate(started):
        while started[first] < at_s - 1.0:
            first += 1
        # a partner that had nothing to do before is given 5 a second
        assert index - first + 1 <= PEAK * max(normal, 5.0) + 1


def test_it_rises_over_the_ramp_and_then_drains_at_the_peak() -> None:
    recovery = Recovery(0.0, normal_per_s=100.0, ramp_from=0.1, ramp_s=10.0)
    started = drain(recovery, seconds=40, waiting=100_000, steps=(0.01,))
    per_second = [sum(second <= at_s < second + 1 for at_s in started) for second in range(39)]
    assert per_second[0] < 40
    assert per_second[0] < per_second[4] < per_second[9]
    assert all(120 <= count <= 150 for count in per_second[11:])


def test_it_is_over_when_nothing_has_waited_for_a_second_after_the_ramp() -> None:
    recovery = Recovery(0.0, normal_per_s=10.0, ramp_from=0.1, ramp_s=10.0)
    recovery.seen(0.0, waiting=False)
    assert not recovery.over(9.9)  # the ramp
    assert recovery.over(10.0)
    recovery.seen(10.0, waiting=True)
    assert not recovery.over(99.0)
    recovery.seen(99.0, waiting=False)
    assert not recovery.over(99.9)
    recovery.seen(99.9, waiting=False)
    assert recovery.over(100.0)


@pytest.mark.parametrize("normal", [0.0, 0.1, 5.0])
def test_a_partner_with_nothing_to_do_before_is_not_starved(normal: float) -> None:
    recovery = Recovery(0.0, normal_per_s=normal, ramp_from=0.1, ramp_s=5.0)
    assert 6 * 20 <= len(drain(recovery, seconds=30, waiting=10_000, steps=(0.01,))) <= 7.5 * 30
