"""Attempts at delivery that failed, for status answers and the desk, and for going on counting after a restart."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, func, select

from broker.core.ids import MessageId, PartnerId, Party
from broker.store.access import names
from broker.store.access.statements import insert_or_update
from broker.store.rows import AttemptRow, Name
from broker.store.tables import attempt, awaiting, parked_lane, parked_message

COUNTED: Final = "deferred"
"""The result of an attempt that the schedule counts, if its next one is planned by the clock."""


def put(connection: Connection, rows: Sequence[AttemptRow]) -> None:
    """Keep attempts; one made again under the same number (after a restart) takes the place of the first."""
    insert_or_update(connection, attempt, [dataclasses.asdict(row) for row in rows])


def attempts_of(connection: Connection, source: Party, identity: MessageId) -> list[AttemptRow]:
    """The failed attempts of a message, in their order, over all its redrives."""
    chosen = select(attempt).where(attempt.c.source == source, attempt.c.id == identity)
    order = (attempt.c.partner, attempt.c.redrive, attempt.c.attempt)
    return [_attempt(row) for row in connection.execute(chosen.order_by(*order))]


def next_attempt_at(connection: Connection, source: Party, identity: MessageId) -> int | None:
    """When a message that is not settled is tried next (UTC milliseconds); None: not by the clock.

    Of a message that waits in a parked lane behind others: when the lane's head is. A time that has passed
    means that the attempt is due and waits for something else: a slot, a circuit, a lever.
    """
    parked = (
        select(func.min(parked_lane.c.next_at))
        .join_from(
            parked_message,
            parked_lane,
            and_(
                parked_lane.c.partner == parked_message.c.partner,
                parked_lane.c.case_id == parked_message.c.case_id,
            ),
        )
        .where(parked_message.c.source == source, parked_message.c.id == identity)
    )
    owed = select(func.min(awaiting.c.due_at)).where(awaiting.c.source == source, awaiting.c.id == identity)
    last = (
        select(attempt.c.next_at)
        .where(attempt.c.source == source, attempt.c.id == identity)
        .order_by(attempt.c.redrive.desc(), attempt.c.attempt.desc())
        .limit(1)
    )
    for chosen in (parked, owed, last):
        found: int | None = connection.scalar(chosen)
        if found is not None:
            return found
    return None


def so_far(
    connection: Connection, partner: PartnerId, wanted: Collection[Name]
) -> Mapping[tuple[Party, MessageId, int], tuple[int, int]]:
    """Attempts made at these messages, and how many of them the schedule counts, per redrive.

    Only of those that have failed before. An attempt is known once its row is durable, a commit later than
    it happened: after a kill the last one may be counted anew.
    """
    if not wanted:
        return {}
    dialect = connection.dialect.name
    named = names.paired(dialect)
    counted = and_(attempt.c.result == COUNTED, attempt.c.next_at.is_not(None))
    chosen = (
        select(
            attempt.c.source,
            attempt.c.id,
            attempt.c.redrive,
            func.max(attempt.c.attempt),
            func.count().filter(counted),
        )
        .join_from(named, attempt, and_(attempt.c.source == named.c.source, attempt.c.id == named.c.id))
        .where(attempt.c.partner == partner)
        .group_by(attempt.c.source, attempt.c.id, attempt.c.redrive)
    )
    return {
        (Party(row[0]), MessageId(row[1]), int(row[2])): (int(row[3]), int(row[4]))
        for row in connection.execute(chosen, names.pairs(dialect, wanted))
    }


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
        redrive=row.redrive,
        next_at=row.next_at,
    )
