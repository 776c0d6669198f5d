"""From the ledger to the view: apply what records amount to, and load what judging the next ones needs.

A partition's position moves in the transaction that holds what it stands for, and only from where it stood
before: of two workers that believe they own the partition, one writes and the other writes nothing.
Source: design, promise 5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Select, select, text
from sqlalchemy.exc import IntegrityError

from broker.core.case.lifecycle import CaseState
from broker.core.ids import BROKER, CaseId, PartnerId
from broker.core.message import epoch_ms
from broker.core.operating.desk import Dossier
from broker.core.operating.levers import Levers
from broker.core.receipts import Outcome
from broker.errors import PositionConflict
from broker.store.access import names, prepared
from broker.store.rows import ActRow, CardRow, CaseRow, DirectoryRow, MessageRow, Name, OutcomeRow
from broker.store.tables import HELD, VIEW, case, position
from broker.store.view import desk, reconciliation
from broker.store.view import levers as lever_rows
from broker.store.view.outcomes import Known, Tallies, change_known, known_of, make_known, settle
from broker.store.view.reconciliation import ReconciledRow

__all__ = [
    "NOTHING_OF_THE_DESK",
    "DeskWanted",
    "Known",
    "LedgerBatch",
    "Loaded",
    "apply",
    "change_known",
    "clear_view",
    "load",
    "make_known",
    "positions",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerBatch:
    """What the records of one ledger partition from ``since`` up to, not including, ``until`` amount to.

    ``since`` is the position as :func:`positions` gave it (0 for a partition without one). ``cases``,
    ``dossiers`` and ``levers`` hold each once, in its last state; ``outcomes`` and ``acts`` stand in the
    records' order. ``directory_version`` is the directory in force after the batch. ``known``: messages whose
    rows stand so at ``since``; those of other messages that are settled are read.
    """

    partition: int
    since: int
    until: int
    directory_version: str
    cases: Sequence[CaseRow] = ()
    messages: Sequence[MessageRow] = ()
    outcomes: Sequence[OutcomeRow] = ()
    dossiers: Sequence[Dossier] = ()
    acts: Sequence[ActRow] = ()
    levers: Sequence[Levers] = ()
    directories: Sequence[DirectoryRow] = ()
    cards: Sequence[CardRow] = ()
    reconciled: Sequence[ReconciledRow] = ()
    known: Mapping[Name, Known] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskWanted:
    """What a batch needs of the desk and of the levers, beyond what :func:`load` finds by itself.

    ``names``: messages that acts or failures concern. ``lanes``: partner and case of every redrive, for the
    dossiers that stand before it.
    """

    names: Collection[Name] = ()
    lanes: Collection[desk.Lane] = ()
    levers: Collection[PartnerId] = ()


NOTHING_OF_THE_DESK: Final = DeskWanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What judging a batch needs of the view; what is not there is left out."""

    cases: dict[CaseId, CaseState]
    messages: dict[Name, Known]
    dossiers: Sequence[Dossier] = ()
    levers: Mapping[PartnerId, Levers] = field(default_factory=dict)


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
    prepared.UPSERT_CASE.run(connection, (_case(row) for batch in batches for row in batch.cases))
    known: dict[Name, Known] = {}
    for batch in batches:
        known.update(batch.known)
    settle(connection, [row for batch in batches for row in batch.outcomes], known, tallies)
    prepared.UPSERT_DOSSIER.run(connection, (desk.columns(each) for of in batches for each in of.dossiers))
    prepared.INSERT_ACT.run(connection, (_ACT(row) for batch in batches for row in batch.acts))
    prepared.UPSERT_LEVER.run(connection, (_lever(each) for batch in batches for each in batch.levers))
    versions = sorted((row for batch in batches for row in batch.directories), key=_BY_TIME)
    prepared.UPSERT_DIRECTORY.run(connection, map(_DIRECTORY, versions))
    prepared.INSERT_CARD.run(connection, (_CARD(row) for batch in batches for row in batch.cards))
    reconciliation.insert(connection, [row for batch in batches for row in batch.reconciled])
    prepared.ADD_TALLY.run(connection, tallies.rows())


def positions(connection: Connection, partitions: Collection[int]) -> Mapping[int, tuple[int, str]]:
    """Next offset and directory in force of these partitions; one that the view has nothing of is left out."""
    chosen = select(position).where(position.c.ledger_partition.in_(partitions))
    return {row[0]: (row[1], row[2]) for row in connection.execute(chosen)}


def load(
    connection: Connection,
    case_ids: Collection[CaseId],
    of: Collection[Name],
    wanted: DeskWanted = NOTHING_OF_THE_DESK,
) -> Loaded:
    """The states of these cases, and what is known of the messages of these names (source, id).

    Of the desk, ``wanted``, and the dossier of every message named that ended once and was not delivered: one
    whose receipt is known is told apart by its own row, so that all others cost no look at the desk.
    """
    cases: dict[CaseId, CaseState] = {}
    if case_ids:
        for (state,) in _STATES.run(connection, names.texts(connection.dialect.name, "cases", case_ids)):
            read = CaseState.from_json(state)
            cases[read.case] = read
    known = known_of(connection, of) if of else {}
    ended = {
        name
        for name, row in known.items()
        if row.receipt is not None and row.outcome is not Outcome.DELIVERED
    }
    ended.update(wanted.names)
    found = {each.name: each for each in desk.of_names(connection, ended)}
    found |= {each.name: each for each in desk.holding(connection, wanted.lanes)}
    return Loaded(
        cases=cases,
        messages=known,
        dossiers=tuple(found.values()),
        levers=lever_rows.read(connection, wanted.levers),
    )


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
_ACT: Final = attrgetter(*prepared.INSERT_ACT.order)
_CARD: Final = attrgetter(*prepared.INSERT_CARD.order)
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
    stands = [row for row in rows if row.verdict != "refused"]
    try:
        prepared.INSERT_MESSAGE.run(connection, map(_MESSAGE, stands))
    except IntegrityError as fault:
        raise PositionConflict("a message judged new was stored meanwhile: judge the batch again") from fault
    prepared.INSERT_REFUSED.run(connection, (_MESSAGE(row) for row in rows if row.verdict == "refused"))
    for row in stands:
        if row.verdict == "applied" and row.destination != BROKER:
            tallies.accepted(row.destination, row.ledger_partition, row.message_class)


def _lever(of: Levers) -> tuple[object, ...]:
    return (of.partner, of.paused is not None, of.updated_at_ms, of.to_json())


def _case(row: CaseRow) -> tuple[object, ...]:
    state = row.state
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
        row.falls_at,
    )


def _states(dialect: str) -> Select[Any]:
    return select(case.c.state).where(case.c.case_id.in_(names.listed(dialect, "cases")))


_STATES: Final = prepared.fetching(_states)
