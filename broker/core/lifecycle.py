"""The life cycle of a case: ``advance(state, message, now) -> Advanced | Refusal``. All rules stand in one table.

Source: contract, "Message types"; the table itself is :mod:`broker.core.transitions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache

from broker.core.case_state import ENDS, CaseState, Fee, Rating, Status
from broker.core.ids import BROKER, PartnerId, Party, opening_partner
from broker.core.lifecycle_docs import lifecycle_diagram, lifecycle_table
from broker.core.message import Message, as_partner, is_partner
from broker.core.problems import Refusal
from broker.core.transitions import MESSAGE_TYPES, TRANSITIONS, Role, TypeRule

__all__ = [
    "ENDS",
    "MESSAGE_TYPES",
    "TRANSITIONS",
    "Advanced",
    "CaseState",
    "Command",
    "Fee",
    "Rating",
    "Role",
    "Route",
    "Status",
    "TypeRule",
    "advance",
    "allowed",
    "lifecycle_diagram",
    "lifecycle_table",
    "role_of",
]


@dataclass(frozen=True, slots=True)
class Route:
    """Bring the message to this partner."""

    to: PartnerId


Command = Route
"""What the shell is to do. One kind so far; a bundle will add others."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """The message stands. ``state`` is None only for the broker's word on a case that was never opened."""

    state: CaseState | None
    commands: tuple[Command, ...]


def advance(state: CaseState | None, message: Message, now: datetime) -> Advanced | Refusal:
    """What ``message`` makes of the case, at ``now`` (aware: the ledger record's own time).

    A refusal leaves the case as it was. Its codes: ``type-unknown``; ``case-unknown`` and ``case-exists``,
    told to the partner whose id the case id begins with; ``party-not-involved`` to everyone else; and
    ``transition-illegal`` with the facts ``state``, ``role`` and ``allowed`` (the types that this role may
    say now). What the broker and operators say moves no case; it is only routed.
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
        return _said_by_broker(state, message, rule)
    if rule.opens:
        return _opened(state, message, rule, now)
    role = role_of(state, message.source) if state is not None else None
    if state is None or role is None:
        return _stranger(message)
    return _said_by_partner(state, message, rule, role, now)


def role_of(state: CaseState, source: Party) -> Role | None:
    """The role in which ``source`` speaks on this case; None: it is not a party to it.

    An authority within a place (``350206-minzheng``) is a partner of its own, not its place's.
    """
    opening: str = state.opening
    responsible: str = state.responsible
    if source == opening:
        return Role.OPENING
    if source == responsible:
        return Role.RESPONSIBLE
    return Role.BROKER if source == BROKER else None


def allowed(state: CaseState | None, role: Role) -> tuple[str, ...]:
    """The message types that ``role`` may say now, in the table's order. ``state`` None: no case yet."""
    if state is None:
        return _allowed(None, Fee.NONE, Rating.NONE, role)
    return _allowed(state.status, state.fee, state.rating, role)


@cache  # bounded: statuses x fee states x rating states x roles
def _allowed(status: Status | None, fee: Fee, rating: Rating, role: Role) -> tuple[str, ...]:
    return tuple(
        rule.name
        for rule in TRANSITIONS
        if role in rule.says
        and (rule.of_the_road or (rule.opens if status is None else rule.fits(status, fee, rating)))
    )


@lru_cache(maxsize=4096)  # partners are few and cases many
def _route(to: PartnerId) -> tuple[Command, ...]:
    return (Route(to),)


def _said_by_broker(state: CaseState | None, message: Message, rule: TypeRule) -> Advanced | Refusal:
    if not rule.of_the_road:
        return Refusal(
            code="transition-illegal",
            detail=f"{rule.name} is said by {_speakers(rule)}, never by the broker",
            facts=_facts(state, Role.BROKER),
        )
    destination = message.destination
    return Advanced(state, _route(as_partner(destination)) if is_partner(destination) else ())


