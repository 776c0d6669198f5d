"""Parked lanes: cases whose next message a partner could not take for long, with their successors in order.

A lane is here or in memory, never both: a record whose case is parked goes behind the others, and the lane
is gone once its last record is settled. All functions run inside one transaction of the store.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, and_, delete, exists, func, select, tuple_, update

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.store.access.statements import insert_missing, insert_or_update, slices
from broker.store.tables import blocked, parked_lane, parked_message


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedLane:
    """One parked case. ``attempts`` are those of the message at its head; times are UTC milliseconds."""

    case: CaseId
    parked_at: int
    attempts: int
    next_at: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedMessage:
    """One record of a parked lane. ``record`` is the outbox record verbatim (``store/delivering/frames.py``)."""

    case: CaseId
    outbox_partition: int
    outbox_offset: int
    source: Party
    id: MessageId
    record: bytes


def park(
    connection: Connection, partner: PartnerId, lane: ParkedLane, messages: Sequence[ParkedMessage]
) -> None:
    """Park a lane with what is known of it, or postpone one that is parked already (its first time stays)."""
    row = {
        "partner": partner,
        "case_id": lane.case,
        "attempts": lane.attempts,
        "next_at": lane.next_at,
        "reason": lane.reason,
    }
    known = select(parked_lane.c.parked_at).where(
        parked_lane.c.partner == partner, parked_lane.c.case_id == lane.case
    )
    parked_at = connection.execute(known).scalar()
    row["parked_at"] = lane.parked_at if parked_at is None else parked_at
    insert_or_update(connection, parked_lane, [row])
    _insert(connection, partner, messages)


def append(
    connection: Connection, partner: PartnerId, messages: Sequence[ParkedMessage], now_ms: int
) -> None:
    """Put records behind their parked lanes; a lane that has ended meanwhile begins anew, due at once."""
    cases = dict.fromkeys(message.case for message in messages)
    insert_missing(
        connection,
        parked_lane,
        [
            {
                "partner": partner,
                "case_id": case,
                "parked_at": now_ms,
                "attempts": 0,
                "next_at": now_ms,
                "reason": "behind others of its case",
            }
            for case in cases
        ],
    )
    _insert(connection, partner, messages)


def lanes(connection: Connection, partner: PartnerId, outbox_partition: int) -> list[ParkedLane]:
    """The parked lanes whose records came from one partition of a partner's outbox, the next due first."""
    here = exists().where(
        parked_message.c.partner == parked_lane.c.partner,
        parked_message.c.case_id == parked_lane.c.case_id,
        parked_message.c.outbox_partition == outbox_partition,
    )
    chosen = select(parked_lane).where(parked_lane.c.partner == partner, here).order_by(parked_lane.c.next_at)
    return [
        ParkedLane(
            case=CaseId(row.case_id),
            parked_at=row.parked_at,
            attempts=row.attempts,
            next_at=row.next_at,
            reason=row.reason,
        )
        for row in connection.execute(chosen)
    ]


def postpone(connection: Connection, partner: PartnerId, times: Collection[tuple[str, int]]) -> None:
    """Other times for parked lanes: case and UTC milliseconds. Nothing else of them changes."""
    for case, next_at in times:
        lane = and_(parked_lane.c.partner == partner, parked_lane.c.case_id == case)
        connection.execute(update(parked_lane).where(lane).values(next_at=next_at))


def messages(
    connection: Connection, partner: PartnerId, case: CaseId, limit: int = 1000, after: int = -1
) -> list[ParkedMessage]:
    """The records of one parked lane, in order, at most ``limit``, with offsets above ``after``."""
    chosen = (
        select(parked_message)
        .where(
            parked_message.c.partner == partner,
            parked_message.c.case_id == case,
            parked_message.c.outbox_offset > after,
        )
        .order_by(parked_message.c.outbox_partition, parked_message.c.outbox_offset)
        .limit(limit)
    )
    return _read(connection, chosen)


def held(connection: Connection, partner: PartnerId, outbox_partition: int) -> list[ParkedMessage]:
    """Parked records that hold their lane from the desk already: a kill came before they were taken out here."""
    chosen = (
        select(parked_message)
        .join_from(
            parked_message,
            blocked,
            and_(
                blocked.c.partner == parked_message.c.partner,
                blocked.c.source == parked_message.c.source,
                blocked.c.id == parked_message.c.id,
                blocked.c.outbox_offset == parked_message.c.outbox_offset,
            ),
        )
        .where(parked_message.c.partner == partner, parked_message.c.outbox_partition == outbox_partition)
        .order_by(parked_message.c.outbox_offset)
    )
    return _read(connection, chosen)


def settle(
    connection: Connection, partner: PartnerId, case: CaseId, places: Collection[tuple[int, int]]
) -> bool:
    """Take settled records (partition, offset) out of their lane. True: none is left and the lane is gone.

    Otherwise its head is another message, whose attempts count from 0.
    """
    for some in slices(list(places)):
        columns = tuple_(parked_message.c.outbox_partition, parked_message.c.outbox_offset)
        connection.execute(
            delete(parked_message).where(parked_message.c.partner == partner, columns.in_(some))
        )
    lane = and_(parked_lane.c.partner == partner, parked_lane.c.case_id == case)
    rest = select(func.count()).where(parked_message.c.partner == partner, parked_message.c.case_id == case)
    if connection.execute(rest).scalar_one():
        connection.execute(update(parked_lane).where(lane).values(attempts=0))
        return False
    connection.execute(delete(parked_lane).where(lane))
    return True


def known(
    connection: Connection, partner: PartnerId, outbox_partition: int, offsets: Collection[int]
) -> set[int]:
    """Which of these offsets of one outbox partition are parked: they need no delivery from the log."""
    found: set[int] = set()
    for some in slices(list(offsets)):
        chosen = select(parked_message.c.outbox_offset).where(
            parked_message.c.partner == partner,
            parked_message.c.outbox_partition == outbox_partition,
            parked_message.c.outbox_offset.in_(some),
        )
        found.update(connection.execute(chosen).scalars())
    return found


def counts(connection: Connection) -> dict[PartnerId, int]:
    """How many cases are parked, per partner."""
    rows = connection.execute(select(parked_lane.c.partner, func.count()).group_by(parked_lane.c.partner))
    return {PartnerId(row[0]): int(row[1]) for row in rows}


def _read(connection: Connection, chosen: Select[tuple[object, ...]]) -> list[ParkedMessage]:
    return [
        ParkedMessage(
            case=CaseId(row.case_id),
            outbox_partition=row.outbox_partition,
            outbox_offset=row.outbox_offset,
            source=Party(row.source),
            id=MessageId(row.id),
            record=bytes(row.record),
        )
        for row in connection.execute(chosen)
    ]


def _insert(connection: Connection, partner: PartnerId, messages: Sequence[ParkedMessage]) -> None:
    insert_missing(
        connection,
        parked_message,
        [
            {
                "partner": partner,
                "case_id": message.case,
                "outbox_partition": message.outbox_partition,
                "outbox_offset": message.outbox_offset,
                "source": message.source,
                "id": message.id,
                "record": message.record,
            }
            for message in messages
        ],
    )
