"""The levers that operators have pulled, per partner."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from broker.core.ids import PartnerId
from broker.core.operating.levers import Levers
from broker.store.access.statements import slices
from broker.store.tables import lever as table


def read_all(connection: Connection) -> dict[PartnerId, Levers]:
    """The levers of every partner of whom any was ever pulled."""
    rows = connection.execute(select(table.c.partner, table.c.state))
    return {PartnerId(row[0]): Levers.from_json(row[1]) for row in rows}


def read(connection: Connection, partners: Collection[PartnerId]) -> dict[PartnerId, Levers]:
    """The levers of these partners; one of whom none was ever pulled is left out."""
    found: dict[PartnerId, Levers] = {}
    for some in slices(list(partners)):
        chosen = select(table.c.partner, table.c.state).where(table.c.partner.in_(some))
        found |= {PartnerId(row[0]): Levers.from_json(row[1]) for row in connection.execute(chosen)}
    return found
