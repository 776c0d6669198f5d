"""Findings that a refused message gives away: somebody tried what is forbidden, and signed it.

What was tried is on the ledger with its signature, although it changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from broker.archive.finding import Finding, Kind, proofs
from broker.core.case.case_state import CaseState
from broker.core.case.forbidden import STRANGER, SUSPECTS
from broker.core.ids import PartnerId, Party
from broker.store.rows import MessageRow
from broker.store.view import findings as rows

_OPENS: Final = ("case.submitted", "complaint.filed")
_BEHIND: Final = (*_OPENS, "case.accepted", "fee.requested", "fee.paid")


def of_refusals(connection: Connection) -> Iterator[Finding]:
    """The findings among the refused messages, in the ledger's order."""
    refused = rows.refused(connection, SUSPECTS)
    cases = {row.case_id for row in refused}
    states = rows.states(connection, cases)
    said = rows.said(connection, cases, _BEHIND)
    deemed = rows.deemed(connection, cases)
    for row in refused:
        identity = row.case_id
        past = _Past(
            row=row,
            state=states.get(identity),
            before=[
                each
                for each in said.get(identity, ())
                if each.ledger_offset < row.ledger_offset and each.verdict != "refused"
            ],
            deemed=deemed.get(identity, row.ledger_offset) < row.ledger_offset,
        )
        found = _judge(past)
        if found is not None:
            yield found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """A refused message, and what stood on the ledger of its case before it."""

    row: MessageRow
    state: CaseState | None
    before: Sequence[MessageRow]
    deemed: bool

    def first(self, *types: str) -> MessageRow | None:
        return next((each for each in self.before if each.type in types), None)

    @property
    def opened(self) -> MessageRow | None:
        return self.first(*_OPENS)

    @property
    def by_a_party(self) -> bool:
        """Whether the case was there and the sender is a party to it: then it was only addressed wrongly."""
        state, source = self.state, self.row.source
        known = state is not None and source in (Party(state.opening), Party(state.responsible))
        return known and self.opened is not None


def _judge(past: _Past) -> Finding | None:
    row = past.row
    match row.type, row.code:
        case _, "collector-decides":
            detail = (
                f"{row.source} collects in this case and said {row.type}, which only its responsible city may"
            )
            return _finding(Kind.COLLECTED_AND_DECIDED, past, detail, past.opened)
        case "fee.requested", _:
            first = past.first("fee.requested")
            return _finding(Kind.CHARGED_TWICE, past, "a second fee was asked for in one case", first)
        case "fee.paid", code:
            return _payment(past, code or "")
        case "case.decided", "transition-illegal":
            return _decision(past)
        case _:
            return _stranger(past)


def _decision(past: _Past) -> Finding | None:
    state = past.state
    if state is None or past.row.source != Party(state.responsible):
        return None
    if past.deemed or past.first("case.accepted") is not None:
        return None
    detail = f"{past.row.source} decided a case that it had not accepted; refused, the case stayed as it was"
    return _finding(Kind.DECIDED_BEFORE_ACCEPTED, past, detail, past.opened)


def _stranger(past: _Past) -> Finding | None:
    if past.by_a_party:
        return None
    if past.opened is None:
        detail = f"{past.row.source} said {past.row.type} of a case that the ledger did not know"
    else:
        detail = f"{past.row.source} said {past.row.type} of a case that it is no party to"
    return _finding(Kind.OUTSIDE_THE_EXCHANGE, past, detail, past.opened)


def _payment(past: _Past, code: str) -> Finding | None:
    asked, paid = past.first("fee.requested"), past.first("fee.paid")
    if code == "cash-refused":
        return _finding(Kind.PAID_OUTSIDE_THE_EXCHANGE, past, "a fee was taken in cash", asked)
    if paid is not None and code not in STRANGER:
        return _finding(Kind.CHARGED_TWICE, past, "a second payment was told for one case", asked, paid)
    if asked is not None:
        return None
    known = "of a case that asked for no fee" if past.opened is not None else "without a case"
    return _finding(Kind.PAID_OUTSIDE_THE_EXCHANGE, past, f"a payment was told {known}", past.opened)


def _finding(kind: Kind, past: _Past, detail: str, *behind: MessageRow | None) -> Finding:
    row = past.row
    side: PartnerId | Party = row.source
    if past.state is not None and row.type.startswith("fee."):
        side = past.state.responsible  # the treasury tells of a fee that the responsible city took
    return Finding(
        kind=kind,
        case=row.case_id,
        partner=PartnerId(side),
        at=row.accepted_at,
        detail=detail,
        proofs=proofs(row, *behind),
    )
