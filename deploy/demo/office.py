"""The city's own office: its state machine and its code table. Pure: no clock, no network, no file.

What the exchange calls ``case.accepted`` one city files as ``SL`` and the next as ``3``: there is no national
code set, so each office keeps its own and translates at its door. How the office works on an item is one
table below: standing here and hearing this, it says that and stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from deploy.demo.events import Event
from deploy.demo.records import CaseRow


class Role(StrEnum):
    """Which side of a case a city is on."""

    OPENING = "opening"
    """收件地: took the application in."""
    RESPONSIBLE = "responsible"
    """业务属地: decides."""


class Procedure(StrEnum):
    """How a responsible office handles an item."""

    SUPPLEMENT = "supplement"
    """Asks once for what is missing (一次性告知), then decides."""
    REVIEW = "review"
    """Accepts, reviews, decides."""
    INSTANT = "instant"
    """秒批: rules decide within seconds."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What the office says when it hears something, and where the case then stands."""

    then: str
    says: tuple[str, ...] = ()


NEW: Final = "new"
_RESULT = ("case.step-completed", "case.decided", "case.result-issued")

_OPENING: Final[Mapping[tuple[str, str], Rule]] = {
    ("submitted", "case.supplement-requested"): Rule("supplemented", ("case.supplemented",)),
    ("submitted", "case.accepted"): Rule("accepted"),
    ("supplemented", "case.accepted"): Rule("accepted"),
    ("submitted", "case.refused"): Rule("refused"),
    ("supplemented", "case.refused"): Rule("refused"),
    ("accepted", "case.step-completed"): Rule("accepted"),
    ("accepted", "case.decided"): Rule("decided"),
    ("decided", "case.result-issued"): Rule("closed", ("case.delivered", "case.rated")),
}

_RESPONSIBLE: Final[Mapping[Procedure, Mapping[tuple[str, str], Rule]]] = {
    Procedure.SUPPLEMENT: {
        (NEW, "case.submitted"): Rule("supplement-requested", ("case.supplement-requested",)),
        ("supplement-requested", "case.supplemented"): Rule("issued", ("case.accepted", *_RESULT)),
    },
    Procedure.REVIEW: {
        (NEW, "case.submitted"): Rule("issued", ("case.accepted", *_RESULT)),
    },
    Procedure.INSTANT: {
        (NEW, "case.submitted"): Rule("issued", ("case.accepted", "case.decided", "case.result-issued")),
    },
}

_AFTERWARDS: Final[Mapping[tuple[str, str], Rule]] = {
    ("issued", "case.delivered"): Rule("delivered"),
    ("delivered", "case.rated"): Rule("closed"),
}

_ANY_STAGE: Final = frozenset({"case.urged"})
"""What may be heard at any stage of an open case and moves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What the office made of an event: the case as it now stands, and what is to be said, in order."""

    case: CaseRow
    heard_code: str
    says: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """The office cannot take the event: an answer to its sender (422), not a fault."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One city's office. ``codes`` is its own code table; ``procedures`` how it handles each item that it handles."""

    city: str
    codes: Mapping[str, str]
    procedures: Mapping[str, Procedure]

    def code(self, type_: str) -> str:
        """Our own code for a message type; 0 is what our forms print for "no code"."""
        return self.codes.get(type_, "0")

    def hear(self, known: CaseRow | None, event: Event, *, number: str, at: str) -> Reaction | Rejection:
        """React to an event on a case. ``number`` is ours for the case, should it be new here."""
        case = known or self._file(event, number, at)
        if case is None:
            return Rejection(code="case-not-here", detail=f"{event.case} 未在本厅立案")
        rule = self._rule(case, event.type)
        if rule is None:
            handled = case.role == Role.OPENING or case.item in self.procedures
            why = f"办件处于 {case.stage}，不接受 {event.type}" if handled else f"本厅不办理事项 {case.item}"
            return Rejection(code="state-illegal" if handled else "item-not-handled", detail=why)
        code = self.code(rule.says[-1] if rule.says else event.type)
        moved = replace(case, stage=rule.then, code=code, updated_at=at)
        return Reaction(case=moved, heard_code=self.code(event.type), says=rule.says)

    def open(self, *, number: str, to: str, item: str, mode: str, at: str) -> CaseRow:
        """A case that our own window opens, addressed to the city that decides."""
        return CaseRow(
            number=number,
            case=f"{self.city}/{number}",
            role=Role.OPENING,
            counterpart=to,
            item=item,
            mode=mode,
            stage="submitted",
            code=self.code("case.submitted"),
            opened_at=at,
            updated_at=at,
        )

    def _file(self, event: Event, number: str, at: str) -> CaseRow | None:
        if event.type != "case.submitted" or event.item is None or event.mode is None:
            return None
        return CaseRow(
            number=number,
            case=event.case,
            role=Role.RESPONSIBLE,
            counterpart=event.source,
            item=event.item,
            mode=event.mode,
            stage=NEW,
            code=self.code(event.type),
            opened_at=at,
            updated_at=at,
        )

    def _rule(self, case: CaseRow, type_: str) -> Rule | None:
        if type_ in _ANY_STAGE and case.stage != NEW:
            return Rule(case.stage)
        if case.role == Role.OPENING:
            return _OPENING.get((case.stage, type_))
        procedure = self.procedures.get(case.item)
        if procedure is None:
            return None
        return _RESPONSIBLE[procedure].get((case.stage, type_)) or _AFTERWARDS.get((case.stage, type_))
