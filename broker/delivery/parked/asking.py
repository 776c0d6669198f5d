"""Receipts that partners owe (they answered 202): whoever lets the time pass is asked again, under the same id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from broker.core.message import BadRecord, from_record
from broker.core.records import TopicPartition
from broker.delivery.assigned.tenure import Entry, Tenure
from broker.delivery.chores import Chores
from broker.delivery.ending.receipts import Ending
from broker.delivery.ending.settlement import Settlement, awaited
from broker.delivery.lines.line import PartnerLine
from broker.delivery.parked.retrying import works
from broker.delivery.ports import Clock, Opening, Rows
from broker.errors import Unreachable
from broker.log.admin.topics import outbox
from broker.store.delivering import awaiting, frames
from connectors.base import Closed, Deferred, Delivered, Held, Misconfigured, Refused, Taken

_AT_ONCE: Final = 500
_LOOK_MS: Final = 5_000
NEVER_RECEIPTED: Final = "never-receipted"
"""The cause of a dossier whose message the partner took and never spoke of again. It holds no lane: what came
behind it has gone on already."""


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
        self._look_ms = 0
        self._asking: set[tuple[str, str, str]] = set()

    async def tick(self, held: Mapping[TopicPartition, tuple[PartnerLine, Tenure]]) -> None:
        """Start on messages whose receipts are overdue. Raises Unreachable."""
        now_ms = round(self._clock.now_s() * 1000)
        if now_ms < self._look_ms:
            return
        self._look_ms = now_ms + _LOOK_MS
        lines = {line.partner.id: line for line, _ in held.values()}
        able = {
            partner: line.guests.room
            for partner, line in lines.items()
            if line.flows() and line.open_at(now_ms) and line.guests.room
        }
        if not able:
            return
        for row in await self._store.read(awaiting.due, now_ms, _AT_ONCE, able):
            found = held.get(TopicPartition(outbox(row.partner), row.outbox_partition))
            name = (row.partner, row.source, row.id)
            if found is None or name in self._asking or not works(found[1]):
                continue
            if not able[row.partner]:
                self._look_ms = now_ms  # more are due than there are slots: look again at once
                continue
            able[row.partner] -= 1
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
            if not tenure.alive:
                return
            match answer:
                case None | Misconfigured() | Closed() | Held():
                    return
                case Deferred():
                    if not tenure.closing:
                        await self._ask_later(line, tenure, entry, answer)
                    return
                case Taken(within_s=within_s):
                    await self._put(
                        tenure, awaited(entry, tenure.partner, due_s=self._clock.now_s() + within_s)
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

    async def _ask_later(self, line: PartnerLine, tenure: Tenure, entry: Entry, answer: Deferred) -> None:
        entry.counted += 1
        schedule = line.schedules.of(entry.message.item)
        wait_s = schedule.next_after(entry.counted, self._draw(), answer.retry_after_s)
        if wait_s is None:
            self._settlement.failed(entry, tenure.partner, "deferred", answer.reason)
            detail = f"taken, but never receipted: {answer.reason}"
            ending = line.sender.undeliverable(entry, NEVER_RECEIPTED, detail)
            await self._settle_awaited(line, tenure, entry, ending)
            return
        due_ms = line.later_ms(round(self._clock.now_s() * 1000), wait_s)
        self._settlement.failed(entry, tenure.partner, "deferred", answer.reason, due_ms)
        await self._put(tenure, awaited(entry, tenure.partner, due_s=due_ms / 1000))

    async def _settle_awaited(self, line: PartnerLine, tenure: Tenure, entry: Entry, ending: Ending) -> None:
        await self._settlement.ended(entry, tenure.partner, line.sender.kind, ending)
        name = (entry.message.source, entry.message.id)
        await self._settlement.stored(
            tenure, lambda connection: awaiting.remove(connection, tenure.partner, [name])
        )

    async def _put(self, tenure: Tenure, owed: awaiting.Awaited) -> None:
        await self._settlement.stored(tenure, lambda connection: awaiting.put(connection, [owed]))
