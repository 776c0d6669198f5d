"""What follows from an answer to a message of a lane: settled, held for seconds, put back, or parked.

Exactly one of these for each answer, and the tenure's ``busy`` goes down with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, assert_never

from broker.delivery.assigned.tenure import Entry
from broker.delivery.ending.receipts import Ending
from broker.delivery.ending.settlement import Settlement
from broker.delivery.ports import Clock
from connectors.base import Answer, Closed, Deferred, Delivered, Held, Misconfigured, Refused, Taken

if TYPE_CHECKING:
    from broker.delivery.lines.line import PartnerLine

Park = Callable[["PartnerLine", Entry, Sequence[Entry], int, str], None]


class Answers:
    """One line's. ``park`` stores a lane that is to be tried again much later, at a given time (UTC ms)."""

    def __init__(
        self,
        line: PartnerLine,
        *,
        settlement: Settlement,
        park: Park,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        self._line = line
        self._partner = line.partner.id
        self._lanes = line.lanes
        self._settlement = settlement
        self._park = park
        self._clock = clock
        self._draw = draw
        self._loop = asyncio.get_running_loop()

    def settle_all(self, entries: Sequence[Entry], answers: Sequence[Answer]) -> None:
        """Act on the answers of one request. What they say was delivered, was delivered at one moment."""
        at_s = self._clock.now_s()
        ended: list[tuple[Entry, Ending]] = []
        for entry, answer in zip(entries, answers, strict=True):
            if isinstance(answer, Delivered) and self._counts(entry):
                ended.append((entry, self._line.sender.ending(entry, answer, at_s)))
            else:
                self.settle(entry, answer)
        if ended:
            self._delivered(ended)

    def settle(self, entry: Entry, answer: Answer | Ending) -> None:
        """Act on an answer; of a tenure that has ended, or a line that is closed, it is passed over."""
        if not self._counts(entry):
            self._lanes.settled_late(entry.message.case, entry)
            entry.tenure.busy -= 1
            return
        match answer:
            case Delivered():
                self._delivered([(entry, self._line.sender.ending(entry, answer))])
            case Refused():
                self._end(entry, self._line.sender.ending(entry, answer))
            case Ending():
                self._end(entry, answer)
            case Taken(within_s=within_s):
                self._lanes.settled(entry.message.case)
                self._settlement.taken(entry, self._partner, within_s, partial(finish, entry))
            case Held():
                self._lanes.settled(entry.message.case)
                finish(entry)
            case Deferred():
                self._defer(entry, answer)
            case Misconfigured(reason=reason) | Closed(reason=reason):
                self._settlement.failed(entry, self._partner, "misconfigured", reason)
                self._put_back(entry)
            case _:
                assert_never(answer)

    def _counts(self, entry: Entry) -> bool:
        return entry.tenure.alive and not self._line.closed

    def _delivered(self, ended: Sequence[tuple[Entry, Ending]]) -> None:
        for entry, _ in ended:
            self._lanes.settled(entry.message.case)
        self._settlement.delivered(ended, self._partner, finish)

    def _end(self, entry: Entry, ending: Ending) -> None:
        """It was not delivered, and never will be."""
        case, kind = entry.message.case, self._line.sender.kind
        # Its successors wait until it is on the desk: after a kill before that it is tried again, and may be taken.
        gone = partial(self._lanes.settled_late, case, entry)
        self._settlement.end(entry, self._partner, kind, ending, partial(self._on_desk, entry), gone)
        self._settlement.failed(entry, self._partner, ending.outcome.value, ending.detail or "")

    def _on_desk(self, entry: Entry) -> None:
        self._lanes.settled(entry.message.case)
        finish(entry)
        self._line.kick()

    def _defer(self, entry: Entry, answer: Deferred) -> None:
        failed, reason = self._settlement.failed, answer.reason
        if entry.tenure.closing or not self._line.flows():
            failed(entry, self._partner, "deferred", reason)
            self._put_back(entry)  # the partner is down or paused: nothing is counted
            return
        entry.counted += 1
        schedule = self._line.schedules.of(entry.message.item)
        wait_s = schedule.next_after(entry.counted, self._draw(), answer.retry_after_s)
        now_ms = round(self._clock.now_s() * 1000)
        case = entry.message.case
        if wait_s is not None and not schedule.parks(wait_s):
            failed(entry, self._partner, "deferred", reason, now_ms + round(wait_s * 1000))
            self._lanes.hold(case)
            entry.tenure.busy -= 1
            self._loop.call_later(wait_s, self._release, entry)
            return
        # A schedule that has no parked part ends at once: due now, it is found used up and goes to the desk.
        due_ms = now_ms if wait_s is None else self._line.later_ms(now_ms, wait_s)
        failed(entry, self._partner, "deferred", reason, due_ms)
        behind = self._lanes.park(case)
        for each in behind:
            each.tenure.busy += 1
        self._park(self._line, entry, behind, due_ms, reason)

    def _put_back(self, entry: Entry) -> None:
        """To the head of its lane, as if it had not been tried; other lanes have their turn first."""
        case = entry.message.case
        entry.tenure.busy -= 1
        if entry.tenure.closing:
            self._lanes.settled(case)
            return
        self._lanes.hold(case)
        self._lanes.release(case)

    def _release(self, entry: Entry) -> None:
        if entry.tenure.alive and not entry.tenure.closing and not self._line.closed:
            self._lanes.release(entry.message.case)
            self._line.kick()


def finish(entry: Entry) -> None:
    """What was under way for this message is durable: it needs nothing more."""
    tenure = entry.tenure
    tenure.busy -= 1
    if tenure.alive:
        tenure.finish(entry.record.position.offset)
