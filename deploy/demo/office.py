"""The city's own office: its state machine and its code table. Pure: no clock, no network, no file.

What the exchange calls ``case.accepted`` one city files as ``SL`` and the next as ``3``: there is no national
code set, so each office keeps its own and translates at its door. How the office works on an item is one
table (``procedures.py``): standing here and hearing this, it says that and stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from deploy.demo.events import Event
from deploy.demo.leaflets import sheet
from deploy.demo.procedures import BY_HAND, NEW, OPENS, PART, Fields, Procedure, Role, Rule, rule_of
from deploy.demo.records import CaseRow

__all__ = ["NEW", "Office", "Procedure", "Reaction", "Rejection", "Role"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What the office made of an event: the case as it now stands, and what is to be said, in order.

    ``fields`` is what this office says otherwise than its forms, by message type.
    """

    case: CaseRow
    heard_code: str
    says: tuple[str, ...]
    fields: Mapping[str, Fields]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """The office cannot take the event: an answer to its sender (422), not a fault."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One city's office. ``codes`` is its own code table; ``procedures`` how it handles each item that it handles.

    ``promises``: working days by item, where an agreement promises other than the leaflet.
    """

    city: str
    codes: Mapping[str, str]
    procedures: Mapping[str, Procedure]
    promises: Mapping[str, int] = field(default_factory=dict)

    def code(self, type_: str) -> str:
        """Our own code for a message type; 0 is what our forms print for "no code"."""
        return self.codes.get(type_, "0")

    def hear(
        self, known: CaseRow | None, event: Event, *, number: str, at: str, parent: CaseRow | None = None
    ) -> Reaction | Rejection:
        """React to an event on a case. ``number`` is ours for the case, should it be new here.

        ``parent``: our own case that the event's case is a part of, if it is one.
        """
        case = known or self._file(event, number, at) or _part(parent, event, at)
        if case is None:
            return Rejection(code="case-not-here", detail=f"{event.case} 未在本厅立案")
        rule = rule_of(case, event.type, self.procedures.get(case.item))
        if rule is None:
            handled = case.role == Role.OPENING or case.item in self.procedures
            why = f"办件处于 {case.stage}，不接受 {event.type}" if handled else f"本厅不办理事项 {case.item}"
            return Rejection(code="state-illegal" if handled else "item-not-handled", detail=why)
        says = _each_step(rule, case)
        fields = dict(rule.fields)
        if "case.accepted" in says and case.item in self.promises:
            fields["case.accepted"] = {"promised_days": self.promises[case.item]}
        code = self.code(says[-1] if says else event.type)
        moved = replace(case, stage=rule.then, code=code, updated_at=at)
        return Reaction(case=moved, heard_code=self.code(event.type), says=says, fields=fields)

    def open(
        self,
        *,
        number: str,
        to: str,
        item: str,
        mode: str,
        at: str,
        type_: str = "case.submitted",
        item_class: str = "",
        manner: str = "usual",
        score: int = 5,
    ) -> CaseRow:
        """A case that our own window opens, addressed to the city that decides."""
        return CaseRow(
            number=number,
            case=f"{self.city}/{number}",
            role=Role.OPENING,
            counterpart=to,
            item=item,
            mode=mode,
            stage=type_.rpartition(".")[2],
            code=self.code(type_),
            opened_at=at,
            updated_at=at,
            item_class=item_class,
            manner=manner,
            score=score,
        )

    def said(self, case: CaseRow, type_: str, at: str) -> CaseRow:
        """The case after staff have said something on it at the window."""
        moves = case.manner == BY_HAND or type_ == "case.withdrawn"
        stage = type_.rpartition(".")[2] if moves else case.stage
        return replace(case, stage=stage, code=self.code(type_), updated_at=at)

    def _file(self, event: Event, number: str, at: str) -> CaseRow | None:
        opens = event.type == "complaint.filed" or (event.item is not None and event.mode is not None)
        if event.type not in OPENS or not opens:
            return None
        item = event.item or ""
        item_class = event.data.get("item_class")
        by_hand = self.procedures.get(item) is Procedure.BY_HAND
        return CaseRow(
            number=number,
            case=event.case,
            role=Role.RESPONSIBLE,
            counterpart=event.source,
            item=item,
            mode=event.mode or "",
            stage=NEW,
            code=self.code(event.type),
            opened_at=at,
            updated_at=at,
            item_class=item_class if isinstance(item_class, str) else "",
            manner=BY_HAND if by_hand else "usual",
        )


def _part(parent: CaseRow | None, event: Event, at: str) -> CaseRow | None:
    """A part of a case that we opened: its authority speaks to us, and so we file it beside its parent."""
    if parent is None or parent.role != Role.OPENING:
        return None
    return replace(
        parent,
        number=parent.number + PART + event.case.partition(PART)[2],
        case=event.case,
        counterpart=event.source,
        item=event.item or parent.item,
        stage="submitted",
        opened_at=at,
        updated_at=at,
    )


def _each_step(rule: Rule, case: CaseRow) -> tuple[str, ...]:
    """What the rule says, with ``case.step-completed`` once for each review step of the item's leaflet."""
    if "case.step-completed" not in rule.says:
        return rule.says
    where = rule.says.index("case.step-completed")
    steps = len(sheet(case.item).steps)
    return (*rule.says[:where], *["case.step-completed"] * steps, *rule.says[where + 1 :])
