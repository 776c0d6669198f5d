"""The 办不成事 desk: what could not be brought to its recipient, and everything that was done about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, cast

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, literal_column, select, tuple_

from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, Party
from broker.core.operating.desk import Dossier, Standing
from broker.store.access import names
from broker.store.rows import ActRow, MessageRow, Name
from broker.store.tables import dossier as table
from broker.store.tables import dossier_act, message
from broker.store.view.messages import read_message

Lane = tuple[PartnerId, CaseId]
Order = Literal["ledger", "due"]

_ORDERS: Final[Mapping[Order, tuple[ColumnElement[Any], ...]]] = {
    "ledger": (table.c.ledger_partition, table.c.ledger_offset),
    "due": (table.c.due_at, table.c.ledger_partition, table.c.ledger_offset),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many dossiers a partner has of one cause and standing."""

    partner: PartnerId
    cause: str
    standing: Standing
    dossiers: int


def dossier(connection: Connection, source: Party, identity: MessageId) -> Dossier | None:
    """The dossier of a message, or None."""
    row = connection.execute(
        select(table).where(table.c.source == source, table.c.id == identity)
    ).one_or_none()
    return None if row is None else _dossier(row)


def dossiers(
    connection: Connection,
    *,
    partner: PartnerId | None = None,
    cause: str | None = None,
    case: CaseId | None = None,
    standing: Standing | None = Standing.OPEN,
    opened_from_ms: int | None = None,
    opened_to_ms: int | None = None,
    after: Dossier | None = None,
    limit: int = 100,
    order: Order = "ledger",
) -> list[Dossier]:
    """Dossiers that fit all that is given, in the ledger's order or by deadline (the most urgent first).

    ``standing`` None: in any. ``opened_from_ms`` counts, ``opened_to_ms`` does not. ``after``: the last one of
    the page before.
    """
    place = _ORDERS[order]
    wanted: list[ColumnElement[bool]] = []
    if partner is not None:
        wanted.append(table.c.partner == partner)
    if cause is not None:
        wanted.append(table.c.cause == cause)
    if case is not None:
        wanted.append(table.c.case_id == case)
    if standing is not None:
        wanted.append(table.c.status == standing.value)
    if opened_from_ms is not None:
        wanted.append(table.c.opened_at >= opened_from_ms)
    if opened_to_ms is not None:
        wanted.append(table.c.opened_at < opened_to_ms)
    if after is not None:
        last = (after.ledger_partition, after.ledger_offset)
        wanted.append(tuple_(*place) > (last if order == "ledger" else (after.due_at_ms, *last)))
    chosen = select(table).where(*wanted).order_by(*place).limit(limit)
    return [_dossier(row) for row in connection.execute(chosen)]


def acts(connection: Connection, source: Party, identity: MessageId) -> list[ActRow]:
    """The history of a dossier, in the ledger's order: failures, acts of persons, a delivery."""
    chosen = (
        select(dossier_act)
        .where(dossier_act.c.source == source, dossier_act.c.id == identity)
        .order_by(dossier_act.c.ledger_partition, dossier_act.c.ledger_offset)
    )
    rows = connection.execute(chosen).mappings()
    return [ActRow(**{str(column): value for column, value in row.items()}) for row in rows]


def refusals(connection: Connection, of: Dossier) -> list[MessageRow]:
    """The acts on this dossier that the exchange has refused, in the ledger's order, with code and detail."""
    chosen = select(message).where(
        message.c.case_id == of.case,
        message.c.source == BROKER,
        message.c.correlation == of.message,
        message.c.verdict == "refused",
    )
    rows = connection.execute(chosen.order_by(message.c.ledger_offset))
    return [read_message(row) for row in rows.mappings()]


def redrives(connection: Connection, source: Party, identity: MessageId) -> int:
    """How often a message was redriven from the desk."""
    chosen = select(func.count()).where(
        dossier_act.c.source == source, dossier_act.c.id == identity, dossier_act.c.act == "redriven"
    )
    return int(connection.scalar(chosen) or 0)


def counts(connection: Connection) -> list[Count]:
    """How many dossiers there are, by partner, cause and standing."""
    groups = (table.c.partner, table.c.cause, table.c.status)
    chosen = select(*groups, func.count()).group_by(*groups).order_by(*groups)
    return [
        Count(partner=PartnerId(row[0]), cause=row[1], standing=Standing(row[2]), dossiers=row[3])
        for row in connection.execute(chosen)
    ]


def of_names(connection: Connection, of: Collection[Name]) -> list[Dossier]:
    """The dossiers of these messages; one without any is left out."""
    if not of:
        return []
    dialect = connection.dialect.name
    return [_dossier(row) for row in connection.execute(_of_names(dialect), names.pairs(dialect, of))]


def holding(connection: Connection, lanes: Collection[Lane]) -> list[Dossier]:
    """The open dossiers that these lanes (partner and case) wait for."""
    if not lanes:
        return []
    dialect = connection.dialect.name
    pairs = names.pairs(dialect, cast("Collection[Name]", lanes))
    return [_dossier(row) for row in connection.execute(_holding(dialect), pairs)]


def settled(connection: Connection, redriven: Collection[tuple[Name, int]]) -> set[tuple[Name, int]]:
    """Those of these redrives (message, number of its redrive) that have ended: nobody need be brought them again.

    One that the view does not know yet has not ended. What came straight from the ledger (number 0) has ended as
    soon as there is a dossier; :func:`broker.store.view.messages.settled` says the same of it, and of all others.
    """
    found = {each.name: each for each in of_names(connection, {name for name, _ in redriven})}
    return {
        (name, number)
        for name, number in redriven
        if (dossier := found.get(name)) is not None and (dossier.closed or number < dossier.failures)
    }


def columns(of: Dossier) -> tuple[object, ...]:
    """The dossier as a row of ``tables.dossier``, in the order of its columns."""
    return (
        *of.name,
        of.partner,
        of.case,
        of.cause,
        of.detail,
        of.blocks,
        of.ledger_partition,
        of.ledger_offset,
        of.opened_at_ms,
        of.updated_at_ms,
        of.closed_at_ms,
        of.failures,
        of.owner,
        of.due_at_ms,
        of.status.value,
    )


def _dossier(row: Row[Any]) -> Dossier:
    return Dossier(
        name=(Party(row.source), MessageId(row.id)),
        partner=PartnerId(row.partner),
        case=CaseId(row.case_id),
        cause=row.cause,
        detail=row.detail,
        blocks=row.blocks,
        ledger_partition=row.ledger_partition,
        ledger_offset=row.ledger_offset,
        opened_at_ms=row.opened_at,
        updated_at_ms=row.updated_at,
        closed_at_ms=row.closed_at,
        failures=row.failures,
        owner=row.owner,
        due_at_ms=row.due_at,
        status=Standing(row.status),
    )


@cache
def _of_names(dialect: str) -> Select[Any]:
    named = names.paired(dialect)
    return select(table).join_from(
        named, table, and_(table.c.source == named.c.source, table.c.id == named.c.id)
    )


@cache
def _holding(dialect: str) -> Select[Any]:
    named = names.paired(dialect)  # (partner, case) under the names of its columns
    lane = and_(table.c.partner == named.c.source, table.c.case_id == named.c.id)
    standing = and_(table.c.status == literal_column("'open'"), table.c.blocks)
    return select(table).join_from(named, table, and_(lane, standing))
