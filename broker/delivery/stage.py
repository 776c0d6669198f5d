"""Delivery at work: the group's reader, one line per partner, safe commits, and everything's end in order."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

from broker.core import circuit, schedule
from broker.core.circuit import CircuitPolicy
from broker.core.directory import Directory, Partner
from broker.core.documents import DocumentInvalid
from broker.core.ids import PartnerId
from broker.core.records import TopicPartition
from broker.core.schedule import Schedule
from broker.delivery.asking import Asking
from broker.delivery.commits import Commits
from broker.delivery.held import Held
from broker.delivery.line import PartnerLine
from broker.delivery.options import DeliveryOptions
from broker.delivery.parking import Parking
from broker.delivery.ports import Clock, Encoder, Ledger, Links, Opening, Reader, ReaderFactory, Rows
from broker.delivery.pressure import Pressure
from broker.delivery.reading import Reading
from broker.delivery.sending import Sender
from broker.delivery.settlement import Settlement
from broker.errors import Unreachable
from broker.log.topics import outbox
from broker.telemetry import ROAD, get_log

_LOG: Final = get_log("delivery")
_BACK_OFF_S: Final = 1.0
_ASK_S: Final = 5.0
_STEP_S: Final = 0.01
_SMALL: Final = 100


class SystemClock:
    """The machine's clock."""

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()


