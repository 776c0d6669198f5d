"""The desk while a batch of records is judged: the dossiers concerned, and which one is first in its lane."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from broker.core.ids import CaseId, PartnerId
from broker.core.operating.desk import Dossier, Name


class Desk:
    """The dossiers that a batch of records concerns, as they stand after each of its records."""

    def __init__(self, dossiers: Iterable[Dossier] = ()) -> None:
        self._dossiers: dict[Name, Dossier] = {}
        self._holding: dict[tuple[PartnerId, CaseId], list[tuple[int, Name]]] = {}
        self.changed: dict[Name, Dossier] = {}
        """Those that :meth:`put` has changed, in their last state."""
        for each in dossiers:
            self._keep(each)

    def find(self, name: Name) -> Dossier | None:
        return self._dossiers.get(name)

    def put(self, dossier: Dossier) -> None:
        """The dossier's new state."""
        self._keep(dossier)
        self.changed[dossier.name] = dossier

    def first(self, partner: PartnerId, case: CaseId) -> Dossier | None:
        """The earliest dossier, by its message's place on the ledger, that holds this lane."""
        held = self._holding.get((partner, case), [])
        while held:
            found = self._dossiers[held[0][1]]
            if found.holds_its_lane:
                return found
            heappop(held)
        return None

    def _keep(self, dossier: Dossier) -> None:
        self._dossiers[dossier.name] = dossier
        if dossier.holds_its_lane:
            lane = self._holding.setdefault((dossier.partner, dossier.case), [])
            heappush(lane, (dossier.ledger_offset, dossier.name))
