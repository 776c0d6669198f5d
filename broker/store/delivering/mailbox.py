"""The mailbox: records that lie ready until their partner pulls and acknowledges them.

Delivery places, intake leases, and intake removes once the receipt is durable on the ledger. All functions
run inside one transaction of the store (``Store.call`` and ``Store.read``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, delete, func, or_, select, tuple_, update

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.store.access.statements import insert_missing, slices
from broker.store.tables import mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One record to lie ready. ``record`` is the outbox record verbatim (``store/delivering/frames.py``)."""

    partner: PartnerId
    outbox_partition: int
    outbox_offset: int
    source: Party
    id: MessageId
    case: CaseId
    record: bytes
    placed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """One record in the mailbox. ``attempts`` counts the leases so far, this one included."""

    outbox_partition: int
    outbox_offset: int
    source: Party
    id: MessageId
    case: CaseId
    record: bytes
    placed_at: int
    attempts: int


def place(connection: Connection, items: Sequence[Placed]) -> None:
    """Put records in the mailbox; one that lies there already stays as it is."""
    insert_missing(
        connection,
        mailbox,
        [
            {
                "partner": item.partner,
                "outbox_partition": item.outbox_partition,
                "outbox_offset": item.outbox_offset,
                "source": item.source,
                "id": item.id,
                "case_id": item.case,
                "record": item.record,
                "placed_at": item.placed_at,
                "attempts": 0,
            }
            for item in items
        ],
    )


def lease(
    connection: Connection,
    partner: PartnerId,
    *,
    lease: str,
    max_messages: int,
    max_bytes: int,
    now_ms: int,
    until_ms: int,
) -> list[Lying]:
    """Lease the oldest records to one caller until ``until_ms``, in order per case.

    A case that has an earlier record under another live lease is passed over: its order holds even with
    several callers. At least one record is leased, however large, if any is free.
    """
    live = mailbox.alias("live")
    busy = (
        select(live.c.case_id)
        .where(live.c.partner == partner, live.c.leased_until > now_ms)
        .distinct()
        .scalar_subquery()
    )
    free = (
        select(mailbox)
        .where(mailbox.c.partner == partner, mailbox.c.case_id.not_in(busy))
        .order_by(mailbox.c.placed_at, mailbox.c.outbox_partition, mailbox.c.outbox_offset)
        .limit(max_messages)
    )
    leased: list[Lying] = []
    total_bytes = 0
    for row in connection.execute(free):
        total_bytes += len(row.record)
        if leased and total_bytes > max_bytes:
            break
        leased.append(_lying(row, attempts=row.attempts + 1))
    for some in slices(leased):
        places = [(item.outbox_partition, item.outbox_offset) for item in some]
        connection.execute(
            update(mailbox)
            .where(
                mailbox.c.partner == partner,
                tuple_(mailbox.c.outbox_partition, mailbox.c.outbox_offset).in_(places),
            )
            .values(lease=lease, leased_until=until_ms, attempts=mailbox.c.attempts + 1)
        )
    return leased


def find(
    connection: Connection, partner: PartnerId, names: Collection[tuple[Party, MessageId]]
) -> list[Lying]:
    """The records lying in the mailbox under these (source, id), leased or not."""
    found: list[Lying] = []
    for some in slices(list(names)):
        chosen = select(mailbox).where(
            mailbox.c.partner == partner, tuple_(mailbox.c.source, mailbox.c.id).in_(some)
        )
        found.extend(_lying(row, attempts=row.attempts) for row in connection.execute(chosen))
    return found


def remove(connection: Connection, partner: PartnerId, names: Collection[tuple[Party, MessageId]]) -> int:
    """Take records out, once their receipts are durable. Returns how many were there."""
    removed = 0
    for some in slices(list(names)):
        gone = delete(mailbox).where(
            mailbox.c.partner == partner, tuple_(mailbox.c.source, mailbox.c.id).in_(some)
        )
        removed += connection.execute(gone).rowcount
    return removed


def waiting(connection: Connection, partner: PartnerId) -> tuple[int, int | None]:
    """How many records lie in a partner's mailbox, and since when the oldest (UTC milliseconds)."""
    row = connection.execute(
        select(func.count(), func.min(mailbox.c.placed_at)).where(mailbox.c.partner == partner)
    ).one()
    return int(row[0]), row[1]


def free(connection: Connection, partner: PartnerId, now_ms: int) -> bool:
    """Whether a lease taken now would hold anything: what a long poll waits for."""
    chosen = (
        select(mailbox.c.id)
        .where(
            mailbox.c.partner == partner,
            or_(mailbox.c.leased_until.is_(None), mailbox.c.leased_until <= now_ms),
        )
        .limit(1)
    )
    return connection.execute(chosen).first() is not None


def known(
    connection: Connection, partner: PartnerId, outbox_partition: int, offsets: Collection[int]
) -> set[int]:
    """Which of these offsets of one outbox partition lie in the mailbox: they need no placing anew."""
    found: set[int] = set()
    for some in slices(list(offsets)):
        chosen = select(mailbox.c.outbox_offset).where(
            mailbox.c.partner == partner,
            mailbox.c.outbox_partition == outbox_partition,
            mailbox.c.outbox_offset.in_(some),
        )
        found.update(connection.execute(chosen).scalars())
    return found


def _lying(row: Row[tuple[object, ...]], *, attempts: int) -> Lying:
    return Lying(
        outbox_partition=row.outbox_partition,
        outbox_offset=row.outbox_offset,
        source=Party(row.source),
        id=MessageId(row.id),
        case=CaseId(row.case_id),
        record=bytes(row.record),
        placed_at=row.placed_at,
        attempts=attempts,
    )
