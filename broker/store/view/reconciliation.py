"""Reconciliation lists (对账清单): what cities say that they decided and were paid, line by line.

A list is of one partner and month, and the last one that the ledger has of them counts: a city that was wrong
hands in the whole list again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import Connection, func, select

from broker.core.ids import CaseId, PartnerId
from broker.store.access.statements import insert_missing, slices
from broker.store.tables import reconciliation as table

FIRST_LINE: Final = 1
_FETCHED_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciledRow:
    """One line of a list, and the ledger record that holds it.

    ``month`` is YYYY-MM, ``decided_on`` a day as YYYY-MM-DD (None: not decided), ``fee_fen`` what was paid (None:
    not stated). ``line`` counts the lines of the whole list from 1, over all its records.
    """

    partner: PartnerId
    month: str
    number: str
    item: str | None
    decided_on: str | None
    fee_fen: int | None
    ledger_partition: int
    ledger_offset: int
    line: int


def reconciled_case(partner: PartnerId) -> CaseId:
    """The key of a partner's lists on the ledger: no partner has the code 000000."""
    return CaseId(f"000000/reconciled-{partner}")


def insert(connection: Connection, rows: Sequence[ReconciledRow]) -> None:
    """Keep the lines of lists; one that is there already is left as it is."""
    for some in slices(rows):
        insert_missing(connection, table, [asdict(row) for row in some])


def partners(connection: Connection) -> list[PartnerId]:
    """The partners that have handed in a list, in order."""
    chosen = select(table.c.partner).distinct()
    return sorted(PartnerId(row.partner) for row in connection.execute(chosen))


def in_force(connection: Connection, partner: PartnerId) -> Iterator[ReconciledRow]:
    """The lines that count of a partner's lists, month by month, in the lists' order."""
    begun = (
        select(table.c.month, func.max(table.c.ledger_offset).label("since"))
        .where(table.c.partner == partner, table.c.line == FIRST_LINE)
        .group_by(table.c.month)
        .subquery("begun")
    )
    chosen = (
        select(table)
        .join_from(table, begun, table.c.month == begun.c.month)
        .where(table.c.partner == partner, table.c.ledger_offset >= begun.c.since)
        .order_by(table.c.month, table.c.ledger_offset, table.c.line)
    )
    rows = connection.execute(chosen, execution_options={"yield_per": _FETCHED_AT_ONCE})
    for row in rows.mappings():
        yield ReconciledRow(**{str(name): value for name, value in row.items()})
