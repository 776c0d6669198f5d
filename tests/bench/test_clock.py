from __future__ import annotations

from bench.clock import Row, lines
from bench.lives import moments
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
