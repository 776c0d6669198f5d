"""Records read again from the ledger: those that acts redrive, and the submissions that bundles' later parts copy.

What goes out a second time is the first's bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from broker.core.bundle import bundles
from broker.core.case.case_state import CaseState
from broker.core.case.routing import acknowledged, act_of
from broker.core.ids import CaseId, MessageId, key_case
from broker.core.message import BadRecord, from_record
from broker.core.operating.desk import Act
from broker.core.records import Position, Record
from broker.errors import Corrupt
from broker.exchange.ports import ReadAt
from broker.exchange.reading import Read
from broker.log.admin.topics import LEDGER
from broker.store.access.statements import slices
from broker.store.rows import Name
from broker.store.view.ledger_view import Known

NO_CASES: Final[Mapping[CaseId, CaseState]] = {}

_OPENS_PARTS: Final = frozenset({bundles.ACCEPTED, bundles.DECIDED})
"""The lead's acceptance opens the first parts of a joint case, a grant those that come after it."""

_AT_ONCE: Final = 500
"""Each position is a fetch of its own: so many are well within the client's time-out."""


async def read_originals(
    read_at: ReadAt,
    reads: Sequence[Read],
    known: Mapping[Name, Known],
    cases: Mapping[CaseId, CaseState] = NO_CASES,
) -> dict[Name, Record]:
    """Records by name; one that the ledger does not show is left out.

    Of every message that an act among ``reads`` redrives; and the submission of every bundle among ``cases`` of which
    these reads may open further parts (one that they open themselves is seen when it is judged). Costs next to nothing
    where there is neither. Raises Unreachable.
    """
    wanted = {name for each in reads if (name := _redriven(each)) is not None}
    places = _of_bundles(reads, cases)
    if not wanted and not places:
        return {}
    found: dict[Name, Record] = {}
    for each in reads:
        if (name := _named(each)) in wanted:
            found.setdefault(name, each.record)
    places |= {
        Position(LEDGER, known[name].ledger_partition, known[name].ledger_offset): name
        for name in wanted
        if name in known  # the view knows the first of that name, whatever else this batch holds
    }
    for record in await _read_all(read_at, sorted(places)):
        found[places[record.position]] = record
    return {name: record for name, record in found.items() if _is(record, name)}


def _of_bundles(reads: Sequence[Read], cases: Mapping[CaseId, CaseState]) -> dict[Position, Name]:
    places: dict[Position, Name] = {}
    for each in reads:
        if each.message.type not in _OPENS_PARTS:
            continue
        parent = cases.get(key_case(each.message.case))
        bundle = parent.bundle if parent is not None else None
        if bundle is None or not any(part.status is bundles.PartStatus.HELD for part in bundle.parts):
            continue
        places[Position(LEDGER, bundle.partition, bundle.offset)] = bundles.submission_name(bundle)
    return places


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
