"""When the deadlines of cases fall, each case under the directory under which it was opened."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import datetime
from typing import Final

from broker.core.case.case_state import CaseState
from broker.core.case.terms import Terms, terms_of_case
from broker.core.catalogue.directory import EMPTY, Directory, read_directory
from broker.core.clocks.deadlines import Deadline, deadlines
from broker.core.message import epoch_ms
from broker.store.access.engine import Store
from broker.store.view import deadlines as rows
from broker.store.view import directory as directory_rows
from broker.store.view.deadlines import Place, Planned, Replanned

PAGE: Final = 200
"""How many cases are looked at together: some 30 ms, in which a process that also takes messages in does nothing else."""
DIRECTORIES: Final = 16
_FAR_MS: Final = 1 << 62


class Planning:
    """Terms and deadlines of cases. Versions of the directory are parsed once, as long as they are asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._directories: OrderedDict[str, Directory] = OrderedDict({"": EMPTY})

    async def terms(self, state: CaseState) -> Terms:
        """The terms of a case. Raises Corrupt when the view does not hold the directory of its opening."""
        return terms_of_case(state, await self._directory(state.directory))

    async def cards(self, state: CaseState) -> tuple[Deadline, ...]:
        """Every card that the case is still to get, by time. Raises Corrupt as :meth:`terms`."""
        of_case = await self.terms(state)
        return deadlines(state, of_case.item, of_case.calendar)

    async def judge(self, each: Planned, now: datetime) -> tuple[list[Deadline], int | None]:
        """The cards of a case that have fallen, and when its next one falls (UTC ms). Raises Corrupt."""
        outstanding = await self.cards(each.state)
        fallen = [card for card in outstanding if card.falls_at <= now]
        return fallen, epoch_ms(outstanding[0].falls_at) if outstanding else None

    async def plan_anew(self) -> tuple[int, int]:
        """Plan every case anew that has a deadline; how many there are, and how many were planned otherwise.

        For an edition of the holiday table that moves days already planned: what falls later now, a look finds
        by itself; what falls earlier, only this does. Raises Unreachable, Corrupt; it may simply be repeated.
        """
        cases, changed = 0, 0
        after: Place | None = None
        while True:
            places = await self._store.read(rows.due, _FAR_MS, after=after, limit=PAGE)
            moved: list[Replanned] = []
            for each in await self._store.read(rows.planned, [case for _, case in places]):
                outstanding = await self.cards(each.state)
                following = epoch_ms(outstanding[0].falls_at) if outstanding else None
                if following != each.falls_at:
                    moved.append((each, following))
            cases += len(places)
            changed += await self._store.call(rows.replan, moved) if moved else 0
            if len(places) < PAGE:
                return cases, changed
            after = places[-1]

    async def _directory(self, version: str) -> Directory:
        if version not in self._directories:
            documents = await self._store.read(directory_rows.documents, version)
            self._directories[version] = read_directory(json.loads(documents))
            if len(self._directories) > DIRECTORIES:
                self._directories.popitem(last=False)
        self._directories.move_to_end(version)
        return self._directories[version]
