"""The life cycle's refusals: each names state, event, role and the article of law, and what is allowed instead."""

from __future__ import annotations

from functools import cache

from broker.core.case import guards
from broker.core.case.case_state import CaseState, Fee, Rating, Status
from broker.core.case.guards import Objection
from broker.core.case.transitions import TRANSITIONS, Role, TypeRule
from broker.core.ids import Party, opening_partner
from broker.core.message import Message, Mode
from broker.core.problems import Refusal


def allowed(state: CaseState | None, role: Role) -> tuple[str, ...]:
    """The message types that ``role`` may say now, in the table's order. ``state`` None: no case yet.

    What a guard would refuse whatever it said is not among them; what depends on the words themselves (a decision
    that is granted or denied, a payment's amount) is.
    """
    if state is None:
        return _by_table(None, Fee.NONE, Rating.NONE, role)
    return tuple(
        each
        for each in _by_table(state.status, state.fee, state.rating, role)
        if not guards.bars(each, state)
    )


@cache  # bounded: statuses x fee states x rating states x roles
def _by_table(status: Status | None, fee: Fee, rating: Rating, role: Role) -> tuple[str, ...]:
    return tuple(
        rule.name
        for rule in TRANSITIONS
        if role in rule.says
        and (rule.of_the_road or (rule.opens if status is None else rule.fits(status, fee, rating)))
    )


def illegal(state: CaseState, rule: TypeRule, role: Role) -> Refusal:
    code, law = "transition-illegal", rule.law
    if role not in rule.says:
        why = f"{rule.name} is said by {speakers(rule)}; the sender is this case's {role} partner"
        if role is Role.OPENING and state.mode == Mode.COLLECTED and Role.RESPONSIBLE in rule.says:
            code, law = "collector-decides", "国办发〔2020〕35号"
            why += "; who collects checks identity and form, and never decides (收受分离)"
    elif state.status not in rule.since:
        why = f"a case that is {state.status} does not take {rule.name}"
    elif rule.fee_since is not None and state.fee not in rule.fee_since:
        why = f"{rule.name} does not follow a fee that is {state.fee}"
        if rule.fee_to is Fee.REQUESTED:
            code = "charged-twice"
    else:
        why = f"{rule.name} does not follow a rating that is {state.rating}"
    return Refusal(code=code, detail=with_law(why, law), facts=facts_of(state, rule, role, law))


def objected(state: CaseState, rule: TypeRule, role: Role, objection: Objection) -> Refusal:
    law = objection.law or rule.law
    detail = with_law(objection.detail, law)
    return Refusal(code=objection.code, detail=detail, facts=facts_of(state, rule, role, law))


def other_fee(state: CaseState, rule: TypeRule, role: Role) -> Refusal:
    detail = f"fee.paid answers another request than the open one, {state.fee_request}"
    return Refusal(code="fee-mismatch", detail=with_law(detail, rule.law), facts=facts_of(state, rule, role))


def stranger(message: Message) -> Refusal:
    """The sender has no such case. To any but its opener, another's case and a missing one look the same."""
    if message.source == Party(opening_partner(message.case)):
        return Refusal(code="case-unknown", detail=f"no case {message.case} was opened before {message.type}")
    detail = "the sender is neither the opening nor the responsible partner of a case with this id"
    return Refusal(code="party-not-involved", detail=detail)


def astray(role: Role) -> Refusal:
    other = "responsible" if role is Role.OPENING else "opening"
    return Refusal(code="party-not-involved", detail=f"the destination is not the case's {other} partner")


def facts_of(
    state: CaseState | None, rule: TypeRule, role: Role, law: str | None = None
) -> tuple[tuple[str, str | tuple[str, ...]], ...]:
    return (
        ("state", state.status if state else "none"),
        ("event", rule.name),
        ("role", role.value),
        ("allowed", allowed(state, role)),
        ("law", law or rule.law or ""),
    )


def with_law(why: str, law: str | None) -> str:
    return f"{why} ({law})" if law else why


def speakers(rule: TypeRule) -> str:
    return " or ".join(sorted(rule.says))
