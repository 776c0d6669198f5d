from __future__ import annotations

import re

from broker.core.case.case_state import ENDS, Status
from broker.core.case.guards import GUARDS
from broker.core.case.lifecycle import lifecycle_diagram, lifecycle_table
from broker.core.case.lifecycle_docs import fee_diagram, guards_table, rating_diagram
from broker.core.case.transitions import MESSAGE_TYPES


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
        "| `case.supplemented` | 补正 | opening 收件地 | supplement_requested | supplemented | – | 行政许可法第三十二条 |"
        in rows
    )
    guarded = {type_ for guard in GUARDS for type_ in guard.types}
    for name in guarded:
        (row,) = [each for each in rows if f"`{name}`" in each]
        demands = [guard.demands for guard in GUARDS if name in guard.types]
        assert all(demand in row for demand in demands)
    assert any("fee.paid" in row and "treasury" in row and "fee requested → paid" in row for row in rows)


def test_the_sub_states_have_every_move_of_the_table() -> None:
    fee = re.findall(r"^    (\S+) --> (\S+?)(?::.*)?$", fee_diagram(), re.MULTILINE)
    assert set(fee) == {("[*]", "none"), ("none", "requested"), ("requested", "paid"), ("paid", "[*]")}
    rating = re.findall(r"^    (\S+) --> (\S+?)(?::.*)?$", rating_diagram(), re.MULTILINE)
    assert set(rating) == {
        *(("[*]", "none"), ("none", "rated"), ("none", "poor"), ("poor", "appealed")),
        *(("poor", "rectified"), ("appealed", "rectified"), ("rated", "[*]"), ("rectified", "[*]")),
    }
    assert "none --> poor: rated 评价 1–2" in rating_diagram()


def test_every_guard_has_its_demand_in_both_languages() -> None:
    rows = guards_table().splitlines()[2:]
    assert len(rows) == len(GUARDS)
    for row, guard in zip(rows, GUARDS, strict=True):
        assert guard.demands in row
        assert guard.demands_zh in row
