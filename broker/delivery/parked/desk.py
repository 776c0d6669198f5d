"""Lanes on their way to the 办不成事 desk, in order: those whose schedule is used up, and what comes behind.

The rows that hold the lane come first, then the records (the dossier, and the notice to its sender), then the
offsets and parked rows are let go. So a person who acts on a dossier always finds its lane held; a kill in
between says the same things again, under the same ids, before anything later of the partition is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection

from broker.core.ids import CaseId, PartnerId
from broker.core.message import from_record
from broker.core.operating.desk import BEHIND_A_DOSSIER, SCHEDULE_USED_UP
from broker.delivery.assigned.parked_cases import ParkedCase
from broker.delivery.assigned.tenure import Entry, Tenure
from broker.delivery.ending.receipts import Ending, is_receipted
from broker.delivery.ending.settlement import Settlement
from broker.delivery.lines.answers import finish
from broker.delivery.lines.line import PartnerLine
from broker.delivery.ports import Rows
from broker.store.delivering import blocked, frames, parked
from broker.store.delivering.blocked import BlockedMessage
from broker.store.delivering.parked import ParkedLane, ParkedMessage

_BEHIND: Final = "an earlier message of its case is on the desk"


class Desk:
    """What delivery puts on the desk by the lane."""

    def __init__(self, store: Rows, settlement: Settlement) -> None:
        self._store = store
        self._settlement = settlement

    def behind(self, line: PartnerLine, entry: Entry) -> None:
        """A message whose case is on the desk: it keeps its place behind the others there."""
        tenure = entry.tenure
        tenure.busy += 1
        row = _hold(entry)
        ending = line.sender.undeliverable(entry, BEHIND_A_DOSSIER, _BEHIND)

        def held() -> None:
            self._settlement.end(entry, tenure.partner, line.sender.kind, ending, partial(finish, entry))

        self._settlement.store(
            tenure, lambda connection: blocked.put(connection, tenure.partner, [row]), held
        )

    async def give_up(
        self, line: PartnerLine, place: ParkedCase, entries: Sequence[Entry], *, reason: str
    ) -> None:
        """The schedule of a parked lane's head is used up: it goes, and so do these behind it, in order.

        ``entries`` are the next of the lane; ``place.ending`` says whether the head has gone before. Some stay:
        receipts behind the head, which open no dossier, so that nobody could ever bring them home; and what was
        redriven since the head went. Raises Unreachable.
        """
        tenure, going = entries[0].tenure, list[Entry]()
        endings: list[Ending] = []
        for entry in entries:
            head = not place.ending
            if not head and not _goes_along(entry, place):
                continue
            code = SCHEDULE_USED_UP if head else BEHIND_A_DOSSIER
            detail = f"the schedule is used up: {reason}" if head else _BEHIND
            entry.attempts = place.attempts if head else 0
            if head:
                place.ending, place.ended_at = True, tenure.next
            if is_receipted(entry.message):
                _hold(entry)
            going.append(entry)
            endings.append(line.sender.undeliverable(entry, code, detail))
        rows = [_row(entry) for entry in going if is_receipted(entry.message)]
        await self._settlement.stored(
            tenure, lambda connection: blocked.put(connection, tenure.partner, rows)
        )
        await self._settle(line, tenure, going, endings)
        place.attempts = 0

    async def complete(self, line: PartnerLine, tenure: Tenure, lanes: Mapping[CaseId, ParkedLane]) -> None:
        """Finish what a kill has interrupted, before anything is read: lanes held already, but parked still.

        Raises Unreachable.
        """
        going = [_entry(row, tenure) for row in await self._store.read(parked.held, *_where(tenure))]
        endings: list[Ending] = []
        heads: set[CaseId] = set()
        for entry in going:
            case = entry.message.case
            lane = lanes.get(case)
            if lane is not None and lane.attempts and case not in heads:
                heads.add(case)
                entry.attempts = lane.attempts
                detail = f"the schedule is used up: {lane.reason}"
                endings.append(line.sender.undeliverable(entry, SCHEDULE_USED_UP, detail))
            else:
                endings.append(line.sender.undeliverable(entry, BEHIND_A_DOSSIER, _BEHIND))
        if going:
            await self._settle(line, tenure, going, endings)

    async def _settle(
        self, line: PartnerLine, tenure: Tenure, going: Sequence[Entry], endings: Sequence[Ending]
    ) -> None:
        """Tell, and then let the parked rows go."""
        told = [
            asyncio.ensure_future(self._settlement.ended(entry, tenure.partner, line.sender.kind, ending))
            for entry, ending in zip(going, endings, strict=True)
        ]
        await asyncio.gather(*told)
        places: dict[CaseId, list[tuple[int, int]]] = {}
        for entry in going:
            position = entry.record.position
            places.setdefault(entry.message.case, []).append((position.partition, position.offset))

        def let_go(connection: Connection) -> None:
            for case, each in places.items():
                parked.settle(connection, tenure.partner, case, each)

        await self._settlement.stored(tenure, let_go)


def _goes_along(entry: Entry, place: ParkedCase) -> bool:
    """Whether a message of the lane goes to the desk behind its head."""
    message = entry.message
    if not is_receipted(message) or message.case not in entry.tenure.blocked:
        return False
    return not message.redrive or entry.record.position.offset < place.ended_at


def _hold(entry: Entry) -> BlockedMessage:
    """The lane is held by this message from now on."""
    message = entry.message
    entry.tenure.blocked.add(message.case, message.name, entry.record.position.offset)
    return _row(entry)


def _row(entry: Entry) -> BlockedMessage:
    message, position = entry.message, entry.record.position
    return BlockedMessage(
        case=message.case,
        source=message.source,
        id=message.id,
        outbox_partition=position.partition,
        outbox_offset=position.offset,
    )


def _entry(row: ParkedMessage, tenure: Tenure) -> Entry:
    record = frames.unpack(row.record)
    return Entry(record, from_record(record), tenure, None)


def _where(tenure: Tenure) -> tuple[PartnerId, int]:
    return tenure.partner, tenure.place.partition
