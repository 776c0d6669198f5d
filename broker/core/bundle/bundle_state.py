"""The parts of one bundle's case, and where each stands; for the state's JSON. See :mod:`broker.core.bundle.bundles`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

from broker.core.ids import PartnerId


class PartStatus(StrEnum):
    """Where a part stands. ``VOID``: never opened, because a part before it was not granted or all was withdrawn."""

    HELD = "held"
    OPEN = "open"
    GRANTED = "granted"
    DENIED = "denied"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    VOID = "void"


ENDED: Final = frozenset(PartStatus) - {PartStatus.HELD, PartStatus.OPEN}
"""Statuses that a part never leaves."""

TAKEN_BACK: Final = frozenset({PartStatus.WITHDRAWN, PartStatus.VOID})
"""Ended without an authority's word."""


class Paper(NamedTuple):
    """One document of a part's result, by digest: what ``case.result-issued`` says of it in clear."""

    title: str
    media_type: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartState:
    """One part. ``after``: names of the parts that must be granted first. ``told``: its end was said on the parent.

    ``issued_at`` is the ledger's time of its result. ``reason`` and ``legal_basis`` are kept of parts that were not
    granted; ``papers`` until the whole's result is out.
    """

    name: str
    item: str
    authority: PartnerId
    after: tuple[str, ...] = ()
    status: PartStatus = PartStatus.HELD
    accepted: bool = False
    told: bool = False
    reason: str = ""
    legal_basis: str = ""
    issued_at: datetime | None = None
    papers: tuple[Paper, ...] = ()
    courier_company: str = ""
    courier_number: str = ""
    licence_name: str = ""
    licence_number: str = ""

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def issued(self) -> bool:
        return self.issued_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleState:
    """The parts of one parent, in the directory's order (along a route: in the route's).

    ``begun``: parts may be opened (answer ``broker``: with the submission; ``lead``: when the lead has accepted).
    ``submission`` is ``<source>/<id>`` of the parent's submission and ``partition``, ``offset`` its place on the ledger:
    parts that open later are copies of it. ``accepted``: that the whole is accepted was said; ``answered``: the answer was
    given, or the whole withdrawn; ``issued``: the joined result is out.
    """

    code: str
    answer: Literal["broker", "lead"]
    parts: tuple[PartState, ...]
    begun: bool = False
    accepted: bool = False
    submission: str = ""
    partition: int = -1
    offset: int = -1
    answered: bool = False
    issued: bool = False

    def part(self, name: str) -> PartState | None:
        """The part of this name."""
        return next((each for each in self.parts if each.name == name), None)


def each_part(bundle: BundleState, change: Callable[[PartState], PartState]) -> BundleState:
    """The bundle with ``change`` made to each part; the same one when nothing changes."""
    parts = tuple(change(each) for each in bundle.parts)
    return bundle if parts == bundle.parts else replace(bundle, parts=parts)


def to_facts(bundle: BundleState) -> dict[str, object]:
    """For the state's JSON: what is as at the beginning is left out."""
    facts = _facts(bundle, _BUNDLE_FIELDS)
    facts["parts"] = [_part_facts(each) for each in bundle.parts]
    return facts


def from_facts(facts: Mapping[str, Any]) -> BundleState:
    """The inverse of :func:`to_facts`. Raises KeyError, TypeError or ValueError for what is none."""
    return BundleState(**{**facts, "parts": tuple(_part_from(each) for each in facts["parts"])})


def _facts(of: BundleState | PartState, defaults: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, default in defaults.items() if (value := getattr(of, name)) != default}


def _part_facts(part: PartState) -> dict[str, object]:
    facts = _facts(part, _PART_FIELDS)
    if part.papers:
        facts["papers"] = [list(each) for each in part.papers]
    return facts


def _part_from(facts: Mapping[str, Any]) -> PartState:
    read = dict(facts)
    read["after"] = tuple(facts.get("after", ()))
    read["status"] = PartStatus(facts.get("status", PartStatus.HELD))
    read["papers"] = tuple(Paper(*each) for each in facts.get("papers", ()))
    if "issued_at" in facts:
        read["issued_at"] = datetime.fromisoformat(facts["issued_at"])
    return PartState(**read)


_BUNDLE_FIELDS: Final = {each.name: each.default for each in fields(BundleState)}
_PART_FIELDS: Final = {each.name: each.default for each in fields(PartState)}
