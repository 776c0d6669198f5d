"""Receipts that partners owe (they answered 202): whoever lets the time pass is asked again, under the same id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from broker.core.message import BadRecord, from_record
from broker.core.records import TopicPartition
from broker.delivery.chores import Chores
from broker.delivery.line import PartnerLine
from broker.delivery.parking import works
from broker.delivery.ports import Clock, Opening, Rows
from broker.delivery.receipts import Ending
from broker.delivery.settlement import Settlement, awaited
from broker.delivery.tenure import Entry, Tenure
from broker.errors import Unreachable
from broker.log.topics import outbox
from broker.store import awaiting, frames
from connectors.base import Closed, Deferred, Delivered, Held, Misconfigured, Refused, Taken

_AT_ONCE: Final = 500


class Asking:
    """The overdue receipts of the tenures that this worker holds."""

    def __init__(
        self, *, store: Rows, papers: Opening, settlement: Settlement, clock: Clock, draw: Callable[[], float]
    ) -> None:
        self._store = store
        self._papers = papers
        self._settlement = settlement
        self._clock = clock
        self._draw = draw
        self._chores = Chores()
        self._asking: set[tuple[str, str, str]] = set()

    async def tick(self, held: Mapping[TopicPartition, tuple[PartnerLine, Tenure]]) -> None:
        """Start on messages whose receipts are overdue. Raises Unreachable."""
        now_ms = round(self._clock.now_s() * 1000)
        for row in await self._store.read(awaiting.due, now_ms, _AT_ONCE):
            found = held.get(TopicPartition(outbox(row.partner), row.outbox_partition))
            name = (row.partner, row.source, row.id)
            if found is not None and found[0].health.flows() and name not in self._asking:
                self._asking.add(name)
                self._chores.start(self._ask(*found, row, name))

    async def close(self) -> None:
        await self._chores.close()

    async def _ask(
        self, line: PartnerLine, tenure: Tenure, row: awaiting.Awaited, name: tuple[str, str, str]
    ) -> None:
        tenure.busy += 1
        try:
            record = frames.unpack(row.record)
            keys = await self._papers.keys([row.case])
            entry = Entry(record, from_record(record), tenure, keys.get(row.case))
            entry.attempts = entry.counted = row.attempts
            answer = await line.attempt(entry)
            if not works(tenure):
                return
            match answer:
                case None | Misconfigured() | Closed() | Held():
                    return
                case Deferred(reason=reason, retry_after_s=retry_after_s):
                    await self._ask_later(line, tenure, entry, reason, retry_after_s)
                    return
                case Taken(within_s=within_s):
                    due_s = self._clock.now_s() + within_s
                    await self._store.call_durably(
                        awaiting.put, [awaited(entry, tenure.partner, due_s=due_s)]
                    )
                    return
                case Delivered() | Refused():
                    ending = line.sender.ending(entry, answer)
                case Ending():
                    ending = answer
            await self._settle_awaited(line, tenure, entry, ending)
        except (Unreachable, BadRecord):
            return  # still due: the next tick asks again
        finally:
            tenure.busy -= 1
            self._asking.discard(name)

    async def _ask_later(
        self, line: PartnerLine, tenure: Tenure, entry: Entry, reason: str, retry_after_s: float | None
    ) -> None:
        self._settlement.failed(entry, tenure.partner, "deferred", reason)
        entry.counted += 1
        wait_s = line.schedule.next_after(entry.counted, self._draw(), retry_after_s)
        if wait_s is None:
            ending = line.sender.undeliverable(
                entry, "schedule-used-up", f"taken, but never receipted: {reason}"
            )
            await self._settle_awaited(line, tenure, entry, ending)
            return
        due_s = self._clock.now_s() + wait_s
        await self._store.call_durably(awaiting.put, [awaited(entry, tenure.partner, due_s=due_s)])

    async def _settle_awaited(self, line: PartnerLine, tenure: Tenure, entry: Entry, ending: Ending) -> None:
        await self._settlement.ended(entry, tenure.partner, line.sender.kind, ending)
        name = (entry.message.source, entry.message.id)
        await self._store.call_durably(awaiting.remove, tenure.partner, [name])
