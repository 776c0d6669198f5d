"""A case as its clerk reads it: days and times in China, what was promised, what falls next and at whose side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from broker.commands.showing import clock, plain
from broker.core.case.case_state import CaseState
from broker.core.case.terms import Terms
from broker.core.clocks.deadlines import Deadline, Kind
from broker.core.clocks.outlook import Outlook
from broker.core.message import epoch_ms, parse_time

_TOLD_OTHERWISE: Final = ("clock", "bundle", "cards")


def rows(
    state: CaseState,
    facts: Mapping[str, object],
    terms: Terms,
    standing: Outlook | None,
    coming: Deadline | None,
) -> Iterator[tuple[str, str]]:
    """The lines of the sheet. ``facts``: the state's own, in their order; ``coming``: the card that falls next."""
    for name, value in facts.items():
        if name in _TOLD_OTHERWISE:
            continue
        if name == "item" and terms.item is not None and terms.item.name:
            yield name, f"{plain(value)} {plain(terms.item.name)}"
        elif isinstance(value, str) and name.endswith(("_at", "_since")):
            yield name, clock(epoch_ms(parse_time(value)))
        else:
            yield name, plain(value)
    yield from _parts(state)
    yield from _promise(state, standing)
    if state.cards:
        yield "cards", ", ".join(_issued(each) for each in state.cards)
    if coming is not None:
        yield "next card", _card(coming)


def _parts(state: CaseState) -> Iterator[tuple[str, str]]:
    if state.bundle is None:
        return
    yield "answer by", "the broker, for all parts" if state.bundle.answer == "broker" else "the lead"
    for part in state.bundle.parts:
        yield f"part {part.name}", f"{part.status} at {part.authority}, {plain(part.item)}"


def _promise(state: CaseState, standing: Outlook | None) -> Iterator[tuple[str, str]]:
    running = state.clock
    if running is None or standing is None:
        return
    minutes = running.minutes is not None
    promised = f"{running.minutes:g} minutes" if minutes else f"{running.days} working days"
    promised += f" from {running.started_on}"
    if running.extended:
        promised += f", {running.extended} more with approval"
    if running.paused_days:
        promised += f", {running.paused_days} stood still"
    yield "promised", promised
    if running.paused_at is not None:
        yield "stands still since", clock(epoch_ms(running.paused_at))
    due = str(standing.due_on) if not minutes else clock(epoch_ms(standing.due_at))
    yield (
        "due",
        due + (" (provisional: that year's holidays are not published)" if standing.provisional else ""),
    )
    unit = "minutes" if minutes else "working days"
    left = f"{standing.left:g} {unit} left" if not standing.late else f"late by {-standing.left:g} {unit}"
    yield "at the decision" if state.decided_at is not None else "now", left


def limit_name(kind: Kind, step: str) -> str:
    """A limit in both languages, with the step that it is of."""
    return f"{_KINDS[kind]} {kind}" + (f" {plain(step)}" if step else "")


_KINDS: Final = {
    Kind.ACCEPTANCE: "受理",
    Kind.SUPPLEMENT: "补正",
    Kind.DECISION: "办结",
    Kind.STEP: "环节",
    Kind.ISSUE: "出件",
    Kind.RECTIFICATION: "整改",
    Kind.COMPLAINT: "投诉答复",
}


def _issued(key: str) -> str:
    """One of the cards that are out, by its key."""
    kind, _, rest = key.partition(":")
    step, light, _ = rest.rsplit("/", 2)
    return f"{light} for {limit_name(Kind(kind), step)}"


def _card(coming: Deadline) -> str:
    limit = limit_name(coming.kind, coming.step)
    falls = clock(epoch_ms(coming.falls_at))
    return f"{coming.light} for {limit} at {falls}, due {coming.due_on}, at {coming.late}'s side"
