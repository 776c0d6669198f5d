"""Messages: what became of each, and what each partner is still to get."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, func, select

from broker.core.ids import MessageId, PartnerId, Party
from broker.store.access import names
from broker.store.rows import MessageRow, Name
from broker.store.tables import OWED, tally
from broker.store.tables import message as table


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How a partner stands: messages accepted for it, delivered to it, ended otherwise, and still owed.

    Receipts do not count. ``oldest_at`` is when the oldest owed one was accepted (UTC ms; None: none is owed).
    """

    partner: PartnerId
    accepted: int
    delivered: int
    failed: int
    owed: int
    oldest_at: int | None


def message(connection: Connection, source: Party, identity: MessageId) -> MessageRow | None:
    """The message of this source and id, or None."""
    chosen = select(table).where(table.c.source == source, table.c.id == identity)
    row = connection.execute(chosen).mappings().one_or_none()
    return None if row is None else read_message(row)


def settled(connection: Connection, of: Collection[Name]) -> set[Name]:
    """Those of these names that ended once: nobody need be brought them again, as they came from the ledger.

    One that was redriven from the desk has ended too: what brings it again is the record of its redrive
    (:func:`broker.store.view.desk.settled`).
    """
    if not of:
        return set()
    dialect = connection.dialect.name
    rows = connection.execute(_settled(dialect), names.pairs(dialect, of))
    return {(Party(row.source), MessageId(row.id)) for row in rows}


def unsettled(connection: Connection, partner: PartnerId, *, limit: int = 1000) -> list[MessageRow]:
    """What a partner is still to get, oldest first."""
    chosen = select(table).where(OWED, table.c.destination == partner)
    rows = connection.execute(chosen.order_by(table.c.accepted_at, table.c.id).limit(limit))
    return [read_message(row) for row in rows.mappings()]


def backlogs(connection: Connection) -> list[Backlog]:
    """How every partner stands that anything was ever accepted for, by partner. Costs the same at any size."""
    totals = select(
        tally.c.partner,
        func.sum(tally.c.accepted).label("accepted"),
        func.sum(tally.c.delivered).label("delivered"),
        func.sum(tally.c.failed).label("failed"),
    ).group_by(tally.c.partner)
    found: list[Backlog] = []
    for row in connection.execute(totals.order_by(tally.c.partner)).all():
        oldest = select(func.min(table.c.accepted_at)).where(OWED, table.c.destination == row.partner)
        accepted, delivered, failed = int(row.accepted), int(row.delivered), int(row.failed)
        found.append(
            Backlog(
                partner=PartnerId(row.partner),
                accepted=accepted,
                delivered=delivered,
                failed=failed,
                owed=accepted - delivered - failed,
                oldest_at=connection.scalar(oldest),
            )
        )
    return found


def read_message(row: RowMapping) -> MessageRow:
    """A row of ``tables.message`` as a record."""
    return MessageRow(**{str(column): value for column, value in row.items()})


@cache
def _settled(dialect: str) -> Select[Any]:
    named = names.paired(dialect)
    return (
        select(table.c.source, table.c.id)
        .join_from(named, table, and_(table.c.source == named.c.source, table.c.id == named.c.id))
        .where(table.c.receipt_id.is_not(None))
    )
