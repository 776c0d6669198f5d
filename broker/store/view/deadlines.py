"""What falls due next, by the partial index over ``case_view.falls_at``: cost by what is due, not by what is open."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, or_, select, tuple_, update

from broker.core.case.case_state import CaseState
from broker.core.ids import CaseId, PartnerId
from broker.store.access.statements import slices
from broker.store.tables import case

Place = tuple[int, CaseId]
"""When the next deadline of a case falls (UTC ms), and the case: the order in which deadlines fall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A case and when, as the view has it, its next deadline falls (UTC ms)."""

    state: CaseState
    falls_at: int


Replanned = tuple[Planned, int | None]
"""A case as it was read, and when its next deadline falls instead (UTC ms; None: never)."""


def due(
    connection: Connection, until_ms: int, *, after: Place | None = None, limit: int = 1000
) -> list[Place]:
    """The cases of which a deadline has fallen by ``until_ms``, the earliest first; ``after``: the page before's last.

    Answered from the index alone: cases that are not due cost nothing, however many are open.
    """
    rows = connection.execute(due_statement(until_ms, after=after, limit=limit))
    return [(row[0], CaseId(row[1])) for row in rows]


def due_statement(until_ms: int, *, after: Place | None, limit: int) -> Select[Any]:
    """What :func:`due` asks."""
    chosen = select(case.c.falls_at, case.c.case_id).where(case.c.falls_at <= until_ms)
    if after is not None:
        chosen = chosen.where(tuple_(case.c.falls_at, case.c.case_id) > after)
    return chosen.order_by(case.c.falls_at, case.c.case_id).limit(limit)


def planned(connection: Connection, cases: Collection[CaseId]) -> list[Planned]:
    """These cases as they are now; one that has no deadline any more is left out."""
    found: list[Planned] = []
    for some in slices(list(cases)):
        chosen = select(case.c.state, case.c.falls_at).where(
            case.c.case_id.in_(some), case.c.falls_at.is_not(None)
        )
        rows = connection.execute(chosen)
        found += [Planned(state=CaseState.from_json(row[0]), falls_at=row[1]) for row in rows]
    return found


def upcoming(
    connection: Connection, until_ms: int, *, partner: PartnerId | None = None, limit: int = 500
) -> list[Planned]:
    """The cases of which a deadline falls by ``until_ms``, the earliest first: of a partner on either side."""
    chosen = select(case.c.state, case.c.falls_at).where(case.c.falls_at <= until_ms)
    if partner is not None:
        chosen = chosen.where(or_(case.c.opening == partner, case.c.responsible == partner))
    rows = connection.execute(chosen.order_by(case.c.falls_at, case.c.case_id).limit(limit))
    return [Planned(state=CaseState.from_json(row[0]), falls_at=row[1]) for row in rows]


def replan(connection: Connection, changes: Sequence[Replanned]) -> int:
    """Set when the next deadline of a case falls, where the case is still as it was read; how many were.

    For what a new edition of the holiday table moves; else the exchange plans with every change of a case.
    """
    statement = (
        update(case)
        .where(
            case.c.case_id == bindparam("of"),
            case.c.falls_at == bindparam("was"),
            case.c.state == bindparam("read"),
        )
        .values(falls_at=bindparam("becomes"))
    )
    changed = 0
    for each, becomes in changes:
        values = {"of": each.state.case, "was": each.falls_at, "read": each.state.to_json()}
        changed += connection.execute(statement, values | {"becomes": becomes}).rowcount
    return changed
