"""Reconciliation lists held against the ledger: what a city says that it did, and the ledger does not know.

Memory grows with the lists of one city, never with the cases of the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection

from broker.archive.finding import Finding, Kind, Proof, proof, proofs
from broker.core.case.case_state import CaseState, Fee
from broker.core.ids import CaseId, PartnerId
from broker.core.message import from_epoch_ms
from broker.core.times import china_day
from broker.store.rows import MessageRow
from broker.store.view import findings as rows
from broker.store.view import reconciliation as lists
from broker.store.view.reconciliation import ReconciledRow, reconciled_case

RECONCILED: Final = "operator.reconciled"
_BEHIND: Final = ("case.submitted", "case.decided", "fee.requested", "fee.paid")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Match:
    """What the ledger knows of a case that a line may mean. ``dated``: the day that the decision bears, if another."""

    case: CaseId
    decided_on: date | None
    dated: date | None
    paid: bool
    fee_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubt:
    """A line that the ledger does not bear out, and the case that comes nearest to it."""

    line: ReconciledRow
    kind: Kind
    detail: str
    match: _Match | None


def of_lists(connection: Connection, partner: PartnerId | None) -> Iterator[Finding]:
    """The findings of the lists in force, of one partner or of all, in the lists' order."""
    for each in lists.partners(connection):
        if partner in (None, each):
            yield from _of_partner(connection, each)


def _of_partner(connection: Connection, partner: PartnerId) -> Iterator[Finding]:
    lines = list(lists.in_force(connection, partner))
    known = _matches(connection, partner, lines)
    doubts = [doubt for line in lines for doubt in _doubts(line, known.get(line.number, ()))]
    matched = {doubt.match.case for doubt in doubts if doubt.match is not None}
    said = rows.said(connection, matched, _BEHIND)
    case = reconciled_case(partner)
    records = {row.ledger_offset: row for row in rows.said(connection, {case}, (RECONCILED,)).get(case, ())}
    for doubt in doubts:
        behind = said.get(doubt.match.case, ()) if doubt.match else ()
        record = records.get(doubt.line.ledger_offset)
        # A city's own day of decision may be the day before the ledger's: then nothing is wrong.
        if record is None or _said_so(doubt, behind):
            continue
        yield _finding(doubt, proof(record), behind)


def _matches(
    connection: Connection, partner: PartnerId, lines: Sequence[ReconciledRow]
) -> Mapping[str, Sequence[_Match]]:
    """By the number in a list: the partner's cases with that number, its own or the one it was opened with."""
    found: dict[str, list[_Match]] = {line.number: [] for line in lines}
    for state in rows.cases_of(connection, partner):
        names = {str(state.case), state.case.partition("/")[2], state.number or ""}
        for name in names & found.keys():
            found[name].append(_match(state))
    return found


def _match(state: CaseState) -> _Match:
    return _Match(
        case=state.case,
        decided_on=china_day(state.decided_at) if state.decided_at else None,
        dated=state.decided_on,
        paid=state.fee is Fee.PAID,
        fee_fen=state.fee_fen,
    )


def _doubts(line: ReconciledRow, matches: Sequence[_Match]) -> Iterator[_Doubt]:
    """What speaks against a line; nothing when one of the cases bears it out."""
    if not matches:
        detail = f"{_called(line)} is no case of the ledger"
        yield _Doubt(line=line, kind=Kind.OUTSIDE_THE_EXCHANGE, detail=detail, match=None)
        return
    against = [_against(line, match) for match in matches]
    if all(against):
        yield from min(against, key=len)


def _against(line: ReconciledRow, match: _Match) -> list[_Doubt]:
    doubts = []
    if line.decided_on not in (None, _text(match.decided_on), _text(match.dated)):
        known = "knows no decision" if match.decided_on is None else f"has it on {match.decided_on}"
        detail = f"{_called(line)} was decided on {line.decided_on} by the list; the ledger {known}"
        doubts.append(_Doubt(line=line, kind=Kind.OUTSIDE_THE_EXCHANGE, detail=detail, match=match))
    if line.fee_fen is not None:
        paid = match.fee_fen if match.paid else 0
        if line.fee_fen != paid:
            known = f"has {paid} fen" if match.paid else "confirms no payment"
            detail = f"{_called(line)} was paid {line.fee_fen} fen by the list; the ledger {known}"
            doubts.append(_Doubt(line=line, kind=Kind.PAID_OUTSIDE_THE_EXCHANGE, detail=detail, match=match))
    return doubts


def _said_so(doubt: _Doubt, behind: Sequence[MessageRow]) -> bool:
    """Whether the decision was said on the very day that the list names, and only reached the ledger later."""
    if doubt.kind is not Kind.OUTSIDE_THE_EXCHANGE:
        return False
    return any(
        row.type == "case.decided"
        and row.verdict != "refused"
        and _text(china_day(from_epoch_ms(row.said_at))) == doubt.line.decided_on
        for row in behind
    )


def _finding(doubt: _Doubt, record: Proof, behind: Sequence[MessageRow]) -> Finding:
    wanted = (
        ("case.decided", "case.submitted")
        if doubt.kind is Kind.OUTSIDE_THE_EXCHANGE
        else ("fee.requested", "fee.paid")
    )
    stand = [row for row in behind if row.verdict != "refused" and row.type in wanted]
    return Finding(
        kind=doubt.kind,
        case=doubt.match.case if doubt.match else None,
        partner=doubt.line.partner,
        at=record.at,
        detail=doubt.detail,
        proofs=(record, *proofs(*stand)),
    )


def _called(line: ReconciledRow) -> str:
    return f"{line.number} (line {line.line} of the list of {line.month})"


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
