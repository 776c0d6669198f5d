from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.records import Position


@given(st.text(alphabet="abc.-_/", min_size=1, max_size=20), st.integers(0, 99), st.integers(0, 2**63 - 1))
def test_positions_survive_their_text(topic: str, partition: int, offset: int) -> None:
    position = Position(topic, partition, offset)
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize("text", ["", "topic", "topic/1", "topic/x/1", "topic/1/x", "topic/1/"])
def test_no_positions(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the caller names the header, not the words
        Position.parse(text)


def test_positions_are_in_log_order() -> None:
    assert Position("t", 0, 9) < Position("t", 0, 10) < Position("t", 1, 0)
