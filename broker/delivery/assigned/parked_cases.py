"""The parked lanes of one tenure: their rows are in the store, their times are here, the next due first."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from broker.core.ids import CaseId


class ParkedCase:
    """One parked lane. ``attempts`` are those that the schedule has counted of the message at its head."""

    __slots__ = ("appending", "attempts", "busy", "due_ms", "ended_at", "ending", "reason")

    def __init__(self, *, due_ms: int, attempts: int, reason: str) -> None:
        self.due_ms = due_ms
        self.attempts = attempts
        self.reason = reason
        self.appending = 0
        """Records on their way to the lane's end: it is not gone before they are there."""
        self.busy = False
        self.ending = False
        """It is on its way to the desk, and what still comes behind it goes along."""
        self.ended_at = 0
        """Up to which offset the outbox had been read when its head went."""


class ParkedCases:
    """By case. What is due is found without looking at the rest: there may be a hundred thousand."""

    def __init__(self) -> None:
        self._cases: dict[CaseId, ParkedCase] = {}
        self._due: list[tuple[int, CaseId]] = []

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[CaseId]:
        return iter(self._cases)

    def __getitem__(self, case: CaseId) -> ParkedCase:
        return self._cases[case]

    def get(self, case: CaseId) -> ParkedCase | None:
        return self._cases.get(case)

    def add(self, case: CaseId, place: ParkedCase) -> None:
        self._cases[case] = place
        heappush(self._due, (place.due_ms, case))

    def postpone(self, case: CaseId, due_ms: int) -> None:
        """Another time for a lane, later or earlier; also to have it found due again after :meth:`due`."""
        place = self._cases[case]
        place.due_ms = due_ms
        heappush(self._due, (due_ms, case))

    def remove(self, case: CaseId) -> None:
        del self._cases[case]

    def due(self, now_ms: int, most: int) -> list[tuple[CaseId, ParkedCase]]:
        """At most ``most`` lanes whose time has come, the longest due first. They are busy from now on.

        One that is given out comes again only by :meth:`postpone`, once it is not busy any more.
        """
        found: list[tuple[CaseId, ParkedCase]] = []
        while len(found) < most and self._due and self._due[0][0] <= now_ms:
            due_ms, case = heappop(self._due)
            place = self._cases.get(case)
            if place is not None and place.due_ms == due_ms and not place.busy:
                place.busy = True
                found.append((case, place))
        return found
