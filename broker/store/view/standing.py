"""How partners stand and what became of operators' acts: counts that the commands of operations ask for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from broker.core.ids import BROKER, MessageId, PartnerId
from broker.core.operating.desk import Standing
from broker.store.access.statements import slices
from broker.store.tables import dossier, message, parked_lane


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedCases:
    """How many cases of a partner are parked, and when the next of them is tried (UTC ms)."""

    cases: int
    next_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDesk:
    """How many dossiers of a partner are open, how many of them are past their deadline, how many redriven."""

    open: int
    overdue: int
    redriven: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the exchange said of an act: ``at`` is its time on the ledger, ``code`` that of a refusal."""

    at: int
    code: str | None
    detail: str | None


def parked_cases(connection: Connection) -> dict[PartnerId, ParkedCases]:
    """Parked cases per partner; one without any is left out."""
    chosen = select(parked_lane.c.partner, func.count(), func.min(parked_lane.c.next_at))
    return {
        PartnerId(row[0]): ParkedCases(cases=int(row[1]), next_at=int(row[2]))
        for row in connection.execute(chosen.group_by(parked_lane.c.partner))
    }


def on_desk(connection: Connection, now_ms: int) -> dict[PartnerId, OnDesk]:
    """Dossiers that are not closed, per partner; one without any is left out."""
    late = case(((dossier.c.status == Standing.OPEN) & (dossier.c.due_at < now_ms), 1), else_=0)
    is_open = case((dossier.c.status == Standing.OPEN, 1), else_=0)
    chosen = (
        select(dossier.c.partner, func.sum(is_open), func.sum(late), func.count())
        .where(dossier.c.status.in_((Standing.OPEN, Standing.REDRIVEN)))
        .group_by(dossier.c.partner)
    )
    return {
        PartnerId(row[0]): OnDesk(open=int(row[1]), overdue=int(row[2]), redriven=int(row[3]) - int(row[1]))
        for row in connection.execute(chosen)
    }


def verdicts(connection: Connection, acts: Collection[MessageId]) -> dict[MessageId, Verdict]:
    """What the exchange has said of these acts of the broker's own; those not in the view yet are left out."""
    found: dict[MessageId, Verdict] = {}
    columns = (message.c.id, message.c.accepted_at, message.c.verdict, message.c.code, message.c.detail)
    for some in slices(list(acts)):
        chosen = select(*columns).where(message.c.source == BROKER, message.c.id.in_(some))
        for row in connection.execute(chosen):
            refused = row.verdict == "refused"
            found[MessageId(row.id)] = Verdict(
                at=row.accepted_at,
                code=row.code if refused else None,
                detail=row.detail if refused else None,
            )
    return found
