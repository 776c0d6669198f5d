"""Single moments: how long one message takes at a steady rate, and the first one after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import datetime
from typing import Any

from bench import letters
from bench.crew import CONNECTIONS, STALLED_S, Crew
from bench.house import PUSHED, SENDER, View, effects
from bench.measure import Meter, percentile
from bench.processes import BenchFailed
from bench.results import Latency, Restart


class Moments:
    """Runs that look at one message at a time."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    async def latency(self, hops: dict[str, Any]) -> Latency:
        """An open loop at a steady rate; ``hops``: two bare hops at the same rate (``parts.hops``)."""
        sizes = self._crew.sizes
        async with self._crew.stub(detailed=True) as stub, self._crew.serving("serve") as serve:
            await self._crew.warm_up(PUSHED)
            opened = self._crew.next_run()
            cases = min(sizes.cases, 500)
            await self._crew.load(self._crew.make(cases, PUSHED, run=opened, cases=cases), CONNECTIONS)
            await asyncio.sleep(1.0)
            total = int(sizes.rate * sizes.latency_s)
            requests = self._crew.make(total, PUSHED, cases_of=opened, cases=cases)
            meter = Meter({"serve": serve.pid})
            told = await self._crew.load(requests, CONNECTIONS, rate=sizes.rate)
            cpu = meter.cpu()["serve"]
            await self._crew.until_delivered(requests)
        saw = stub.told()
        run = requests.path.stem
        names = [f"{SENDER}_{run}-{number}" for number in range(total)]
        arrived = [saw["delivered_at"][name] for name in names]
        accepted = [
            (at - datetime.fromisoformat(saw["accepted_at"][name]).timestamp()) * 1000
            for name, at in zip(names, arrived, strict=True)
        ]
        sent = [(at - due) * 1000 for at, due in zip(arrived, told["due_at"], strict=True)]
        return Latency(
            rate=sizes.rate,
            messages=total,
            accepted_p50=percentile(accepted, 50),
            accepted_p99=percentile(accepted, 99),
            sent_p50=percentile(sent, 50),
            sent_p99=percentile(sent, 99),
            answer_p50=percentile(told["answer_ms"], 50),
            answer_p99=percentile(told["answer_ms"], 99),
            hops_p50=percentile(hops["latency_ms"], 50),
            hops_p99=percentile(hops["latency_ms"], 99),
            broker_us=cpu * 1e6 / total,
        )

    async def restart(self) -> Restart:
        """With all that the runs have left: stopped and started, then killed and started."""
        async with self._crew.stub():
            async with self._crew.serving("serve"):
                await self._crew.warm_up(PUSHED)
            began = time.time()
            served = self._crew.house.start("serve", module=self._crew.module)
            try:
                after_stop_s = await self._first_effect() - began
                await self._crew.house.ready(served)
                ready_s = time.time() - began
                served.kill()
                began = time.time()
                served = self._crew.house.start("serve", module=self._crew.module)
                after_kill_s = await self._first_effect() - began
            finally:
                await served.stop()
        with contextlib.closing(View(self._crew.house.database)) as view:
            return Restart(
                after_stop_s=after_stop_s,
                after_kill_s=after_kill_s,
                ledger_records=view.ledger_records(),
                start_s=ready_s,
            )

    async def _first_effect(self) -> float:
        """Send one message as soon as somebody listens; when its effect came (Unix seconds)."""
        requests = self._crew.make(1, PUSHED, cases=1)
        before, _ = await asyncio.to_thread(effects, self._crew.house.stub_port)
        request = letters.read_requests(requests.path)[0]
        await self._post_soon(request)
        until = time.monotonic() + STALLED_S
        while time.monotonic() < until:
            now, last_at = await asyncio.to_thread(effects, self._crew.house.stub_port)
            if now > before:
                return last_at
            await asyncio.sleep(0.005)
        raise BenchFailed("the first message after a restart did not arrive")

    async def _post_soon(self, request: bytes) -> None:
        until = time.monotonic() + STALLED_S
        while time.monotonic() < until:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._crew.house.intake_port)
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                writer.close()
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.01)
                continue
            if head.startswith(b"HTTP/1.1 202"):
                return
            await asyncio.sleep(0.01)
        raise BenchFailed("no 202 after a restart")
