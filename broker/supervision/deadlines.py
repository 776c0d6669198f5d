"""Cards are issued by themselves: what has fallen due is written to the ledger, one record to each side.

Any number of workers may do this at once: they write the same records to the byte, and the exchange issues each
card once, in log order. What fell while none was at work falls at the next look. Source: issue 5, 5.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from broker.core.clocks.deadlines import Deadline
from broker.core.ids import CaseId
from broker.core.message import epoch_ms
from broker.core.records import NewRecord, Position
from broker.errors import Corrupt, TongbanError, WrongUse
from broker.log.values.codec import Codec
from broker.store.access.engine import Store
from broker.store.view import deadlines as rows
from broker.store.view.deadlines import Place, Planned, Replanned
from broker.supervision.cards import card_records
from broker.supervision.planning import PAGE, Planning
from broker.telemetry import DEADLINE_DELAY, get_log

MOST_WRITTEN: Final = 100_000
AGAIN_S: Final = 600.0
"""What the exchange has not judged for so long is written once more: the same records, so nothing comes of it twice."""
_log = get_log("supervision")


class Writer(Protocol):
    """The log's writer. Raises ``NotDurable`` or ``Unreachable``: the same records are then written again."""

    async def write(self, records: Sequence[NewRecord], *, deadline_s: float = 15.0) -> list[Position]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look came to: cases whose deadlines fell, cards written, cases that only had to be planned anew."""

    cases: int = 0
    cards: int = 0
    replanned: int = 0

    def plus(self, other: Look) -> Look:
        return Look(
            cases=self.cases + other.cases,
            cards=self.cards + other.cards,
            replanned=self.replanned + other.replanned,
        )


class Deadlines:
    """Looks at what is due and writes its cards."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        codec: Codec,
        *,
        ledger_partitions: int,
        now: Callable[[], datetime],
        page: int = PAGE,
    ) -> None:
        self._store = store
        self._writer = writer
        self._codec = codec
        self._ledger_partitions = ledger_partitions
        self._now = now
        self._page = page
        self._written = _Written()
        self._planning = Planning(store)

    async def run(self, every_s: float) -> None:
        """Look every so many seconds until cancelled. What is away is waited for: nothing is skipped meanwhile."""
        while True:
            try:
                found = await self.look()
                if found.cards or found.replanned:
                    _log.info(
                        "deadlines_fallen", cases=found.cases, cards=found.cards, replanned=found.replanned
                    )
            except TongbanError as fault:
                _log.warning("dependency_lost", stage="supervision", reason=str(fault))
            await asyncio.sleep(every_s)

    async def look(self) -> Look:
        """Write the cards of all that has fallen by now, page by page. When it returns they are durable.

        Raises Unreachable or NotDurable: what was not written is found again at the next look.
        """
        now, after, sum_ = self._now(), None, Look()
        while True:
            places = await self._store.read(rows.due, epoch_ms(now), after=after, limit=self._page)
            new = [each for each in places if not self._written.holds(each, now)]
            if new:
                sum_ = sum_.plus(await self._fall(new, now))
            if len(places) < self._page:
                return sum_
            after = places[-1]

    async def _fall(self, places: Sequence[Place], now: datetime) -> Look:
        found = await self._store.read(rows.planned, [case for _, case in places])
        records: list[NewRecord] = []
        fallen: list[tuple[Place, Deadline]] = []
        moved: list[Replanned] = []
        for each in found:
            try:
                cards, following = await self._planning.judge(each, now)
                for card in cards:
                    records += self._records(each, card)
            except (
                Corrupt,
                WrongUse,
            ) as fault:  # a rebuild, or a directory, mends it; others are not held up
                _log.error("record_unreadable", case_id=each.state.case, reason=str(fault))
                continue
            fallen += [((epoch_ms(card.falls_at), each.state.case), card) for card in cards]
            if not cards and following != each.falls_at:
                moved.append((each, following))
        replanned = await self._store.call(rows.replan, moved) if moved else 0
        if records:
            await self._writer.write(records)
            DEADLINE_DELAY.set(max((now - card.falls_at).total_seconds() for _, card in fallen))
        anew = {each.state.case for each, _ in moved}
        self._written.add([place for place, _ in fallen], now)
        self._written.add([place for place in places if place[1] not in anew], now)
        return Look(cases=len({case for (_, case), _ in fallen}), cards=len(fallen), replanned=replanned)

    def _records(self, each: Planned, card: Deadline) -> list[NewRecord]:
        return card_records(self._codec, each.state, card, ledger_partitions=self._ledger_partitions)


class _Written:
    """What this worker has written lately, so that it does not write it again while the exchange is yet to judge."""

    def __init__(self) -> None:
        self._until: OrderedDict[tuple[int, CaseId], datetime] = OrderedDict()

    def holds(self, place: Place, now: datetime) -> bool:
        until = self._until.get(place)
        return until is not None and now < until

    def add(self, places: Iterable[Place], now: datetime) -> None:
        for place in places:
            self._until[place] = now + timedelta(seconds=AGAIN_S)
            self._until.move_to_end(place)
        while len(self._until) > MOST_WRITTEN:
            self._until.popitem(last=False)
