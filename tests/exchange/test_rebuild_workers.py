"""How many processes a rebuild is worth. That they make the same view: ``test_rebuild.py``."""

from __future__ import annotations

from broker.exchange.rebuild_workers import WORTH, processes


def test_little_is_rebuilt_by_this_process_alone() -> None:
    assert processes(WORTH - 1, 8) == 1


def test_no_process_is_without_a_partition() -> None:
    assert processes(WORTH, 1) == 1
    assert 1 <= processes(WORTH, 1000) <= 1000
