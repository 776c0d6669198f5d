"""The records that acts redrive, read again from the ledger: what goes out a second time is the first's bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from broker.core.desk import Act
from broker.core.ids import MessageId
from broker.core.message import BadRecord, from_record
from broker.core.records import Position, Record
from broker.core.routing import acknowledged, act_of
from broker.errors import Corrupt
from broker.exchange.ports import ReadAt
from broker.exchange.reading import Read
from broker.log.topics import LEDGER
from broker.store.ledger_view import Known
from broker.store.rows import Name
from broker.store.statements import slices

_AT_ONCE: Final = 500
"""Each position is a fetch of its own: so many are well within the client's time-out."""


async def read_originals(
    read_at: ReadAt, reads: Sequence[Read], known: Mapping[Name, Known]
) -> dict[Name, Record]:
    """For every message that an act among ``reads`` redrives, its record; one that the ledger does not show is left out.

    Costs nothing where there is no such act. Raises Unreachable.
    """
    wanted = {name for each in reads if (name := _redriven(each)) is not None}
    if not wanted:
        return {}
    found: dict[Name, Record] = {}
    for each in reads:
        if (name := _named(each)) in wanted:
            found.setdefault(name, each.record)
    places = {
        Position(LEDGER, known[name].ledger_partition, known[name].ledger_offset): name
        for name in wanted
        if name in known  # the view knows the first of that name, whatever else this batch holds
    }
    for record in await _read_all(read_at, sorted(places)):
        found[places[record.position]] = record
    return {name: record for name, record in found.items() if _is(record, name)}


def _redriven(each: Read) -> Name | None:
    if act_of(each.message) is not Act.REDRIVEN:
        return None
    try:
        source, identity = acknowledged(each.message)
    except ValueError:
        return None
    return source, MessageId(identity)


def _named(each: Read) -> Name:
    return each.message.source, each.message.id


async def _read_all(read_at: ReadAt, positions: Sequence[Position]) -> Iterable[Record]:
    found: list[Record] = []
    for some in slices(positions, _AT_ONCE):
        try:
            found += await read_at(some)
        except Corrupt:  # one of them is not there: which, is told one by one
            found += [each for place in some for each in await _read_one(read_at, place)]
    return found


async def _read_one(read_at: ReadAt, position: Position) -> list[Record]:
    try:
        return await read_at([position])
    except Corrupt:
        return []


def _is(record: Record, name: Name) -> bool:
    try:
        message = from_record(record)
    except BadRecord:
        return False
    return (message.source, message.id) == name
