"""The 办不成事 desk: what could not be brought to its recipient."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.store.rows import DossierRow
from broker.store.tables import dossier as table


def dossier(connection: Connection, source: Party, identity: MessageId) -> DossierRow | None:
    """The dossier of a message, or None."""
    row = connection.execute(
        select(table).where(table.c.source == source, table.c.id == identity)
    ).one_or_none()
    return None if row is None else _dossier(row)


def dossiers(
    connection: Connection, *, partner: PartnerId | None = None, status: str | None = "open", limit: int = 100
) -> list[DossierRow]:
    """Dossiers, oldest first: of a partner that could not be reached, in a status (None: in any)."""
    chosen = select(table).order_by(table.c.opened_at, table.c.source, table.c.id).limit(limit)
    if partner is not None:
        chosen = chosen.where(table.c.partner == partner)
    if status is not None:
        chosen = chosen.where(table.c.status == status)
    return [_dossier(row) for row in connection.execute(chosen)]


def _dossier(row: Row[Any]) -> DossierRow:
    return DossierRow(
        source=Party(row.source),
        id=MessageId(row.id),
        partner=PartnerId(row.partner),
        case_id=CaseId(row.case_id),
        cause=row.cause,
        detail=row.detail,
        opened_at=row.opened_at,
        status=row.status,
    )