class Delivery:
    """The stage that brings outboxes to partners. Any number of them share the partitions by consumer group.

    Guarantees: in order per case and partner; nothing is committed that is not delivered and receipted, on
    the desk, or durably parked, held or awaited; a partner's faults cost no other partner a slot or a byte.
    """

    def __init__(
        self,
        options: DeliveryOptions,
        *,
        reader: ReaderFactory,
        ledger: Ledger,
        store: Rows,
        papers: Opening,
        codec: Encoder,
        directory: Callable[[], Directory],
        links: Links,
        clock: Clock | None = None,
        draw: Callable[[], float] = random.random,
        retries: Schedule = schedule.HOUSE,
        policy: CircuitPolicy = circuit.HOUSE,
    ) -> None:
        self._options = options
        self._make_reader = reader
        self._directory = directory
        self._links = links
        self._clock: Clock = clock or SystemClock()
        self._draw = draw
        self._schedule = retries
        self._policy = policy
        self._papers = papers
        self._held = Held()
        self._settlement = Settlement(
            codec=codec,
            ledger=ledger,
            store=store,
            clock=self._clock,
            write_deadline_s=options.write_deadline_s,
            gather_s=options.gather_s,
        )
        self._parking = Parking(
            store=store, papers=papers, settlement=self._settlement, clock=self._clock, draw=draw
        )
        self._asking = Asking(
            store=store, papers=papers, settlement=self._settlement, clock=self._clock, draw=draw
        )
        self._pressure = Pressure(options, self._held)
        self._reading = Reading(
            held=self._held,
            store=store,
            papers=papers,
            settlement=self._settlement,
            parking=self._parking,
            pressure=self._pressure,
        )
        self._commits = Commits(self._held, store)
        self._reader: Reader | None = None
        self._subscribed: frozenset[str] = frozenset()
        self._stopping = asyncio.Event()
        self._trouble: str | None = "is starting"

    def stop(self) -> None:
        """Ask :meth:`run` to end, after a bounded drain."""
        self._stopping.set()

    def health(self) -> str | None:
        """None while the stage works, else a sentence on what it waits for. A sick partner is no fault of it."""
        return self._trouble or self._settlement.trouble

    def partner_troubles(self) -> Mapping[PartnerId, str]:
        """Why nothing goes to some partners now: open circuits, options that do not read."""
        return self._held.troubles()

    async def run(self) -> None:
        """Work until :meth:`stop`. A part that is away is waited for; nothing is skipped meanwhile."""
        _LOG.info("stage_started", stage="delivery")
        chores = [
            asyncio.create_task(work)
            for work in (
                self._settlement.records.run(),
                self._settlement.rows.run(),
                self._poll(),
                self._every(self._options.commit_s, self._commit),
                self._every(self._options.parked_s, self._tick_parked),
                self._every(_ASK_S, self._tick_asking),
                self._every(self._options.directory_s, self._follow_directory),
            )
        ]
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait({stopped, *chores}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a chore ends only by a fault: the stage fails with it
            await self._revoked(frozenset(self._held.tenures))
        finally:
            for task in (stopped, *chores):
                task.cancel()
            await asyncio.gather(stopped, *chores, return_exceptions=True)
            await self._close()
            _LOG.info("stage_stopped", stage="delivery")

    # the directory

    async def _follow_directory(self) -> None:
        """Lines and subscription as the directory in force has them. Raises Unreachable, and is called again."""
        partners = self._directory().partners
        lines, faulty = self._held.lines, self._held.faulty
        for identity in [each for each in lines if each not in partners]:
            await lines.pop(identity).close()
        for partner in partners.values():
            known = lines[partner.id].partner if partner.id in lines else faulty.get(partner.id, (None,))[0]
            if known != partner:
                await self._renew_line(partner)
        await self._subscribe(frozenset(outbox(partner) for partner in lines))

    async def _renew_line(self, partner: Partner) -> None:
        self._held.faulty.pop(partner.id, None)
        old = self._held.lines.pop(partner.id, None)
        try:
            connector, mapping = self._links.connector(partner), self._links.mapping(partner)
        except DocumentInvalid as invalid:
            self._held.faulty[partner.id] = (partner, f"its options do not read: {invalid}")
            _LOG.error("circuit_opened", partner=partner.id, reason="its options do not read")
        else:
            line = PartnerLine(
                partner,
                Sender(partner, connector, mapping, self._papers, self._clock),
                schedule=self._schedule,
                policy=self._policy,
                settlement=self._settlement,
                park=self._parking.park,
                clock=self._clock,
                draw=self._draw,
            )
            await line.start()
            self._held.lines[partner.id] = line
        if old is not None:
            self._held.restart(partner.id, self._now_ms())
            await old.close()

    async def _subscribe(self, topics: frozenset[str]) -> None:
        if topics == self._subscribed:
            return
        if self._reader is not None:
            await self._reader.subscribe(topics)
        else:
            reader = self._make_reader(topics, assigned=self._assigned, revoked=self._revoked)
            await reader.start()
            self._reader = reader
        self._subscribed = topics

    # assignment and revocation

    async def _assigned(self, places: frozenset[TopicPartition]) -> None:
        """Nothing here may fail or wait: a tenure is prepared before its first record is taken."""
        for place in places:
            self._held.begin(place, self._now_ms())
            _LOG.info("partition_assigned", topic=place.topic, partition=place.partition)

    async def _revoked(self, places: frozenset[TopicPartition]) -> None:
        """Let what is in flight end, for a bounded time; commit; then nothing of it counts any more."""
        ending = [self._held.tenures[place] for place in places if place in self._held.tenures]
        for tenure in ending:
            tenure.closing = True
            line = self._held.line_of(tenure)
            if line is not None:
                line.drop(tenure)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._options.drain_s
        while any(each.busy for each in ending) and loop.time() < until:  # noqa: ASYNC110 - counts of many lines
            await asyncio.sleep(_STEP_S)
        try:
            if self._reader is not None:
                await self._commits.commit(self._reader)
        except Unreachable as away:
            _LOG.warning("dependency_lost", dependency="commit", reason=str(away))
        for tenure in ending:
            self._held.end(tenure)
            _LOG.info("partition_revoked", topic=tenure.place.topic, partition=tenure.place.partition)

    # chores

    async def _poll(self) -> None:
        options = self._options
        while True:
            reader = self._reader
            if reader is None:
                if not self._directory().partners:
                    self._found()  # with nobody to deliver to, there is nothing to wait for
                await asyncio.sleep(_STEP_S)
                continue
            try:
                await self._reading.prepare(reader)
                polled = await reader.poll(max_records=options.poll_records, wait_s=options.poll_wait_s)
                if polled:
                    ROAD.on_step("delivery.polled")
                    await self._reading.take(reader, polled)
                    if sum(map(len, polled.values())) < _SMALL:
                        await asyncio.sleep(options.gather_s)
                self._found()
            except Unreachable as away:
                self._lost(away)
                await asyncio.sleep(_BACK_OFF_S)

    async def _commit(self) -> None:
        self._settlement.flush()
        if self._reader is not None:
            self._pressure.lighten(self._reader)
            await self._commits.commit(self._reader)

    async def _tick_parked(self) -> None:
        self._parking.tick(self._held.at_work())

    async def _tick_asking(self) -> None:
        await self._asking.tick(self._held.at_work())

    async def _every(self, seconds: float, work: Callable[[], Coroutine[None, None, None]]) -> None:
        while True:
            try:
                await work()
            except Unreachable as away:
                self._lost(away)
            await asyncio.sleep(seconds)

    def _lost(self, away: Unreachable) -> None:
        if self._trouble is None:
            _LOG.warning("dependency_lost", dependency="delivery", reason=str(away))
        self._trouble = f"waits: {away}"

    def _found(self) -> None:
        if self._trouble is not None:
            _LOG.info("dependency_found", dependency="delivery")
        self._trouble = None

    def _now_ms(self) -> int:
        return round(self._clock.now_s() * 1000)

    async def _close(self) -> None:
        await self._parking.close()
        await self._asking.close()
        for line in self._held.lines.values():
            await line.close()
        if self._reader is not None:
            await self._reader.close()
