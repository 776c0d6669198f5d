from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.lane.rate import RateMeter, TokenBucket


def test_a_tenth_of_a_second_ten_times_over_is_one_token() -> None:
    bucket = TokenBucket(1.0)
    assert bucket.available(0.0) == 1
    bucket.spend(1)
    assert [bucket.available(tenth / 10) for tenth in range(1, 11)] == [0] * 9 + [1]


def test_less_than_one_a_second() -> None:
    bucket = TokenBucket(0.25)
    assert bucket.available(100.0) == 1
    bucket.spend(1)
    assert bucket.wait_s(100.0) == pytest.approx(4.0)  # 1 / 0.25
    assert bucket.wait_s(103.0) == pytest.approx(1.0)
    assert bucket.available(1000.0) == 1  # at least one is saved, and no more than one


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(10.0)
    assert bucket.available(50.0) == 10
    bucket.spend(10)
    assert bucket.available(20.0) == 0
    assert bucket.available(50.1) == 1


def test_no_rate_is_no_bucket() -> None:
    with pytest.raises(ValueError, match="above 0"):
        TokenBucket(0.0)


@given(per_second=st.floats(0.01, 1000), since_s=st.floats(0, 1e7), elapsed_s=st.floats(0, 1))
def test_a_wait_ends_with_a_token(per_second: float, since_s: float, elapsed_s: float) -> None:
    bucket = TokenBucket(per_second)
    bucket.spend(bucket.available(since_s))
    now_s = since_s + elapsed_s
    wait_s = bucket.wait_s(now_s)
    assert bucket.available(now_s + wait_s) >= 1


@given(
    st.floats(0.1, 1000),
    st.floats(1, 200),
    st.lists(st.floats(0, 3), min_size=1, max_size=60),
    st.floats(0.1, 5),
)
def test_no_span_has_more_than_its_rate_and_one_burst(
    per_second: float, burst: float, steps: list[float], span_s: float
) -> None:
    bucket, now_s, taken = TokenBucket(per_second, burst), 0.0, list[tuple[float, int]]()
    for step_s in steps:
        now_s += step_s
        count = bucket.available(now_s)
        bucket.spend(count)
        taken.append((now_s, count))
    for begin_s, _ in taken:
        within = sum(count for at_s, count in taken if begin_s <= at_s <= begin_s + span_s)
        assert within <= burst + span_s * per_second + 1e-3


def test_another_rate_gives_nothing_at_once() -> None:
    bucket = TokenBucket(1.0, 1)
    bucket.spend(bucket.available(0.0))
    bucket.change(10.0)
    assert bucket.available(0.0) == 0
    assert bucket.available(0.1) == 1
    with pytest.raises(ValueError, match="above 0"):
        bucket.change(0.0)


def test_the_meter_remembers_the_last_minutes() -> None:
    meter = RateMeter(300.0)
    assert meter.per_second(5.0) is None
    meter.begin(1000.0)
    for second in range(1, 601):
        meter.add(1000.0 + second, 20)
        if second == 4:
            assert meter.per_second(5.0) is None  # four seconds are too few
    assert meter.per_second(5.0) == pytest.approx(20.0, rel=0.01)
    meter.begin(99_000.0)  # an outage is left out
    meter.add(99_001.0, 20)
    assert meter.per_second(5.0) == pytest.approx(20.0, rel=0.01)
    meter.add(100_801.0, 0)  # half an hour of nothing
    assert (meter.per_second(5.0) or 0) < 0.1
