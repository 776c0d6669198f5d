from __future__ import annotations

from bench.clock import HEADING, Found, Row, lines, section
from bench.lives import moments
from bench.occasion import Occasion
from broker.core.case.transitions import MESSAGE_TYPES, Role


def test_the_lives_have_every_message_type_that_partners_say() -> None:
    said = {each.message.type for each in moments()}
    assert said == {
        name for name, rule in MESSAGE_TYPES.items() if rule.says & {Role.OPENING, Role.RESPONSIBLE}
    }


def test_a_goal_is_judged_and_a_figure_without_one_is_not() -> None:
    shown = lines(
        [Row(what="a", us=2, peer_us=50, goal_us=3), Row(what="b", us=4, goal_us=3), Row(what="c", us=9)]
    )
    assert shown[2:] == [
        "| a | 2.00 | 50.0 | 25 × | ≤ 3: met |",
        "| b | 4.00 |  |  | ≤ 3: **not met** |",
        "| c | 9.00 |  |  |  |",
    ]


def test_the_section_has_its_heading_and_who_measured_what() -> None:
    occasion = Occasion(command="python -m bench.clock", date="d", machine={"cores": "2"}, other_load=0.0)
    told = section(Found(occasion=occasion, rows=[Row(what="a", us=2, goal_us=3)]))
    assert told.startswith(f"{HEADING}\n\n- command: `python -m bench.clock`, d")
    assert told.endswith("| a | 2.00 |  |  | ≤ 3: met |\n")
