"""The yellow and red cards that were issued."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Row, or_, select, tuple_

from broker.core.case.case_state import CaseState
from broker.core.ids import CaseId, PartnerId
from broker.store.rows import CardRow
from broker.store.tables import card, case

_COLUMNS: Final = tuple(str(each.name) for each in card.columns)


def of_case(connection: Connection, of: CaseId) -> list[CardRow]:
    """The cards of a case, in the order in which they were issued."""
    chosen = select(card).where(card.c.case_id == of)
    rows = connection.execute(chosen.order_by(card.c.ledger_partition, card.c.ledger_offset))
    return [_card(row) for row in rows]


def issued(
    connection: Connection,
    *,
    partner: PartnerId | None = None,
    light: str | None = None,
    before: CardRow | None = None,
    limit: int = 500,
) -> list[tuple[CardRow, CaseState]]:
    """Cards and the state of their cases, the latest first: of a partner on either side, of one colour.

    ``before``: the last one of the page before.
    """
    chosen = select(card, case.c.state).join(case, case.c.case_id == card.c.case_id)
    if partner is not None:
        chosen = chosen.where(or_(card.c.opening == partner, card.c.responsible == partner))
    if light is not None:
        chosen = chosen.where(card.c.light == light)
    place = (card.c.issued_at, card.c.ledger_partition, card.c.ledger_offset)
    if before is not None:
        last = (before.issued_at, before.ledger_partition, before.ledger_offset)
        chosen = chosen.where(tuple_(*place) < last)
    rows = connection.execute(chosen.order_by(*(each.desc() for each in place)).limit(limit))
    return [(_card(row), CaseState.from_json(row.state)) for row in rows]


def _card(row: Row[tuple[object, ...]]) -> CardRow:
    return CardRow(**{name: getattr(row, name) for name in _COLUMNS})
