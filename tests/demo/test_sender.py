"""How long the sender waits before it tries again."""

from __future__ import annotations

import pytest

from deploy.demo.sender import Backoff


def test_waits_double_from_a_fifth_of_a_second_to_five() -> None:
    backoff = Backoff()
    waits = [backoff.wait_s(None) for _ in range(7)]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@pytest.mark.parametrize(("named_s", "expected_s"), [(0.0, 0.0), (2.0, 2.0), (30.0, 30.0), (86_400.0, 30.0)])
def test_a_named_time_comes_first_up_to_a_limit(named_s: float, expected_s: float) -> None:
    assert Backoff().wait_s(named_s) == expected_s
