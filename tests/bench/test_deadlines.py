"""The bench of deadlines writes the cards that fall; its times are no matter here."""

from __future__ import annotations

from pathlib import Path

from bench.deadlines import HEADING, Cost, Found, measure, section
from bench.occasion import Occasion


async def test_every_case_that_falls_due_is_written(tmp_path: Path) -> None:
    found = await measure(f"sqlite:///{tmp_path / 'view.db'}", 1100, rounds=1)
    assert [(each.due, each.cards >= each.due, each.cards == 0) for each in found] == [
        (0, True, True),
        (10, True, False),
        (1000, True, False),
    ]
    assert {each.open_cases for each in found} == {1100}


def test_the_section_has_its_heading_and_a_row_for_each_look() -> None:
    occasion = Occasion(command="python -m bench.deadlines", date="d", machine={"cores": "2"}, other_load=0.0)
    told = section(
        Found(occasion=occasion, costs=[Cost(open_cases=1_000_000, due=10, look_ms=2.171, cards=10)])
    )
    assert told.startswith(f"{HEADING}\n\n- command: `python -m bench.deadlines`, d")
    assert told.endswith("| 1,000,000 | 10 | 10 | 2.17 ms |\n")
