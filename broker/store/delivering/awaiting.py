"""Messages that a partner has taken (202) and whose receipt it still owes.

Delivery puts them here and asks again when they are due; intake takes them out once the partner's later
receipt is durable on the ledger. All functions run inside one transaction of the store.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, Select, delete, select, tuple_

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.store.access.statements import insert_or_update, slices
from broker.store.tables import awaiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """One message taken and not yet receipted. ``record`` is the outbox record verbatim; ``due_at`` UTC ms."""

    partner: PartnerId
    source: Party
    id: MessageId
    case: CaseId
    outbox_partition: int
    outbox_offset: int
    record: bytes
    attempts: int
    due_at: int


def put(connection: Connection, items: Sequence[Awaited]) -> None:
    """Expect a receipt for each, or expect it at a later time than before."""
    insert_or_update(
        connection,
        awaiting,
        [
            {
                "partner": item.partner,
                "source": item.source,
                "id": item.id,
                "case_id": item.case,
                "outbox_partition": item.outbox_partition,
                "outbox_offset": item.outbox_offset,
                "record": item.record,
                "attempts": item.attempts,
                "due_at": item.due_at,
            }
            for item in items
        ],
    )


def due(connection: Connection, now_ms: int, limit: int, partners: Collection[PartnerId]) -> list[Awaited]:
    """Those of these partners whose time is over, the longest first; ``limit`` for every 500 partners."""
    found: list[Awaited] = []
    for some in slices(list(partners)):
        chosen = (
            select(awaiting)
            .where(awaiting.c.due_at <= now_ms, awaiting.c.partner.in_(some))
            .order_by(awaiting.c.due_at, awaiting.c.outbox_offset)
            .limit(limit)
        )
        found.extend(_read(connection, chosen))
    return found


def known(
    connection: Connection, partner: PartnerId, outbox_partition: int, offsets: Collection[int]
) -> set[int]:
    """Which of these offsets of one outbox partition are awaited: they need no delivery from the log."""
    found: set[int] = set()
    for some in slices(list(offsets)):
        chosen = select(awaiting.c.outbox_offset).where(
            awaiting.c.partner == partner,
            awaiting.c.outbox_partition == outbox_partition,
            awaiting.c.outbox_offset.in_(some),
        )
        found.update(connection.execute(chosen).scalars())
    return found


def find(
    connection: Connection, partner: PartnerId, names: Collection[tuple[Party, MessageId]]
) -> list[Awaited]:
    """Those awaited from a partner under these (source, id)."""
    found: list[Awaited] = []
    for some in slices(list(names)):
        chosen = select(awaiting).where(
            awaiting.c.partner == partner, tuple_(awaiting.c.source, awaiting.c.id).in_(some)
        )
        found.extend(_read(connection, chosen))
    return found


def remove(connection: Connection, partner: PartnerId, names: Collection[tuple[Party, MessageId]]) -> int:
    """Expect nothing more of these, once their receipts are durable. Returns how many were awaited."""
    removed = 0
    for some in slices(list(names)):
        gone = delete(awaiting).where(
            awaiting.c.partner == partner, tuple_(awaiting.c.source, awaiting.c.id).in_(some)
        )
        removed += connection.execute(gone).rowcount
    return removed


def _read(connection: Connection, chosen: Select[tuple[object, ...]]) -> list[Awaited]:
    return [_awaited(row) for row in connection.execute(chosen)]


def _awaited(row: Row[tuple[object, ...]]) -> Awaited:
    return Awaited(
        partner=PartnerId(row.partner),
        source=Party(row.source),
        id=MessageId(row.id),
        case=CaseId(row.case_id),
        outbox_partition=row.outbox_partition,
        outbox_offset=row.outbox_offset,
        record=bytes(row.record),
        attempts=row.attempts,
        due_at=row.due_at,
    )
