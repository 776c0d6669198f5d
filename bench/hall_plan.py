"""The hall's sequence cut into batches, each side's own. Made as they are asked for: nothing grows with the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.hall_days import Said
from bench.hall_letters import HALL, OPENING, SIDES, Writer, side_of

_LAST_STEP: Final = 3


class Batch:
    """Events of one side. ``after``: the numbers of the batches that are to be taken before it."""

    __slots__ = ("after", "events", "number", "raw", "side")

    def __init__(self, number: int, side: str) -> None:
        self.number = number
        self.side = side
        self.events: list[bytes] = []
        self.after: set[int] = set()
        self.raw = b""


class Plan:
    """Cuts the sequence into batches, each side's own, and knows which must wait for which."""

    def __init__(self, sequence: Iterator[Said], writer: Writer, size: int) -> None:
        self._sequence = sequence
        self._writer = writer
        self._size = size
        self._numbers = 0
        self.untaken: set[int] = set()
        """Batches begun, full or not, that the ledger does not have yet."""
        self._building = {side: self._begin(side) for side in SIDES}
        self._last: dict[int, int] = {}

    def next(self) -> Batch | None:
        """The next batch that is full, or at the end one that is not; None when there is no more."""
        for each in self._sequence:
            side = side_of(each.step)
            batch = self._building[side]
            batch.events.append(self._writer.event(each))
            before = self._last.get(each.case)
            if before is not None and before != batch.number:
                batch.after.add(before)
            if each.step == _LAST_STEP:
                del self._last[each.case]
            else:
                self._last[each.case] = batch.number
            if len(batch.events) >= self._size:
                self._building[side] = self._begin(side)
                return batch
        for side in (OPENING, HALL):
            batch = self._building[side]
            if batch.events:
                self._building[side] = self._begin(side)
                return batch
        return None

    def waits_for_building(self, batch: Batch) -> bool:
        """Whether it is to come after one that is not even full yet."""
        return any(each.number in batch.after for each in self._building.values())

    def _begin(self, side: str) -> Batch:
        self._numbers += 1
        self.untaken.add(self._numbers)
        return Batch(self._numbers, side)
