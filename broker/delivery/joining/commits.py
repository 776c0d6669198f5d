"""Commits: marks and note's digest into the store first, then the group's offset with its note.

Never above the lowest unfinished offset. What is finished above it travels in the note, so that a restart or a
rebalance delivers again only what was truly in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection

from broker.core.ids import PartnerId
from broker.core.records import Commit
from broker.delivery.assigned.tenure import Due, Tenure
from broker.delivery.lines.held import Held
from broker.delivery.ports import Reader, Rows
from broker.errors import PositionConflict
from broker.store.delivering import blocked, commit_notes, marks
from broker.telemetry import OFFSET_MAP_BYTES, OFFSET_MAP_LEFT_OUT, ROAD

_All = Sequence[tuple[Tenure, Due]]


class Commits:
    """One commit at a time for all partitions held."""

    def __init__(self, held: Held, store: Rows) -> None:
        self._held = held
        self._store = store
        self._turn = asyncio.Lock()
        self._measured: frozenset[PartnerId] = frozenset()

    async def commit(self, reader: Reader) -> None:
        """Commit what is finished. Raises Unreachable; nothing is lost by that."""
        async with self._turn:
            now_s = asyncio.get_running_loop().time()
            due = [
                (tenure, each)
                for tenure in self._held.tenures.values()
                if tenure.prepared and (each := tenure.due(now_s)) is not None
            ]
            if not due:
                return
            if any(each.marks is not None or each.digests or each.releases for _, each in due):
                await self._store.call(_write, due)
            ROAD.on_step("delivery.committed_store")
            try:
                await reader.commit(
                    {tenure.place: Commit(each.offset, each.note.text) for tenure, each in due}
                )
            except PositionConflict:
                return  # a partition went to another worker; the rest is committed again next time
            ROAD.on_step("delivery.committed_group")
            for tenure, each in due:
                tenure.committed(each, now_s)
            self._measure()

    def _measure(self) -> None:
        largest: dict[PartnerId, int] = dict.fromkeys(self._measured, 0)
        left_out: dict[PartnerId, int] = dict.fromkeys(self._measured, 0)
        for tenure in self._held.tenures.values():
            if note := tenure.note.text:
                largest[tenure.partner] = max(largest.get(tenure.partner, 0), len(note))
            if missing := tenure.note.left_out:
                left_out[tenure.partner] = left_out.get(tenure.partner, 0) + missing
        for partner, size in largest.items():
            OFFSET_MAP_BYTES.labels(partner=partner).set(size)
        for partner, count in left_out.items():
            OFFSET_MAP_LEFT_OUT.labels(partner=partner).set(count)
        self._measured = frozenset(largest.keys() | left_out.keys())


def _write(connection: Connection, due: _All) -> None:
    """All that must be in the store before the group's commit, in one transaction."""
    marks.write(connection, {tenure.place: each.marks for tenure, each in due if each.marks is not None})
    notes = {tenure.place: (each.offset, each.digests) for tenure, each in due if each.digests}
    commit_notes.write(connection, notes)
    if releases := [release for _, each in due for release in each.releases]:
        blocked.release(connection, releases)
