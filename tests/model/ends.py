"""Whether a case that has not ended has a next step that some partner can say, and that leads towards an end.

Searched on the product's own ``allowed`` and ``advance`` with what an orderly partner would say. A withdrawal is no
way on: who wants an answer must be able to get one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from broker.core.bundle.bundles import PartStatus
from broker.core.case.case_state import ENDS, CaseState, Status
from broker.core.case.lifecycle import Advanced, Role, advance, allowed
from broker.core.case.terms import Terms
from broker.core.ids import CaseId, MessageId, Party, part_case
from broker.core.message import Message, MessageClass
from tests.model.facts import good

NO_WAY: Final = frozenset(
    {"case.withdrawn", "case.urged", "case.consulted", "case.answered", "case.rated", "fee.requested"}
)
_FOUND: dict[object, bool] = {}


def has_no_way_on(
    state: CaseState, cases: Mapping[CaseId, CaseState], terms: Terms, now: datetime
) -> str | None:
    """Why this case is stuck; None: it has ended, it has a way on, or it waits for parts that have."""
    if state.status in ENDS:
        return None
    bundle = state.bundle
    if bundle is not None and (bundle.begun or bundle.answer == "broker"):
        for part in bundle.parts:
            if part.status is PartStatus.OPEN and part_case(state.case, part.name) not in cases:
                return f"part {part.name} is open and nowhere"
            before = [bundle.part(name) for name in part.after]
            if part.status is PartStatus.HELD and all(each and each.ended for each in before):
                return f"part {part.name} is held for nothing"
        waits = any(not each.ended for each in bundle.parts)
        results = any(each.status is PartStatus.GRANTED and not each.issued for each in bundle.parts)
        if waits or (bundle.answer == "broker" and results):
            return None  # its parts are cases too, and are looked at by themselves
    key = (
        *(
            state.status,
            state.fee,
            state.rating,
            state.deemed,
            state.clock is None,
            state.mode,
            state.granted,
        ),
        None if bundle is None else (bundle.answer, tuple(each.status for each in bundle.parts)),
    )
    if key not in _FOUND:
        _FOUND[key] = _leads_to_an_end(state, terms, now)
    return None if _FOUND[key] else "has no next step that leads to an end"


def _leads_to_an_end(state: CaseState, terms: Terms, now: datetime) -> bool:
    """Breadth first: what stands in the same place was looked at."""
    waiting, seen = [state], {_place(state)}
    for each in waiting:
        if each.status in ENDS or _its_parts_begin(each):
            return True
        for following in _following(each, terms, now):
            if _place(following) not in seen:
                seen.add(_place(following))
                waiting.append(following)
    return False


def _following(state: CaseState, terms: Terms, now: datetime) -> Iterator[CaseState]:
    for role in (Role.RESPONSIBLE, Role.OPENING):
        for type_ in allowed(state, role):
            if type_ in NO_WAY:
                continue
            for facts in _words(state, type_, now):
                answer = advance(state, _message(state, role, type_, now), now, facts, terms)
                if isinstance(answer, Advanced) and answer.state is not None:
                    yield answer.state


def _its_parts_begin(state: CaseState) -> bool:
    """The lead has accepted: from here on the case waits for its parts, which are looked at by themselves."""
    return state.status is Status.ACCEPTED and state.bundle is not None and not state.bundle.begun


def _place(state: CaseState) -> tuple[object, ...]:
    return (state.status, state.fee, state.granted)


def _words(state: CaseState, type_: str, now: datetime) -> list[dict[str, object]]:
    facts = good(type_, None, now)
    if type_ == "fee.paid":
        facts |= {"notice_number": state.fee_notice, "amount_fen": state.fee_fen}
    if type_ == "case.delivered":
        facts |= {"courier_number": state.courier}
    if type_ == "case.decided":
        return [facts, facts | {"outcome": "denied", "reason": "不符合条件"}]
    return [facts]


def _message(state: CaseState, role: Role, type_: str, now: datetime) -> Message:
    opening: str = state.opening
    responsible: str = state.responsible
    source, to = (opening, responsible) if role is Role.OPENING else (responsible, opening)
    return Message(
        id=MessageId("way"),
        source=Party(source),
        type=type_,
        case=state.case,
        destination=Party(to),
        time=now,
        message_class=MessageClass.RESPONSE,
        digest="",
        dataschema="",
        value=b"",
    )
