"""The life cycle of a case: ``advance(state, message, now, facts, terms) -> Advanced | Refusal``.

Who may say what when stands in one table (:mod:`broker.core.case.transitions`), what a message must also satisfy in
another (:mod:`broker.core.case.guards`), what it changes beyond the states in a third (:mod:`broker.core.case.effects`).
Source: contract, "Message types".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from broker.core.bundle import bundles
from broker.core.case import effects, guards
from broker.core.case.advanced import Advanced, Command, Forward, Route, advanced, route
from broker.core.case.case_state import ENDS, CaseState, Fee, Rating, Status, evolve
from broker.core.case.effects import Said, make_said
from broker.core.case.guards import NO_FACTS, Facts
from broker.core.case.lifecycle_docs import lifecycle_diagram, lifecycle_table
from broker.core.case.opening import opened
from broker.core.case.refusals import (
    allowed,
    astray,
    facts_of,
    illegal,
    objected,
    other_fee,
    speakers,
    stranger,
)
from broker.core.case.terms import NO_TERMS, Terms
from broker.core.case.transitions import JOINED, MESSAGE_TYPES, TOLD_BY_STEPS, TRANSITIONS, Role, TypeRule
from broker.core.ids import BROKER, PartnerId, Party
from broker.core.message import Message, as_partner, is_partner
from broker.core.problems import Refusal

__all__ = [
    "ENDS",
    "MESSAGE_TYPES",
    "NO_FACTS",
    "NO_TERMS",
    "TRANSITIONS",
    "Advanced",
    "CaseState",
    "Command",
    "Facts",
    "Fee",
    "Forward",
    "Rating",
    "Role",
    "Route",
    "Status",
    "Terms",
    "TypeRule",
    "advance",
    "allowed",
    "lifecycle_diagram",
    "lifecycle_table",
    "role_of",
]

# An enum's member, looked up by its class, costs 0.1 µs on Python 3.11: these are compared for every message.
_OPENING: Final = Role.OPENING
_RESPONSIBLE: Final = Role.RESPONSIBLE
_TREASURY: Final = Role.TREASURY
_PAID: Final = Fee.PAID
_WITHDRAWN: Final = Status.WITHDRAWN


def advance(
    state: CaseState | None,
    message: Message,
    now: datetime,
    facts: Facts = NO_FACTS,
    terms: Terms = NO_TERMS,
) -> Advanced | Refusal:
    """What ``message`` makes of the case, at ``now`` (aware: the ledger record's own time).

    ``facts`` are the clear fields of its value, ``terms`` those that the case was opened under.
    A refusal leaves the case as it was. Its codes: ``type-unknown``; ``case-unknown`` and ``case-exists``,
    told to the partner whose id the case id begins with; ``party-not-involved`` to everyone else; those of the
    guards; and ``transition-illegal``. Those of a case that is there carry the facts ``state``, ``role``,
    ``event``, ``allowed`` (the types that this role may say now) and ``law``.
    What the broker and operators say moves no case but a bundle's parent, for which the broker answers.
    Raises ValueError for a ``now`` without a time zone.
    """
    if now.tzinfo is not UTC:
        if now.tzinfo is None:
            raise ValueError("a datetime without a time zone")
        now = now.astimezone(UTC)
    rule = MESSAGE_TYPES.get(message.type)
    if rule is None:
        return Refusal(code="type-unknown", detail=f"{message.type} is not a message type")
    if message.source == BROKER:
        return _said_by_broker(state, message, rule, now, facts, terms)
    if rule.opens:
        return opened(state, message, rule, now, facts, terms)
    role = role_of(state, message.source, treasury=terms.treasury) if state is not None else None
    if state is None or role is None:
        return stranger(message)
    return _said_by_partner(state, message, rule, role, now, facts, terms)


def role_of(state: CaseState, source: Party, *, treasury: bool = False) -> Role | None:
    """The role in which ``source`` speaks on this case; None: it is not a party to it.

    An authority within a place (``350206-minzheng``) is a partner of its own, not its place's. ``treasury``:
    the directory says that the source takes in the responsible partner's fees.
    """
    opening: str = state.opening
    responsible: str = state.responsible
    if source == opening:
        return _OPENING
    if source == responsible:
        return _RESPONSIBLE
    if source == BROKER:
        return Role.BROKER
    return _TREASURY if treasury else None


def _said_by_broker(
    state: CaseState | None, message: Message, rule: TypeRule, now: datetime, facts: Facts, terms: Terms
) -> Advanced | Refusal:
    destination = message.destination
    routes = route(as_partner(destination)) if is_partner(destination) else ()
    if rule.of_the_road:
        return advanced(state, routes)
    if state is not None and state.bundle is not None and rule.name in JOINED:
        if not rule.fits(state.status, state.fee, state.rating):
            return illegal(state, rule, Role.BROKER)
        return advanced(_moved(make_said(state, message, facts, terms, now), rule), routes)
    return Refusal(
        code="transition-illegal",
        detail=f"{rule.name} is said by {speakers(rule)}, never by the broker",
        facts=facts_of(state, rule, Role.BROKER),
    )


def _said_by_partner(
    state: CaseState,
    message: Message,
    rule: TypeRule,
    role: Role,
    now: datetime,
    facts: Facts,
    terms: Terms,
) -> Advanced | Refusal:
    if role not in rule.says or not rule.fits(state.status, state.fee, state.rating):
        return illegal(state, rule, role)
    other = state.opening if role is _RESPONSIBLE else state.responsible
    to: str = other
    if message.destination != to:
        return astray(role)
    if rule.fee_to is _PAID and message.correlation not in (None, state.fee_request):
        return other_fee(state, rule, role)
    for guard in guards.BY_TYPE.get(rule.name, ()):
        objection = guard(state, facts)
        if objection is not None:
            return objected(state, rule, role, objection)
    return advanced(
        _moved(make_said(state, message, facts, terms, now), rule), _routes(state, message, role, other)
    )


def _routes(state: CaseState, message: Message, role: Role, other: PartnerId) -> tuple[Command, ...]:
    """Whom a message is brought to. How far an authority is with its part, the broker tells on the parent."""
    if role is _TREASURY:
        return (Route(state.opening), Route(state.responsible))
    if state.part_of is not None and role is _RESPONSIBLE and message.type in TOLD_BY_STEPS:
        return ()
    return route(other)


def _moved(said: Said, rule: TypeRule) -> CaseState:
    """The state after an allowed message: what its row of the table says, and over it what its effect says."""
    state, now = said.state, said.now
    changes = {"updated_at": now, "revision": state.revision + 1, **_BY_TABLE[rule.name]}
    if rule.name in _ENDING:
        changes["ended_at"] = now
    if state.bundle is not None and rule.to is _WITHDRAWN:
        changes["bundle"], ends = bundles.withdraw(state.bundle)
        if not ends:  # the answer is joined of what was granted before
            del changes["status"], changes["ended_at"]
    effect = effects.EFFECTS.get(rule.name)
    if effect is not None:
        changes |= effect(said)
    return evolve(state, changes)


_BY_TABLE: Final[Mapping[str, Mapping[str, object]]] = {
    rule.name: {
        field: to
        for field, to in (("status", rule.to), ("fee", rule.fee_to), ("rating", rule.rating_to))
        if to is not None
    }
    for rule in TRANSITIONS
}
"""What each message type sets by its row of the table, whatever the case."""
_ENDING: Final = frozenset(rule.name for rule in TRANSITIONS if rule.to in ENDS)
