"""One run through the running broker: its processes, the wait for the last receipt, and whether all is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.delivery_partner import Stub
from bench.hall_days import MESSAGES_PER_CASE
from bench.hall_house import HallHouse, HallView
from bench.hall_lead import LEAD
from bench.hall_letters import SIDES
from bench.hall_watch import HallRun, Say, Watch
from bench.processes import BenchFailed, Child, out_of
from deploy.kafka.cluster import EmbeddedKafka

STALLED_S: Final = 60.0
_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """How to run: ``processes`` names the stages of each, as in ``intake/exchange/delivery``.

    ``lead``: how many messages may be sent and have no receipt yet.
    """

    connector: str
    processes: str
    batch: int
    connections: int
    lead: int = LEAD
    module: str = "broker.cli"


class Hall:
    """One broker with its processes, on a Kafka, for one run or several."""

    def __init__(self, kafka: EmbeddedKafka, house: HallHouse, road: Road, stub: Stub, say: Say) -> None:
        self._kafka = kafka
        self.house = house
        self.road = road
        self._stub = stub
        self._say = say
        self.stopping = asyncio.Event()

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[Mapping[str, Child]]:
        """The broker's processes, ready, and the pullers where partners pull."""
        async with AsyncExitStack() as stack:
            served: dict[str, Child] = {}
            for number, stages in enumerate(self.road.processes.split("/")):
                name = f"serve {stages}" if f"serve {stages}" not in served else f"serve {stages} {number}"
                child = served[name] = self.house.start(f"serve-{number}", stages, module=self.road.module)
                stack.push_async_callback(child.stop)
            for child in served.values():
                await self.house.ready(child)
            await self.house.knows_partners()
            if self.road.connector == "mailbox":
                served |= await self._pullers(stack)
            yield served

    async def _pullers(self, stack: AsyncExitStack) -> dict[str, Child]:
        found: dict[str, Child] = {}
        house = self.house
        for side in SIDES:
            name = f"partner {side}"
            arguments = [
                "--port", str(house.intake_port), "--partner", side, "--key", str(house.folder / f"{side}.whsk"),
                "--token", house.token, *out_of(name, house.folder),
            ]  # fmt: skip
            found[name] = child = Child(name, "bench.puller", arguments, house.folder)
            stack.push_async_callback(child.stop)
        return found

    async def run(self, run: str, cases: int, served: Mapping[str, Child], *, quiet: bool = False) -> HallRun:
        """Push ``cases`` cases through, whole, or until :attr:`stopping` is set.

        Raises :class:`BenchFailed` when a message is lost or refused, or when it was stopped before any receipt.
        """
        await self._stub.reset()
        total = cases * MESSAGES_PER_CASE
        with contextlib.closing(HallView(self.house.database)) as view:
            before, disk_mb = view.receipted(), self._disk_mb()
            load = self._load(run, cases)
            try:
                pids = self._pids(served, load)
                watch = Watch(pids, total, None if quiet else self._say, lead=self.road.lead)
                settled = await self._until_settled(view, before, watch, {**served, "load": load})
                ended_at = time.time()
            finally:
                await load.stop()
            if not settled:
                raise BenchFailed("interrupted before any message had its receipt")
            road = self.road
            found = watch.result(road.connector, road.processes, cases, settled, ended_at, load.told())
            found.disk_mb = self._disk_mb() - disk_mb
            found.whole = settled >= total
            if found.whole:
                await self._check(view, run, cases, found)
        return found

    def _load(self, run: str, cases: int) -> Child:
        house = self.house
        arguments = [
            "--port", str(house.intake_port), "--cases", str(cases), "--run", run, "--keys", str(house.folder),
            "--batch", str(self.road.batch), "--connections", str(self.road.connections),
            "--database", str(house.database), "--lead", str(self.road.lead), *out_of("load", house.folder),
        ]  # fmt: skip
        return Child("load", "bench.hall_load", arguments, house.folder)

    def _pids(self, served: Mapping[str, Child], load: Child) -> dict[str, int]:
        kafka = self._kafka.pid(1)
        assert kafka is not None, "Kafka has ended"
        pids = {name: child.pid for name, child in served.items()} | {"Kafka": kafka, "load": load.pid}
        return pids | ({"partner": self._stub.child.pid} if self.road.connector == "http" else {})

    async def _until_settled(
        self, view: HallView, before: int, watch: Watch, children: Mapping[str, Child]
    ) -> int:
        until, last = time.monotonic() + STALLED_S, -1
        while True:
            settled = view.receipted() - before
            watch.look(settled)
            if settled != last:
                last, until = settled, time.monotonic() + STALLED_S
            if settled >= watch.total or self.stopping.is_set():
                return settled
            for name, child in children.items():
                if name != "load" or not child.alive:
                    _check_child(name, child)
            if time.monotonic() > until:
                words = "\n".join(child.last_words() for child in children.values())
                raise BenchFailed(f"the road stands still at {settled:,} of {watch.total:,}\n{words}")
            await asyncio.sleep(_LOOK_S)

    def _disk_mb(self) -> float:
        """What Kafka's data, view and vault take on the disk."""
        return sum(map(size_mb, (self._kafka.folder, self.house.folder)))

    async def _check(self, view: HallView, run: str, cases: int, found: HallRun) -> None:
        delivered, issued = view.delivered_of(run), view.issued(run)
        if delivered != found.messages or issued != cases:
            raise BenchFailed(
                f"{delivered:,} of {found.messages:,} messages delivered, {issued:,} of {cases:,} cases issued"
            )
        if self.road.connector == "http":
            stats = await self._stub.stats()
            found.effects, found.doubled, found.out_of_order = (
                stats.effects,
                stats.doubled,
                stats.out_of_order,
            )
            if stats.effects != found.messages or stats.out_of_order:
                raise BenchFailed(
                    f"the partner had {stats.effects:,} effects, {stats.out_of_order:,} out of order"
                )


def _check_child(name: str, child: Child) -> None:
    """A load that has ended well is no fault; one that was refused something is."""
    if name != "load":
        child.check()
    elif (fault := child.told()["first_fault"]) is not None:
        raise BenchFailed(f"a request was refused: {fault}")


def size_mb(folder: Path) -> float:
    """What the files below ``folder`` take, holes not counted."""
    blocks = 0
    for place, _, files in os.walk(folder):  # which passes over a folder that has gone meanwhile
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # Kafka throws away and renames while it works
                blocks += (Path(place) / file).stat().st_blocks
    return blocks * 512 / 1024**2
