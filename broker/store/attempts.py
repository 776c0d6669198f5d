"""Attempts at delivery that failed, for status answers and the desk."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from broker.core.ids import MessageId, PartnerId, Party
from broker.store.rows import AttemptRow
from broker.store.statements import insert_or_update
from broker.store.tables import attempt


def put(connection: Connection, rows: Sequence[AttemptRow]) -> None:
    """Keep attempts; one made again under the same number (after a restart) takes the place of the first."""
    insert_or_update(connection, attempt, [dataclasses.asdict(row) for row in rows])


def attempts_of(connection: Connection, source: Party, identity: MessageId) -> list[AttemptRow]:
    """The failed attempts of a message, in their order."""
    chosen = select(attempt).where(attempt.c.source == source, attempt.c.id == identity)
    return [
        _attempt(row) for row in connection.execute(chosen.order_by(attempt.c.partner, attempt.c.attempt))
    ]


def _attempt(row: Row[Any]) -> AttemptRow:
    return AttemptRow(
        partner=PartnerId(row.partner),
        source=Party(row.source),
        id=MessageId(row.id),
        attempt=row.attempt,
        started_at=row.started_at,
        duration_ms=row.duration_ms,
        result=row.result,
        detail=row.detail,
    )
