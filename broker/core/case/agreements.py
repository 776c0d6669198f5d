"""May this case travel between these two partners? The directory in force answers, never the case's state.

Source: contract, "Directory"; 国办发〔2020〕35号 (handling modes).
"""

from __future__ import annotations

from datetime import date

from broker.core.case.guards import NO_FACTS, Facts
from broker.core.case.lifecycle import MESSAGE_TYPES, CaseState
from broker.core.catalogue.directory import Agreement, Directory
from broker.core.ids import BROKER, PartnerId, Party, place
from broker.core.message import Message, as_partner, is_partner
from broker.core.problems import Refusal

COMPLAINT = "complaint.filed"


def check(
    directory: Directory,
    message: Message,
    state: CaseState | None,
    day: date,
    facts: Facts = NO_FACTS,
) -> Refusal | None:
    """Whether the directory lets this message travel on ``day`` (Asia/Shanghai's). None: it does.

    Codes: ``partner-unknown`` for any message; ``item-unknown`` and ``agreement-missing`` only for one that
    opens a case, so that what began under an agreement is finished when the agreement has ended. A message
    for a case that exists (``state``) opens none: the life cycle answers it. A complaint needs known
    partners only: it must be possible after the agreement that it is about. ``agreement-missing`` carries
    what the two have agreed now: ``allowed`` (``<name> <mode>``) and ``items`` (``<code> <name>``).
    A part of a bundle needs no agreement of its own; of a joint case along a route (``facts``: ``route``) the
    lead must have one with each authority of another place.
    """
    refusal = _known(directory, message.source, "sender") or _known(
        directory, message.destination, "destination"
    )
    rule = MESSAGE_TYPES.get(message.type)
    if refusal is not None or state is not None or rule is None or not rule.opens or message.part_of:
        return refusal
    if message.type == COMPLAINT and message.item is None:
        return None
    if message.item is None:
        return Refusal(code="item-unknown", detail="a message that opens a case names its item")
    if message.item not in directory.items:
        return Refusal(code="item-unknown", detail="the directory has no such item")
    if message.type == COMPLAINT:
        return None
    return _covered(directory, message, day) or _along_the_route(directory, message, day, facts)


def _known(directory: Directory, party: Party, which: str) -> Refusal | None:
    if party == BROKER or PartnerId(party) in directory.partners:
        return None
    return Refusal(code="partner-unknown", detail=f"the {which} {party} is not in the directory")


def _covered(directory: Directory, message: Message, day: date) -> Refusal | None:
    agreement = None
    if is_partner(message.source) and is_partner(message.destination):
        agreement = directory.agreement(as_partner(message.source), as_partner(message.destination))
    if agreement is None:
        return _missing(directory, message, None, day, "have no agreement")
    if day < agreement.since:
        return _missing(
            directory, message, None, day, f"have an agreement that is in force from {agreement.since}"
        )
    if not agreement.in_force(day):
        return _missing(directory, message, None, day, f"had an agreement until {agreement.until}")
    if not directory.covers(agreement, message.item or ""):
        return _missing(
            directory, message, agreement, day, f"have not agreed on {_named(directory, message.item)}"
        )
    if message.mode not in agreement.modes:
        mode = f"in mode {message.mode}" if message.mode else "without a mode"
        return _missing(
            directory, message, agreement, day, f"have not agreed on {_named(directory, message.item)} {mode}"
        )
    return None


def _along_the_route(directory: Directory, message: Message, day: date, facts: Facts) -> Refusal | None:
    """Whether the lead of a joint case has agreed with every authority that the route names (多地联办)."""
    bundle = directory.bundles.get(message.item or "")
    named = facts.get("route")
    if bundle is None or bundle.route_item is None or not isinstance(named, list | tuple):
        return None
    for each in named:
        authority = PartnerId(str(each))
        if authority not in directory.partners or place(authority) == place(bundle.lead):
            continue
        agreement = directory.agreement(bundle.lead, authority)
        if agreement is None or not agreement.in_force(day) or bundle.route_item not in agreement.items:
            item = _named(directory, bundle.route_item)
            return _missing(directory, message, agreement, day, f"need an agreement of {authority} on {item}")
    return None


def _missing(
    directory: Directory, message: Message, agreement: Agreement | None, day: date, why: str
) -> Refusal:
    facts: tuple[tuple[str, str | tuple[str, ...]], ...] = (("allowed", ()), ("items", ()))
    if agreement is not None:
        items = [directory.items[code] for code in agreement.items]
        facts = (
            ("allowed", tuple(f"{item.name} {mode}" for item in items for mode in agreement.modes)),
            ("items", tuple(f"{item.code} {item.name}" for item in items)),
        )
    detail = f"{message.source} and {message.destination} {why} (on {day})"
    return Refusal(code="agreement-missing", detail=detail, facts=facts)


def _named(directory: Directory, code: str | None) -> str:
    item = directory.items.get(code or "")
    return f"{item.name} ({item.code})" if item else "no item"
