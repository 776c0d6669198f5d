"""Commits: the marks first, then the group's offsets, never above the lowest unfinished."""

from __future__ import annotations

import asyncio

from broker.core.records import Commit
from broker.delivery.held import Held
from broker.delivery.ports import Reader, Rows
from broker.errors import PositionConflict
from broker.store import marks
from broker.telemetry import ROAD


class Commits:
    """One commit at a time for all partitions held."""

    def __init__(self, held: Held, store: Rows) -> None:
        self._held = held
        self._store = store
        self._turn = asyncio.Lock()

    async def commit(self, reader: Reader) -> None:
        """Commit what is finished. Raises Unreachable; nothing is lost by that."""
        async with self._turn:
            # Offsets and marks are read in one breath: nothing may finish between the two.
            due = [
                (tenure, offset, tenure.marks_below(offset))
                for tenure in self._held.tenures.values()
                if tenure.prepared and (offset := tenure.due_commit()) is not None
            ]
            if not due:
                return
            changed = {tenure.place: found for tenure, _, found in due if found is not None}
            if changed:
                await self._store.call(marks.write, changed)
            ROAD.on_step("delivery.committed_store")
            try:
                await reader.commit({tenure.place: Commit(offset) for tenure, offset, _ in due})
            except PositionConflict:
                return  # a partition went to another worker; the rest is committed again next time
            ROAD.on_step("delivery.committed_group")
            for tenure, offset, found in due:
                tenure.committed(offset, marks=found is not None)