def _said_by_partner(
    state: CaseState, message: Message, rule: TypeRule, role: Role, now: datetime
) -> Advanced | Refusal:
    if role not in rule.says or not rule.fits(state.status, state.fee, state.rating):
        return _illegal(state, rule, role)
    other = state.responsible if role is Role.OPENING else state.opening
    to: str = other
    if message.destination != to:
        return _astray(role)
    if rule.fee_to is Fee.PAID and message.correlation not in (None, state.fee_request):
        return _other_fee(state, role)
    return Advanced(_moved(state, message, rule, now), _route(other))


def _opened(state: CaseState | None, message: Message, rule: TypeRule, now: datetime) -> Advanced | Refusal:
    opening = opening_partner(message.case)
    if message.source != Party(opening):
        return _stranger(message)
    if state is not None:
        return Refusal(code="case-exists", detail=f"the case was opened before and is now {state.status}")
    if not is_partner(message.destination) or message.destination == message.source:
        return _astray(Role.OPENING)
    assert rule.to is not None, "the table says which status an opening message leads to"
    responsible = as_partner(message.destination)
    opened = CaseState(
        case=message.case,
        opening=opening,
        responsible=responsible,
        item=message.item or "",
        mode=message.mode or "",
        status=rule.to,
        opened_at=now,
        updated_at=now,
    )
    return Advanced(opened, _route(responsible))


def _moved(state: CaseState, message: Message, rule: TypeRule, now: datetime) -> CaseState:
    """The state after an allowed message. Spelt out: ``dataclasses.replace`` costs twice as much."""
    status = rule.to or state.status
    return CaseState(
        case=state.case,
        opening=state.opening,
        responsible=state.responsible,
        item=state.item,
        mode=state.mode,
        status=status,
        opened_at=state.opened_at,
        updated_at=now,
        fee=rule.fee_to or state.fee,
        fee_request=message.name if rule.fee_to is Fee.REQUESTED else state.fee_request,
        rating=rule.rating_to or state.rating,
        supplements=state.supplements + (rule.to is Status.SUPPLEMENT_REQUESTED),
        revision=state.revision + 1,
        accepted_at=now if status is Status.ACCEPTED and state.accepted_at is None else state.accepted_at,
        decided_at=now if status is Status.DECIDED and state.decided_at is None else state.decided_at,
        ended_at=now if status in ENDS and state.ended_at is None else state.ended_at,
    )


def _illegal(state: CaseState, rule: TypeRule, role: Role) -> Refusal:
    if role not in rule.says:
        why = f"{rule.name} is said by {_speakers(rule)}; the sender is this case's {role} partner"
    elif state.status not in rule.since:
        why = f"a case that is {state.status} does not take {rule.name}"
    elif rule.fee_since is not None and state.fee not in rule.fee_since:
        why = f"{rule.name} does not follow a fee that is {state.fee}"
    else:
        why = f"{rule.name} does not follow a rating that is {state.rating}"
    detail = f"{why} ({rule.law})" if rule.law else why
    return Refusal(code="transition-illegal", detail=detail, facts=_facts(state, role))


def _other_fee(state: CaseState, role: Role) -> Refusal:
    detail = f"fee.paid answers another request than the open one, {state.fee_request}"
    return Refusal(code="transition-illegal", detail=detail, facts=_facts(state, role))


def _stranger(message: Message) -> Refusal:
    """The sender has no such case. To any but its opener, another's case and a missing one look the same."""
    if message.source == Party(opening_partner(message.case)):
        return Refusal(code="case-unknown", detail=f"no case {message.case} was opened before {message.type}")
    detail = "the sender is neither the opening nor the responsible partner of a case with this id"
    return Refusal(code="party-not-involved", detail=detail)


def _astray(role: Role) -> Refusal:
    other = "responsible" if role is Role.OPENING else "opening"
    return Refusal(code="party-not-involved", detail=f"the destination is not the case's {other} partner")


def _facts(state: CaseState | None, role: Role) -> tuple[tuple[str, str | tuple[str, ...]], ...]:
    return (
        ("state", state.status if state else "none"),
        ("role", role.value),
        ("allowed", allowed(state, role)),
    )


def _speakers(rule: TypeRule) -> str:
    return " or ".join(sorted(rule.says))
