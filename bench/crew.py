"""What the runs share: processes around one broker, messages for it, and the wait for what becomes of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import letters
from bench.house import PULLING, SENDER, House, View
from bench.letters import Order, Requests
from bench.processes import BenchFailed, Child, out_of
from deploy.kafka.cluster import EmbeddedKafka

CONNECTIONS: Final = 128
"""Requests under way at once, one message each."""
BATCH_CONNECTIONS: Final = 4
STALLED_S: Final = 60.0
"""A run that makes no progress for this long has failed."""
LOOK_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything a run moves."""

    single: int
    staged: int
    batches: int
    parts: int
    latency_s: float
    rate: float = 200.0
    cases: int = 2000


class Crew:
    """The processes of a run. ``module`` is what starts the broker (``broker.cli``, or a profiler around it)."""

    def __init__(self, kafka: EmbeddedKafka, house: House, sizes: Sizes, module: str) -> None:
        self._kafka = kafka
        self.house = house
        self.sizes = sizes
        self.module = module
        self._numbers = 0

    @contextlib.asynccontextmanager
    async def serving(
        self, name: str, stages: str | None = None, *, wait: bool = True
    ) -> AsyncIterator[Child]:
        served = self.house.start(name, stages, module=self.module)
        try:
            if wait:
                await self.house.ready(served)
            yield served
        finally:
            await served.stop()

    @contextlib.asynccontextmanager
    async def stub(self, *, detailed: bool = False) -> AsyncIterator[Child]:
        house = self.house
        more = ["--detailed"] if detailed else []
        arguments = ["--port", str(house.stub_port), *out_of("stub", house.folder), *more]
        stub = self._partner_process = Child("stub", "bench.stub", arguments, house.folder)
        try:
            await listening(house.stub_port, stub)
            yield stub
        finally:
            await stub.stop()

    @contextlib.asynccontextmanager
    async def puller(self) -> AsyncIterator[Child]:
        house = self.house
        arguments = [
            "--port", str(house.intake_port), "--partner", PULLING, "--key", str(house.folder / "puller.whsk"),
            "--token", house.token, *out_of("puller", house.folder),
        ]  # fmt: skip
        await house.knows_partners()
        puller = self._partner_process = Child("puller", "bench.puller", arguments, house.folder)
        try:
            yield puller
            puller.check()
        finally:
            await puller.stop()

    def partner(self) -> Child:
        return self._partner_process

    def kafka_pid(self) -> int:
        pid = self._kafka.pid(1)
        assert pid is not None, "Kafka has ended"
        return pid

    async def warm_up(self, partner: str) -> None:
        """Some hundred messages that do not count, once the directory on the ledger is in force."""
        await self.house.knows_partners()
        with contextlib.closing(View(self.house.database)) as view:
            before = view.settled(partner)
            requests = self.make(300, partner, cases=50)
            await self.load(requests, 16)
            until = time.monotonic() + STALLED_S
            while view.settled(partner) - before < requests.messages:
                self._partner_process.check()
                if time.monotonic() > until:
                    raise BenchFailed(f"warming up: {view.settled(partner) - before} of {requests.messages}")
                await asyncio.sleep(LOOK_S)

    async def until_delivered(self, requests: Requests) -> None:
        with contextlib.closing(View(self.house.database)) as view:
            until = time.monotonic() + STALLED_S
            while view.delivered_of(requests.path.stem) < requests.messages:
                if time.monotonic() > until:
                    raise BenchFailed("not all messages were delivered")
                await asyncio.sleep(0.1)

    def next_run(self) -> str:
        self._numbers += 1
        return f"r{self._numbers}"

    def make(
        self,
        messages: int,
        partner: str,
        *,
        batch: int = 1,
        run: str | None = None,
        cases_of: str | None = None,
        cases: int | None = None,
    ) -> Requests:
        run = run or self.next_run()
        order = Order(
            run=run,
            cases_of=cases_of or run,
            sender=SENDER,
            destination=partner,
            messages=messages,
            cases=min(messages, cases or self.sizes.cases),
            opened=cases_of is not None,
            batch=batch,
        )
        return letters.make(order, self.house.keys[SENDER], self.house.folder / f"{run}.requests")

    async def load(self, requests: Requests, connections: int, *, rate: float = 0.0) -> dict[str, Any]:
        return await load(self.house.folder, self.house.intake_port, requests, connections, rate=rate)


async def load(
    folder: Path, port: int, requests: Requests, connections: int, *, rate: float = 0.0
) -> dict[str, Any]:
    """Run the load generator to its end. Raises :class:`BenchFailed` unless every answer was a yes."""
    arguments = [
        "--requests", str(requests.path), "--port", str(port), "--connections", str(connections),
        "--rate", str(rate), *out_of("load", folder),
    ]  # fmt: skip
    child = Child("load", "bench.load", arguments, folder)
    try:
        await child.wait(600)
    finally:
        child.kill()
    told = child.told()
    if told["first_fault"] is not None:
        raise BenchFailed(f"a request was refused: {told['statuses']} {told['first_fault']}")
    return told


async def listening(port: int, child: Child) -> None:
    """Wait until the child listens on ``port``."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        child.check()
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(LOOK_S)
    raise BenchFailed(f"{child.name} does not listen\n{child.last_words()}")
