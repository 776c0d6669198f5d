"""Estimates of when an offset was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.records import TopicPartition
from broker.log.reading.end_history import EndHistory

PLACE = TopicPartition("t", 0)


def history(*points: tuple[int, float]) -> EndHistory:
    known = EndHistory()
    for end, at_s in points:
        known.note(PLACE, end, at_s=at_s)
    return known


@pytest.mark.parametrize(
    ("points", "offset", "expected"),
    [
        ((), 5, None),
        (((10, 100.0),), 5, None),
        (((0, 100.0), (10, 110.0)), 0, 100.0),
        (((0, 100.0), (10, 110.0)), 5, 105.0),
        (((0, 100.0), (10, 110.0)), 10, None),  # not written yet
        (((4, 100.0), (10, 110.0)), 3, None),  # before all that is known
        (((0, 100.0), (10, 110.0), (10, 120.0), (20, 130.0)), 10, 120.0),  # quiet for 10 s, then written
        (((50, 100.0), (0, 110.0), (10, 120.0)), 5, 115.0),  # the topic was made anew
    ],
)
def test_estimates(points: tuple[tuple[int, float], ...], offset: int, expected: float | None) -> None:
    assert history(*points).written_at_s(PLACE, offset) == expected


def test_partitions_do_not_mix() -> None:
    known = history((0, 100.0), (10, 110.0))
    assert known.written_at_s(TopicPartition("t", 1), 5) is None


@given(
    steps=st.lists(st.tuples(st.integers(0, 50), st.floats(0.1, 100)), min_size=2, max_size=100),
    offset=st.integers(0, 3000),
)
def test_an_estimate_lies_between_the_points_around_it(steps: list[tuple[int, float]], offset: int) -> None:
    points, end, at_s = [], 0, 1000.0
    for more, seconds in steps:
        end, at_s = end + more, at_s + seconds
        points.append((end, at_s))
    written_at_s = history(*points).written_at_s(PLACE, offset)
    kept = points[-60:]
    if not kept[0][0] <= offset < kept[-1][0]:
        assert written_at_s is None
        return
    assert written_at_s is not None
    before = max(at for known_end, at in kept if known_end <= offset)
    after = min(at for known_end, at in kept if known_end > offset)
    assert before - 1e-6 <= written_at_s <= after + 1e-6
