"""The life cycle's table as pictures and text for the docs, so that they cannot differ from the code."""

from __future__ import annotations

from broker.core.case_state import ENDS, Status
from broker.core.transitions import ANY, ANY_OF_A_CASE, TRANSITIONS, Role, Statuses, TypeRule

_ZH = {
    Role.OPENING: "收件地",
    Role.RESPONSIBLE: "业务属地",
    Role.TREASURY: "国库（经收件地）",
    Role.BROKER: "通办",
    Role.OPERATOR: "运维",
}


def lifecycle_diagram() -> str:
    """The statuses and the messages between them, as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    for rule in TRANSITIONS:
        if rule.to is None:
            continue
        label = f"{rule.name.partition('.')[2]} {rule.zh}"
        if rule.opens:
            lines.append(f"    [*] --> {rule.to}: {label}")
        lines.extend(f"    {status} --> {rule.to}: {label}" for status in Status if status in rule.since)
    lines.extend(f"    {status} --> [*]" for status in Status if status in ENDS)
    return "\n".join(lines) + "\n"


def lifecycle_table() -> str:
    """Every message type, as a Markdown table: who says it, from where to where, under which condition."""
    lines = ["| type | 名称 | said by | from | to | condition | law |", "|---|---|---|---|---|---|---|"]
    lines.extend(_row(rule) for rule in TRANSITIONS)
    return "\n".join(lines) + "\n"


def _row(rule: TypeRule) -> str:
    says = ", ".join(f"{role} {_ZH[role]}" for role in Role if role in rule.says)
    if rule.of_the_road:
        since, to = "–", "–"
    else:
        since, to = _since(rule), rule.to or "same"
    return f"| `{rule.name}` | {rule.zh} | {says} | {since} | {to} | {_condition(rule)} | {rule.law or '–'} |"


def _since(rule: TypeRule) -> str:
    if rule.opens:
        return "–"
    named: dict[Statuses, str] = {ANY: "any", ANY_OF_A_CASE: "any but a complaint's"}
    return named.get(rule.since) or ", ".join(status for status in Status if status in rule.since)


def _condition(rule: TypeRule) -> str:
    parts = []
    if rule.fee_since is not None:
        parts.append(f"fee {' or '.join(sorted(rule.fee_since))} → {rule.fee_to}")
    if rule.rating_since is not None:
        parts.append(f"rating {' or '.join(sorted(rule.rating_since))} → {rule.rating_to}")
    return "; ".join(parts) or "–"
