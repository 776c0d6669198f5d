"""How each worker's lines stand: one row per partner and worker, a second old at most while it changes.

For people only: delivery writes it and never reads it. A row older than :data:`STALE_MS` says nothing more
than that its worker has not been heard of.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection, delete, select

from broker.core.ids import PartnerId
from broker.store.access.statements import insert_or_update, slices
from broker.store.tables import line_status

STALE_MS: Final = 60_000
Phase = Literal["flowing", "paused", "open", "half-open", "faulty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStatus:
    """One partner's line at one worker. Times are UTC milliseconds; ``since``: when it came into its phase."""

    partner: PartnerId
    worker: str
    phase: Phase
    reason: str | None
    in_flight: int
    waiting: int
    held: int
    parked: int
    next_probe_at: int | None
    since: int
    updated_at: int


def put(connection: Connection, rows: Sequence[LineStatus]) -> None:
    insert_or_update(connection, line_status, [dataclasses.asdict(row) for row in rows])


def remove(connection: Connection, worker: str, partners: Sequence[PartnerId] | None = None) -> None:
    """Take out the rows of a worker that stops, or those of partners it has no line for any more."""
    mine = line_status.c.worker == worker
    if partners is None:
        connection.execute(delete(line_status).where(mine))
        return
    for some in slices(list(partners)):
        connection.execute(delete(line_status).where(mine, line_status.c.partner.in_(some)))


def read(connection: Connection, partner: PartnerId | None = None) -> list[LineStatus]:
    """The lines of all workers, of one partner or of all, stale ones too."""
    chosen = select(line_status).order_by(line_status.c.partner, line_status.c.worker)
    if partner is not None:
        chosen = chosen.where(line_status.c.partner == partner)
    return [
        LineStatus(
            partner=PartnerId(row.partner),
            worker=row.worker,
            phase=row.phase,
            reason=row.reason,
            in_flight=row.in_flight,
            waiting=row.waiting,
            held=row.held,
            parked=row.parked,
            next_probe_at=row.next_probe_at,
            since=row.since,
            updated_at=row.updated_at,
        )
        for row in connection.execute(chosen)
    ]
