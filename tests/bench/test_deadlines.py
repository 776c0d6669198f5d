"""The bench of deadlines writes the cards that fall; its times are no matter here."""

from __future__ import annotations

from pathlib import Path

from bench.deadlines import measure


async def test_every_case_that_falls_due_is_written(tmp_path: Path) -> None:
    found = await measure(f"sqlite:///{tmp_path / 'view.db'}", 1100, rounds=1)
    assert [(each.due, each.cards >= each.due, each.cards == 0) for each in found] == [
        (0, True, True),
        (10, True, False),
        (1000, True, False),
    ]
