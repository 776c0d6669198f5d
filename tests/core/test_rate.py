from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.rate import TokenBucket


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
