"""The life cycle's tables as pictures and text for the docs, so that they cannot differ from the code."""

from __future__ import annotations

from broker.core.case.case_state import ENDS, Fee, Rating, Status
from broker.core.case.effects import POOR_SCORE
from broker.core.case.guards import GUARDS
from broker.core.case.transitions import ANY, ANY_OF_A_CASE, TRANSITIONS, Role, Statuses, TypeRule

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
        if rule.opens:
            lines.append(f"    [*] --> {rule.to}: {_label(rule)}")
        lines.extend(
            f"    {status} --> {rule.to}: {_label(rule)}" for status in Status if status in rule.since
        )
    lines.extend(f"    {status} --> [*]" for status in Status if status in ENDS)
    return "\n".join(lines) + "\n"


def fee_diagram() -> str:
    """The fee's states beside the case's own, as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {Fee.NONE}"]
    for rule in TRANSITIONS:
        if rule.fee_to is not None:
            lines.extend(
                f"    {since} --> {rule.fee_to}: {_label(rule)}"
                for since in Fee
                if _in(since, rule.fee_since)
            )
    lines.append(f"    {Fee.PAID} --> [*]")
    return "\n".join(lines) + "\n"


def rating_diagram() -> str:
    """The rating's states beside the case's own, as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {Rating.NONE}"]
    for rule in TRANSITIONS:
        for since in Rating:
            if rule.rating_to is None or not _in(since, rule.rating_since):
                continue
            if rule.rating_to is Rating.RATED:  # which of the two, the score says (core/case/effects.py)
                lines.append(f"    {since} --> {Rating.RATED}: {_label(rule)} {POOR_SCORE + 1}–5")
                lines.append(f"    {since} --> {Rating.POOR}: {_label(rule)} 1–{POOR_SCORE}")
            else:
                lines.append(f"    {since} --> {rule.rating_to}: {_label(rule)}")
    lines.extend(f"    {end} --> [*]" for end in (Rating.RATED, Rating.RECTIFIED))
    return "\n".join(lines) + "\n"


def lifecycle_table() -> str:
    """Every message type, as a Markdown table: who says it, from where to where, under which conditions."""
    lines = ["| type | 名称 | said by | from | to | condition | law |", "|---|---|---|---|---|---|---|"]
    lines.extend(_row(rule) for rule in TRANSITIONS)
    return "\n".join(lines) + "\n"


def guards_table() -> str:
    """What a message must also satisfy, in both languages, as a Markdown table."""
    lines = ["| message | must be | 须 |", "|---|---|---|"]
    for rule in GUARDS:
        types = ", ".join(f"`{each}`" for each in rule.types)
        lines.append(f"| {types} | {rule.demands} | {rule.demands_zh} |")
    return "\n".join(lines) + "\n"


def _label(rule: TypeRule) -> str:
    return f"{rule.name.partition('.')[2]} {rule.zh}"


def _in(state: Fee | Rating, since: frozenset[Fee] | frozenset[Rating] | None) -> bool:
    return since is not None and state in since


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
        to = (
            f"{rule.rating_to} (1 and {POOR_SCORE}: poor)"
            if rule.rating_to is Rating.RATED
            else rule.rating_to
        )
        parts.append(f"rating {' or '.join(sorted(rule.rating_since))} → {to}")
    parts.extend(guard.demands for guard in GUARDS if rule.name in guard.types)
    return "; ".join(parts) or "–"
