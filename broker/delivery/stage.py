"""Delivery at work: the group's reader, one line per partner, safe commits, and everything's end in order."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

from broker.core.catalogue.directory import Directory, Partner
from broker.core.ids import PartnerId
from broker.core.lane import circuit, schedule
from broker.core.lane.circuit import CircuitPolicy
from broker.core.lane.schedule import Schedule, Schedules
from broker.core.operating.levers import Levers
from broker.delivery.assigned.lease import Lease
from broker.delivery.ending.settlement import Settlement
from broker.delivery.joining.commits import Commits
from broker.delivery.joining.membership import Membership
from broker.delivery.joining.pressure import Pressure
from broker.delivery.joining.reading import Reading
from broker.delivery.joining.recall import Recall
from broker.delivery.lines.following import Following
from broker.delivery.lines.held import Held
from broker.delivery.lines.line import PartnerLine
from broker.delivery.lines.sending import Sender
from broker.delivery.options import DeliveryOptions
from broker.delivery.parked.asking import Asking
from broker.delivery.parked.desk import Desk
from broker.delivery.parked.parking import Parking
from broker.delivery.parked.retrying import Retrying
from broker.delivery.ports import Clock, Encoder, Ledger, Links, Opening, ReaderFactory, Rows
from broker.delivery.watching.reporting import Reporting
from broker.delivery.watching.stalling import Stalling
from broker.errors import Unreachable
from broker.telemetry import get_log

_LOG: Final = get_log("delivery")
_BACK_OFF_S: Final = 1.0


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
    ``session_s`` is the group's session time-out, ``worker`` this process's name among those that share.
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
        levers: Callable[[], Mapping[PartnerId, Levers]] = dict,
        worker: str = "delivery",
        session_s: float = 10.0,
        clock: Clock | None = None,
        draw: Callable[[], float] = random.random,
        retries: Schedule = schedule.HOUSE,
        policy: CircuitPolicy = circuit.HOUSE,
    ) -> None:
        self._options = options
        self._directory = directory
        self._links = links
        self._clock: Clock = clock or SystemClock()
        self._draw = draw
        self._schedule = retries
        self._policy = policy
        self._papers = papers
        self._held = Held()
        self._lease = Lease(self._clock, session_s)
        self._settlement = Settlement(
            codec=codec,
            ledger=ledger,
            store=store,
            clock=self._clock,
            lease=self._lease,
            write_deadline_s=options.write_deadline_s,
            gather_s=options.gather_s,
        )
        desk = Desk(store, self._settlement)
        retrying = Retrying(
            store=store,
            papers=papers,
            settlement=self._settlement,
            desk=desk,
            clock=self._clock,
            draw=draw,
        )
        self._parking = Parking(
            store=store, retrying=retrying, desk=desk, settlement=self._settlement, clock=self._clock
        )
        self._asking = Asking(
            store=store, papers=papers, settlement=self._settlement, clock=self._clock, draw=draw
        )
        pressure = Pressure(options, self._held)
        reading = Reading(
            held=self._held,
            store=store,
            papers=papers,
            settlement=self._settlement,
            parking=self._parking,
            desk=desk,
            pressure=pressure,
            recall=Recall(store, trust_foreign=options.trust_foreign_notes),
        )
        self._following = Following(self._held, directory=directory, pulled=levers, make=self._make_line)
        self._reporting = Reporting(self._held, store=store, clock=self._clock, worker=worker)
        self._stalling = Stalling(self._held, lease=self._lease, clock=self._clock, stall_s=options.stall_s)
        self._membership = Membership(
            options,
            self._held,
            make_reader=reader,
            reading=reading,
            commits=Commits(self._held, store),
            pressure=pressure,
            lease=self._lease,
            stalling=self._stalling,
            clock=self._clock,
        )
        self._stopping = asyncio.Event()
        self._trouble: str | None = "is starting"

    def stop(self) -> None:
        """Ask :meth:`run` to end, after a bounded drain."""
        self._stopping.set()

    def health(self) -> str | None:
        """None while the stage works, else a sentence on what it waits for. A sick partner is no fault of it."""
        return self._trouble or self._settlement.trouble or self._stalling.trouble

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
                self._every(self._options.parked_s, self._tick_asking),
                self._every(self._options.directory_s, self._follow_directory),
                self._every(self._options.levers_s, self._tend),
                self._every(self._options.status_s, self._reporting.report),
                self._every(min(5.0, self._options.stall_s / 4), self._watch),
            )
        ]
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait({stopped, *chores}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a chore ends only by a fault: the stage fails with it
            await self._membership.revoked(frozenset(self._held.tenures))
        finally:
            for task in (stopped, *chores):
                task.cancel()
            await asyncio.gather(stopped, *chores, return_exceptions=True)
            await self._close()
            await self._reporting.close()
            _LOG.info("stage_stopped", stage="delivery")

    # the directory

    async def _follow_directory(self) -> None:
        """Lines and subscription as the directory in force has them. Raises Unreachable, and is called again."""
        await self._membership.subscribe(await self._following.directory())

    def _make_line(self, partner: Partner) -> PartnerLine:
        connector, mapping = self._links.connector(partner), self._links.mapping(partner)
        return PartnerLine(
            partner,
            Sender(partner, connector, mapping, self._papers, self._clock),
            schedules=Schedules(
                partner.retries, self._schedule, lambda item: self._directory().class_of(item)
            ),
            policy=self._policy,
            settlement=self._settlement,
            lease=self._lease,
            park=self._parking.park,
            clock=self._clock,
            draw=self._draw,
        )

    # chores

    async def _poll(self) -> None:
        while True:
            if self._membership.reader is None and not self._directory().partners:
                self._found()  # with nobody to deliver to, there is nothing to wait for
            try:
                if await self._membership.poll():
                    self._found()
            except Unreachable as away:
                self._lost(away)
                await asyncio.sleep(_BACK_OFF_S)

    async def _commit(self) -> None:
        self._settlement.flush()
        await self._membership.commit()

    async def _tick_parked(self) -> None:
        self._parking.tick(self._held.at_work())

    async def _tick_asking(self) -> None:
        await self._asking.tick(self._held.at_work())

    async def _tend(self) -> None:
        now_s = self._clock.monotonic_s()
        for line in self._held.lines.values():
            line.health.count(now_s)
            line.sender.tell()
        await self._following.levers()

    async def _watch(self) -> None:
        if self._trouble is None and self._settlement.trouble is None:
            await self._stalling.look(self._membership.reader)

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

    async def _close(self) -> None:
        await self._parking.close()
        await self._asking.close()
        for line in self._held.lines.values():
            await line.close()
        await self._membership.close()
