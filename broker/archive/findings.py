"""All findings of audit, from the view alone: a view that was rebuilt from the ledger gives the same ones.

Source: issue 5, 10; domain.md (明进暗不进, 双轨运行, 体外循环, 两头办理、两头收费).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from broker.archive.case_findings import AHEAD, EVERYTHING, Span, of_cases
from broker.archive.finding import MEANINGS, Finding, Kind
from broker.archive.reconciliation import of_lists
from broker.archive.refused_findings import of_refusals
from broker.core.message import from_epoch_ms, rfc3339

ALL = frozenset(Kind)
_OF_CASES = frozenset({Kind.DECIDED_BEFORE_ACCEPTED, Kind.COLLECTED_AND_DECIDED, Kind.QUEUE_SKIPPED})
_OF_LISTS = frozenset({Kind.OUTSIDE_THE_EXCHANGE, Kind.PAID_OUTSIDE_THE_EXCHANGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: these kinds, in this span; ``ahead``: how many waiting cases make a skipped queue."""

    kinds: frozenset[Kind] = ALL
    span: Span = EVERYTHING
    ahead: int = AHEAD


def findings(connection: Connection, question: Question) -> list[Finding]:
    """Every finding that is asked for, by time, kind and place on the ledger. Reads one snapshot."""
    span = question.span
    found = [
        each
        for each in _found(connection, question)
        if each.kind in question.kinds
        and span.holds(each.at)
        and (span.partner is None or span.partner == each.partner)
    ]
    return sorted(found, key=_order)


def _order(finding: Finding) -> tuple[object, ...]:
    """Findings of one record keep their order: that of the lines of a list."""
    return (finding.at, finding.kind, [each.position for each in finding.proofs[:1]])


def _found(connection: Connection, question: Question) -> Iterator[Finding]:
    yield from of_refusals(connection)
    if question.kinds & _OF_CASES:
        ahead = question.ahead if Kind.QUEUE_SKIPPED in question.kinds else None
        yield from of_cases(connection, question.span, ahead=ahead)
    if question.kinds & _OF_LISTS:
        yield from of_lists(connection, question.span.partner)


def as_document(finding: Finding) -> dict[str, object]:
    """A finding as JSON-able facts."""
    meaning = MEANINGS[finding.kind]
    return {
        "kind": finding.kind.value,
        "title": meaning.zh,
        "forbidden_by": meaning.forbids,
        "case": finding.case,
        "partner": finding.partner,
        "at": rfc3339(from_epoch_ms(finding.at)),
        "detail": finding.detail,
        "records": [
            {
                "topic": each.position.topic,
                "partition": each.position.partition,
                "offset": each.position.offset,
                "message": each.message,
                "type": each.type,
                "at": rfc3339(from_epoch_ms(each.at)),
            }
            for each in finding.proofs
        ],
    }
