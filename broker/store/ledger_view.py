"""From the ledger to the view: apply what records amount to, and load what judging the next ones needs.

A partition's position moves in the transaction that holds what it stands for, and only from where it stood
before: of two workers that believe they own the partition, one writes and the other writes nothing.
Source: design, promise 5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, select, text
from sqlalchemy.exc import IntegrityError

from broker.core import routing
from broker.core.ids import CaseId, MessageId, Party
from broker.core.lifecycle import CaseState
from broker.core.message import epoch_ms
from broker.core.receipts import Outcome
from broker.errors import PositionConflict
from broker.store import names, prepared
from broker.store.outcomes import Tallies, settle
from broker.store.rows import DirectoryRow, DossierRow, MessageRow, Name, OutcomeRow
from broker.store.tables import HELD, VIEW, case, message, position


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerBatch:
    """What the records of one ledger partition from ``since`` up to, not including, ``until`` amount to.

    ``since`` is the position as :func:`positions` gave it (0 for a partition without one). ``cases`` hold
    each case once, in its last state. ``directory_version`` is the directory in force after the batch.
    """

    partition: int
    since: int
    until: int
    directory_version: str
    cases: Sequence[CaseState] = ()
    messages: Sequence[MessageRow] = ()
    outcomes: Sequence[OutcomeRow] = ()
    dossiers: Sequence[DossierRow] = ()
    directories: Sequence[DirectoryRow] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known(routing.Known):
    """What the view holds of a message: enough to tell a repeat from a reuse, and to answer a repeat."""

    ledger_partition: int
    ledger_offset: int
    verdict: str
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What judging a batch needs of the view; what is not there is left out."""

    cases: dict[CaseId, CaseState]
    messages: dict[Name, Known]


def apply(connection: Connection, batches: Sequence[LedgerBatch]) -> None:
    """Write all batches and move their partitions' positions: all of it, or nothing.

    A name belongs to the first message that came under it: a refused one that reuses it gets no row. An
    outcome replaces an earlier one, but never ``delivered``. Raises :class:`PositionConflict`, and the
    transaction leaves nothing behind, when a position is not at ``since`` or a message judged new is there
    already: the caller then loads and judges again.
    """
    # In one order everywhere, so that two workers cannot wait for each other.
    for batch in sorted(batches, key=attrgetter("partition")):
        _move(connection, batch)
    tallies = Tallies()
    _insert_messages(connection, [row for batch in batches for row in batch.messages], tallies)
    prepared.UPSERT_CASE.run(connection, (_case(state) for batch in batches for state in batch.cases))
    settle(connection, [row for batch in batches for row in batch.outcomes], tallies)
    prepared.UPSERT_DOSSIER.run(connection, (_DOSSIER(row) for batch in batches for row in batch.dossiers))
    versions = sorted((row for batch in batches for row in batch.directories), key=_BY_TIME)
    prepared.UPSERT_DIRECTORY.run(connection, map(_DIRECTORY, versions))
    prepared.ADD_TALLY.run(connection, tallies.rows())


def positions(connection: Connection, partitions: Collection[int]) -> Mapping[int, tuple[int, str]]:
    """Next offset and directory in force of these partitions; one that the view has nothing of is left out."""
    chosen = select(position).where(position.c.ledger_partition.in_(partitions))
    return {row[0]: (row[1], row[2]) for row in connection.execute(chosen)}


def load(connection: Connection, case_ids: Collection[CaseId], of: Collection[Name]) -> Loaded:
    """The states of these cases, and what is known of the messages of these names (source, id)."""
    dialect = connection.dialect.name
    loaded = Loaded(cases={}, messages={})
    if case_ids:
        for (state,) in connection.execute(_states(dialect), names.texts(dialect, "cases", case_ids)):
            read = CaseState.from_json(state)
            loaded.cases[read.case] = read
    if of:
        for row in connection.execute(_known(dialect), names.pairs(dialect, of)):
            loaded.messages[(Party(row[0]), MessageId(row[1]))] = Known(
                digest=row[2],
                outcome=None if row[3] is None else Outcome(row[3]),
                receipt=row[4],
                ledger_partition=row[5],
                ledger_offset=row[6],
                verdict=row[7],
                code=row[8],
            )
    return loaded


def clear_view(connection: Connection) -> None:
    """Empty every table that a rebuild fills again. The vault is no part of it, whatever database it is in."""
    if connection.dialect.name == "postgresql":
        tables = ", ".join(
            connection.dialect.identifier_preparer.format_table(table) for table in (*VIEW, *HELD)
        )
        connection.execute(text(f"TRUNCATE {tables}"))
        return
    for table in (*VIEW, *HELD):
        connection.execute(table.delete())


_MESSAGE: Final = attrgetter(*prepared.INSERT_MESSAGE.order)
_DOSSIER: Final = attrgetter(*prepared.UPSERT_DOSSIER.order)
_BY_TIME: Final = attrgetter("version", "applied_at", "applied_by", "reason")
_DIRECTORY: Final = attrgetter(*prepared.UPSERT_DIRECTORY.order)


def _move(connection: Connection, batch: LedgerBatch) -> None:
    assert 0 <= batch.since <= batch.until, "a batch cannot move its partition back"
    if batch.since == 0:
        first = (batch.partition, batch.until, batch.directory_version)
        moved = prepared.FIRST_POSITION.run(connection, first)
    else:
        further = (batch.until, batch.directory_version, batch.partition, batch.since)
        moved = prepared.NEXT_POSITION.run(connection, further)
    if moved.rowcount != 1:
        raise PositionConflict(f"ledger partition {batch.partition} is no longer at offset {batch.since}")


def _insert_messages(connection: Connection, rows: Sequence[MessageRow], tallies: Tallies) -> None:
    applied = [row for row in rows if row.verdict == "applied"]
    try:
        prepared.INSERT_MESSAGE.run(connection, map(_MESSAGE, applied))
    except IntegrityError as fault:
        raise PositionConflict("a message judged new was stored meanwhile: judge the batch again") from fault
    prepared.INSERT_REFUSED.run(connection, (_MESSAGE(row) for row in rows if row.verdict != "applied"))
    for row in applied:
        tallies.accepted(row.destination, row.ledger_partition, row.message_class)


def _case(state: CaseState) -> tuple[object, ...]:
    return (
        state.case,
        state.opening,
        state.responsible,
        state.item,
        state.mode,
        state.status,
        epoch_ms(state.opened_at),
        epoch_ms(state.updated_at),
        state.to_json(),
    )


@cache
def _states(dialect: str) -> Select[Any]:
    return select(case.c.state).where(case.c.case_id.in_(names.listed(dialect, "cases")))


@cache
def _known(dialect: str) -> Select[Any]:
    named = names.paired(dialect)
    return select(
        message.c.source,
        message.c.id,
        message.c.digest,
        message.c.outcome,
        message.c.receipt_id,
        message.c.ledger_partition,
        message.c.ledger_offset,
        message.c.verdict,
        message.c.code,
    ).join_from(named, message, and_(message.c.source == named.c.source, message.c.id == named.c.id))
