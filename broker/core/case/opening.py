"""The message that opens a case: an application, a part of a bundle, a complaint."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from broker.core.bundle import bundles
from broker.core.bundle.bundles import BundleState
from broker.core.case import effects, guards
from broker.core.case.advanced import Advanced, Forward, advanced, route
from broker.core.case.case_state import CaseState, evolve
from broker.core.case.effects import Changes
from broker.core.case.guards import Facts
from broker.core.case.refusals import astray, stranger, with_law
from broker.core.case.terms import Terms
from broker.core.case.transitions import Role, TypeRule
from broker.core.catalogue.items import Bundle
from broker.core.ids import BROKER, CaseId, MessageId, Party, derived_id, opening_partner, split_part
from broker.core.message import Message, as_partner, is_partner
from broker.core.problems import Refusal
from broker.core.quick import quick

COMPLAINT: Final = "complaint.filed"
SUBMITTED: Final = "case.submitted"


def opened(
    state: CaseState | None, message: Message, rule: TypeRule, now: datetime, facts: Facts, terms: Terms
) -> Advanced | Refusal:
    opening = opening_partner(message.case)
    if message.source != Party(opening):
        return stranger(message)
    if state is not None:
        return Refusal(code="case-exists", detail=f"the case was opened before and is now {state.status}")
    if message.type == COMPLAINT and message.destination == BROKER:
        return _forwarded(facts)
    if not is_partner(message.destination) or message.destination == message.source:
        return astray(Role.OPENING)
    changes = _first_facts(message, facts, terms, now)
    if isinstance(changes, Refusal):
        return changes
    assert rule.to is not None, "the table says which status an opening message leads to"
    responsible = as_partner(message.destination)
    state = _case_state(
        case=message.case,
        opening=opening,
        responsible=responsible,
        item=message.item or "",
        mode=message.mode or "",
        status=rule.to,
        opened_at=now,
        updated_at=now,
        directory=terms.version,
    )
    return advanced(evolve(state, changes) if changes else state, route(responsible))


_case_state: Final = quick(CaseState)


def _first_facts(message: Message, facts: Facts, terms: Terms, now: datetime) -> Changes | Refusal:
    """What the opening message says of the case: whose part it is, or of which parts it consists."""
    objection = guards.agent_unauthorised(facts)
    if objection is not None:
        return Refusal(code=objection.code, detail=with_law(objection.detail, objection.law))
    changes = effects.opened(message, facts, terms, now)
    part = split_part(message.case) if message.part_of is not None else None
    if part is not None:
        changes["part_of"] = part[0]
    elif terms.bundle is not None and message.type == SUBMITTED:
        expanded = _expanded(terms.bundle, message, facts, terms)
        if isinstance(expanded, Refusal):
            return expanded
        changes["bundle"] = expanded
    return changes


def _expanded(bundle: Bundle, message: Message, facts: Facts, terms: Terms) -> BundleState | Refusal:
    if message.destination != Party(bundle.lead):
        return Refusal(
            code="party-not-involved", detail=f"{bundle.name} is applied for at its lead, {bundle.lead}"
        )
    route = facts.get("route")
    named = tuple(str(each) for each in route) if isinstance(route, list | tuple) else ()
    return bundles.expand(bundle, named, case=message.case, partners=terms.partners)


def forwarded_id(name: str) -> MessageId:
    """The id of the copy by which the broker brings the complaint ``<source>/<id>`` to whoever is to answer it."""
    return derived_id("q", name)


def _forwarded(facts: Facts) -> Advanced | Refusal:
    about = facts.get("about_case")
    if facts and about is None:
        detail = (
            "a complaint to the broker names the case that it is about, or goes to the partner responsible"
        )
        return Refusal(code="complaint-unaddressed", detail=detail)
    return advanced(None, (Forward(CaseId(str(about))),) if about else ())
