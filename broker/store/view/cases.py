"""Cases as both sides see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select, union

from broker.core.case.lifecycle import CaseState, Status
from broker.core.ids import CaseId, PartnerId
from broker.core.message import epoch_ms
from broker.store.rows import MessageRow
from broker.store.tables import case, message
from broker.store.view.messages import read_message


def case_state(connection: Connection, of: CaseId) -> CaseState | None:
    """The case's state, or None for a case that the view has nothing of."""
    text = connection.scalar(select(case.c.state).where(case.c.case_id == of))
    return None if text is None else CaseState.from_json(text)


def timeline(connection: Connection, of: CaseId, *, limit: int = 10_000) -> list[MessageRow]:
    """The messages of a case in the ledger's order, refused ones too."""
    chosen = select(message).where(message.c.case_id == of).order_by(message.c.ledger_offset).limit(limit)
    return [read_message(row) for row in connection.execute(chosen).mappings()]


def list_cases(
    connection: Connection,
    *,
    partner: PartnerId | None = None,
    status: Status | None = None,
    before: datetime | None = None,
    limit: int = 100,
) -> list[CaseState]:
    """The cases that changed last, newest first: of a partner on either side, in a status, changed before a time."""
    sides = [None] if partner is None else [case.c.opening == partner, case.c.responsible == partner]
    listed: list[Select[Any]] = []
    for side in sides:
        chosen = select(case.c.case_id, case.c.updated_at, case.c.state)
        if side is not None:
            chosen = chosen.where(side)
        if status is not None:
            chosen = chosen.where(case.c.status == status)
        if before is not None:
            chosen = chosen.where(case.c.updated_at < epoch_ms(before))
        # Each side by its own index, and no more of it than is asked for; then the two together.
        one = chosen.order_by(case.c.updated_at.desc(), case.c.case_id).limit(limit).subquery()
        listed.append(select(one))
    both = union(*listed).subquery()
    newest = select(both.c.state).order_by(both.c.updated_at.desc(), both.c.case_id).limit(limit)
    return [CaseState.from_json(text) for text in connection.scalars(newest)]
