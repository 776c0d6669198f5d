"""Shortening: what is left fails, and nothing of it can be left out."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.shrink import minimal


@given(st.sets(st.integers(0, 40), min_size=1, max_size=4), st.integers(41, 60))
def test_only_what_is_needed_stays(needed: set[int], size: int) -> None:
    def fails(some: Sequence[int]) -> bool:
        return needed <= set(some)

    assert sorted(minimal(range(size), fails)) == sorted(needed)
