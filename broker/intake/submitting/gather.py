"""Submissions on their way to the ledger: many requests judged, sealed and written together.

Whatever has come while the last write was under way goes into the next one: one read of the view, one call
of the vault, one write, however many requests. A yes is given only for what the ledger has.
Source: design, promise 6; issue 3, "Speed and memory"; ADR 0006 (who judges).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from broker.core.case import lifecycle
from broker.core.case.forbidden import is_suspect
from broker.core.case.lifecycle import CaseState
from broker.core.ids import CaseId, key_case
from broker.core.problems import Refusal
from broker.core.records import Position
from broker.core.times import china_day
from broker.errors import NotDurable, TongbanError, Unreachable
from broker.intake.ports import DirectorySource, Keys, Ledger, Name, View
from broker.intake.submitting.events import Submission
from broker.intake.submitting.judging import OF_THE_CASE, REUSED, Judge, again
from broker.intake.submitting.recent import Recent
from broker.intake.submitting.sealing import seal
from broker.intake.submitting.verdicts import (
    DESTROYED,
    INTERNAL,
    NOT_DURABLE,
    UNAVAILABLE,
    Accepted,
    Pending,
    Verdict,
    following,
)
from broker.log.admin.topics import ledger_partition
from broker.store.vault import KeyDestroyed
from broker.telemetry import ROAD, Log

MOST_AT_ONCE: Final = 2000
SMALL: Final = 50
"""Submissions of one write: bounds its memory and the time that the first of them waits."""


class Gatherer:
    """Takes submissions and answers them when the ledger has them. One per process."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        view: View,
        keys: Keys,
        directory: DirectorySource,
        clock: Callable[[], datetime],
        log: Log,
        partitions: int,
        recent: int,
        write_deadline_s: float,
        view_wait_s: float,
        gather_s: float = 0.0,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._ledger = ledger
        self._view = view
        self._keys = keys
        self._clock = clock
        self._log = log
        self._partitions = partitions
        self._write_deadline_s = write_deadline_s
        self._view_wait_s = view_wait_s
        self._gather_s = gather_s
        self._random_bytes = random_bytes
        self._recent = Recent(recent)
        self._judge = Judge(directory, view, recent)
        self._in_hand: dict[Name, Pending] = {}
        self._waiting: list[Pending] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # By case, in order: what the view would refuse and is being asked about again.
        self._doubts: dict[CaseId, list[Pending]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()  # kept: to ask for it costs a system call each time
        self._task = asyncio.create_task(self._run(), name="intake-gather")

    async def close(self) -> None:
        """Answer what is in hand with not-durable and stop."""
        tasks = [task for task in (self._task, *self._asking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pending in list(self._in_hand.values()):
            self._settle(pending, NOT_DURABLE)

    def submit(self, submission: Submission, verbatim: bytes) -> asyncio.Future[Verdict] | Verdict:
        """Take one submission. The verdict at once when it is known, else a future of it.

        Order is kept among those submitted without a pause. A future that is cancelled (the process stops)
        gives no yes to those who repeat the message either.
        """
        message = submission.message
        name: Name = (message.source, message.id)
        known = self._recent.get(name)
        if known is not None:
            return Accepted(known[1], duplicate=True) if known[0] == message.digest else REUSED
        twin = self._in_hand.get(name)
        if twin is not None:
            return following(twin) if twin.message.digest == message.digest else REUSED
        assert self._loop is not None, "the gatherer has not been started"
        pending = Pending(submission, verbatim, self._loop.create_future())
        self._in_hand[name] = pending
        self._waiting.append(pending)
        self._wake.set()
        return pending.future

    def recently(self, name: Name) -> tuple[str, Position] | None:
        """Digest and place of a message that this process has put on the ledger lately."""
        return self._recent.get(name)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if self._gather_s and len(self._waiting) < SMALL:
                await asyncio.sleep(self._gather_s)
            some, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            if not self._waiting:
                self._wake.clear()
            await self._gather(some)

    async def _gather(self, some: Sequence[Pending]) -> None:
        try:
            passed = await self._judge_all(some)
        except Exception as fault:
            # One fault must not stop the intake for all: these get no yes, and the loop lives.
            self._settle_all(some, self._no_yes(fault))
            return
        try:
            await self._write(passed)
        except Exception as fault:
            self._settle_all(passed, self._no_yes(fault))

    def _no_yes(self, fault: Exception) -> Refusal:
        if isinstance(fault, NotDurable):
            return NOT_DURABLE
        self._log.error("request_failed", part="gather", fault=type(fault).__name__, exc_info=fault)
        return UNAVAILABLE if isinstance(fault, TongbanError) else INTERNAL

    async def _write(self, passed: Sequence[Pending]) -> None:
        if not passed:
            return
        ROAD.on_step("intake.checked")
        keyed = await self._keys_of(passed)
        if not keyed:
            return
        records = seal(keyed, partitions=self._partitions, random_bytes=self._random_bytes)
        ROAD.on_step("intake.sealed")
        try:
            positions = await self._ledger.write(records, deadline_s=self._write_deadline_s)
        except Unreachable as fault:
            raise NotDurable from fault
        ROAD.on_step("intake.written")
        for (pending, _), position in zip(keyed, positions, strict=True):
            if pending.refusal is not None:
                self._settle(pending, pending.refusal)
                continue
            self._recent.put(pending.name, pending.message.digest, position)
            self._settle(pending, Accepted(position, duplicate=False))

    async def _keys_of(self, passed: Sequence[Pending]) -> list[tuple[Pending, bytes]]:
        """Each with its case's key, a part's with its bundle's; a case whose key was destroyed is refused."""
        keyed = [(pending, key_case(pending.message.case)) for pending in passed]
        while keyed:
            try:
                keys = await self._keys.keys({case for _, case in keyed})
            except KeyDestroyed as gone:
                self._settle_all((each for each, case in keyed if case in gone.cases), DESTROYED)
                keyed = [(each, case) for each, case in keyed if case not in gone.cases]
            else:
                return [(pending, keys[case]) for pending, case in keyed]
        return []

    async def _judge_all(self, some: Sequence[Pending]) -> list[Pending]:
        """Those that may be written. Repeats and refusals are answered; doubtful ones wait for the view."""
        loaded = await self._view.load({each.message.case for each in some}, {each.name for each in some})
        await self._judge.prepare(loaded.cases.values())
        passed: list[Pending] = []
        states: dict[CaseId, CaseState | None] = dict(loaded.cases)
        doubtful: dict[CaseId, list[Pending]] = {}
        asked = self._doubts
        now = self._clock()
        day = china_day(now)
        for pending in some:
            message = pending.message
            known = loaded.messages.get(pending.name)
            if known is not None:
                self._settle(pending, again(known, message))
            elif pending.judged:
                passed.append(pending)
            elif message.case in asked:
                asked[message.case].append(pending)
            elif message.case in doubtful:
                doubtful[message.case].append(pending)
            else:
                verdict = self._judge.ahead_of_view(pending.submission, states.get(message.case), now, day)
                if isinstance(verdict, lifecycle.Advanced):
                    states[message.case] = verdict.state
                    self._judge.passed(verdict.state)
                    passed.append(pending)
                elif verdict.code in OF_THE_CASE:
                    doubtful[message.case] = [pending]
                elif self._keeps(pending, verdict):
                    passed.append(pending)
        begun = {each.message.case for each in passed} if doubtful else ()
        for case, doubted in doubtful.items():
            if case in begun:
                # What precedes it in this very write is not in any view yet: only the exchange can tell.
                passed.extend(doubted)
            else:
                self._doubt(case, doubted)
        return passed

    def _doubt(self, case: CaseId, doubted: list[Pending]) -> None:
        self._doubts[case] = doubted
        task = asyncio.create_task(self._look_again(case), name="intake-doubt")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _look_again(self, case: CaseId) -> None:
        """Refuse by the life cycle only when the view holds all that the ledger held; else let it pass."""
        state: CaseState | None = None
        fresh = False
        try:
            partition = ledger_partition(case, self._partitions)
            if await self._view.caught_up(partition, self._view_wait_s):
                state = (await self._view.load({case}, ())).cases.get(case)
                await self._judge.prepare([state] if state is not None else [])
                fresh = True
        except Exception as fault:
            # The view is away or faulty: the exchange has the last word in any case.
            self._log.warning("request_failed", part="view", fault=type(fault).__name__)
        doubted = self._doubts.pop(case)
        if fresh:
            doubted = self._judge_again(state, doubted)
        for pending in doubted:
            pending.judged = True
        if doubted:
            self._waiting[:0] = doubted
            self._wake.set()

    def _judge_again(self, state: CaseState | None, doubted: Sequence[Pending]) -> list[Pending]:
        passed: list[Pending] = []
        now = self._clock()
        day = china_day(now)
        for pending in doubted:
            verdict = self._judge.of(pending.submission, state, now, day)
            if isinstance(verdict, lifecycle.Advanced):
                state = verdict.state
                passed.append(pending)
            elif self._keeps(pending, verdict):
                passed.append(pending)
        return passed

    def _keeps(self, pending: Pending, refusal: Refusal) -> bool:
        """A refusal is told at once, unless the attempt is to stand on the ledger first."""
        if is_suspect(pending.message.type, refusal.code):
            pending.refusal = refusal
            return True
        self._settle(pending, refusal)
        return False

    def _settle(self, pending: Pending, verdict: Verdict) -> None:
        if self._in_hand.get(pending.name) is pending:
            del self._in_hand[pending.name]
        pending.answer(verdict)

    def _settle_all(self, some: Iterable[Pending], verdict: Verdict) -> None:
        for pending in some:
            if not pending.future.done():
                self._settle(pending, verdict)


def utc_now() -> datetime:
    return datetime.now(UTC)
