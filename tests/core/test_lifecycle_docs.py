from __future__ import annotations

import re

from broker.core.case_state import ENDS, Status
from broker.core.lifecycle import lifecycle_diagram, lifecycle_table
from broker.core.transitions import MESSAGE_TYPES


def test_the_diagram_has_every_move_and_every_end() -> None:
    diagram = lifecycle_diagram()
    assert diagram.startswith("stateDiagram-v2\n")
    arrows = re.findall(r"^    (\S+) --> (\S+?)(?::.*)?$", diagram, re.MULTILINE)
    moves = {(str(since), str(rule.to)) for rule in MESSAGE_TYPES.values() if rule.to for since in rule.since}
    begins = {("[*]", str(rule.to)) for rule in MESSAGE_TYPES.values() if rule.opens}
    ends = {(str(status), "[*]") for status in ENDS}
    assert set(arrows) == moves | begins | ends
    assert {name for arrow in arrows for name in arrow} == {*map(str, Status), "[*]"}
    assert "submitted --> accepted: accepted 受理" in diagram


def test_the_table_has_a_row_for_every_type() -> None:
    rows = lifecycle_table().splitlines()
    assert len(rows) == 2 + len(MESSAGE_TYPES)
    assert {row.count("|") for row in rows} == {8}
    assert (
        "| `case.supplement-requested` | 补正告知 | responsible 业务属地 | submitted | supplement_requested | – "
        "| 行政许可法第三十二条 |"
    ) in rows
    assert any("fee.paid" in row and "treasury" in row and "fee requested → paid" in row for row in rows)
