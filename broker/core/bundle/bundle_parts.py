"""The parts that a case of a bundle has, before any of them is opened. See :mod:`broker.core.bundle.bundles`."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence
from typing import Final

from broker.core.bundle.bundle_state import BundleState, PartState
from broker.core.catalogue.items import Bundle
from broker.core.ids import (
    LONGEST_PARENT,
    PART_MARK,
    CaseId,
    InvalidId,
    PartnerId,
    opening_partner,
    partner_id,
)
from broker.core.problems import FieldError, Refusal

_MOST_NAME: Final = 24


def expand(
    bundle: Bundle,
    route: Sequence[str] = (),
    *,
    case: CaseId | None = None,
    partners: Container[PartnerId] | None = None,
) -> BundleState | Refusal:
    """The parts of a case of ``bundle``, all held; or why there can be none.

    Along a route, one part for each authority of ``route``, named after it. Refusals: ``event-invalid`` (a case number
    that leaves no room for the parts' names, a route that is missing or names one authority twice, an authority that is
    the opening partner itself) and ``partner-unknown`` (an authority that is not among ``partners``). Without ``case``
    or ``partners``, these are not looked at.
    """
    refusal = None if case is None else unfit(case)
    if refusal is not None:
        return refusal
    parts = [
        PartState(name=each.name, item=each.item, authority=each.authority, after=each.after)
        for each in bundle.parts
    ]
    if bundle.route_item is not None:
        along = _along(route, bundle.route_item)
        if isinstance(along, Refusal):
            return along
        parts += along
    refusal = _unreachable(parts, case, partners)
    return refusal or BundleState(code=bundle.code, answer=bundle.answer, parts=tuple(parts))


def unfit(case: CaseId) -> Refusal | None:
    """Why a bundle cannot have this case id: its parts' ids are made of it."""
    number = case.partition("/")[2]
    if len(number) <= LONGEST_PARENT and PART_MARK not in number:
        return None
    expected = (
        f"a case number of at most {LONGEST_PARENT} characters without {PART_MARK!r}, for a case with parts"
    )
    return _invalid("/subject", expected, "the parts of this case could not be named")


def _along(route: Sequence[str], item: str) -> list[PartState] | Refusal:
    if not route:
        expected = "the partner ids of the authorities along the route, in its order"
        return _invalid("/data/route", expected, "a joint case along a route names the authorities on it")
    parts: list[PartState] = []
    for index, each in enumerate(route):
        try:
            authority = partner_id(each)
        except InvalidId as fault:
            return _invalid(f"/data/route/{index}", fault.expected, "the route names what is no partner")
        if any(part.authority == authority for part in parts):
            return _invalid(
                f"/data/route/{index}", "each authority once", "the route names an authority twice"
            )
        parts.append(PartState(name=_name_of(authority), item=item, authority=authority))
    return parts


def _name_of(authority: PartnerId) -> str:
    """A part's name from its authority's id; of one that is too long, the beginning and eight digits of its SHA-256."""
    if len(authority) <= _MOST_NAME:
        return authority
    digits = hashlib.sha256(authority.encode()).hexdigest()[:8]
    return f"{authority[: _MOST_NAME - 9]}-{digits}"


def _unreachable(
    parts: Sequence[PartState], case: CaseId | None, partners: Container[PartnerId] | None
) -> Refusal | None:
    if not parts:
        return Refusal(code="event-invalid", detail="a case of this item has no parts")
    for part in parts:
        if partners is not None and part.authority not in partners:
            detail = f"the authority {part.authority} of part {part.name} is not in the directory"
            return Refusal(code="partner-unknown", detail=detail)
        if case is not None and part.authority == opening_partner(case):
            expected = "an opening partner that is none of the authorities"
            detail = f"part {part.name} would be opened by its own authority"
            return _invalid("/source", expected, detail)
    return None


def _invalid(pointer: str, expected: str, detail: str) -> Refusal:
    return Refusal(
        code="event-invalid", detail=detail, errors=(FieldError(pointer=pointer, expected=expected),)
    )
