"""The runs of the bench: whole roads, and each stage alone. They print nothing and return figures."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from bench.crew import BATCH_CONNECTIONS, CONNECTIONS, LOOK_S, STALLED_S, Crew
from bench.house import PULLING, PUSHED, View, effects
from bench.letters import Requests
from bench.measure import Meter, memory
from bench.processes import BenchFailed, Child
from bench.results import Part, Road

_STAGES: Final = ("intake", "exchange", "delivery")


class Runs:
    """Runs over one Kafka and one house."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    async def single(self) -> tuple[Road, float]:
        """Signed, one message per request, to a partner with an HTTP connector; and bytes per event."""
        async with self._crew.stub(), self._crew.serving("serve") as serve:
            await self._crew.warm_up(PUSHED)
            requests = self._crew.make(self._crew.sizes.single, PUSHED)
            road = await self._road(requests, PUSHED, {"serve": serve}, CONNECTIONS)
        return road, requests.bytes_per_event

    async def batches(self) -> Road:
        """Batches of 100, to a partner that pulls its mailbox 1,000 at a time."""
        async with self._crew.serving("serve") as serve, self._crew.puller():
            await self._crew.warm_up(PULLING)
            requests = self._crew.make(self._crew.sizes.batches, PULLING, batch=100)
            return await self._road(requests, PULLING, {"serve": serve}, BATCH_CONNECTIONS)

    async def staged(self) -> tuple[Road, dict[str, Part]]:
        """As :meth:`single` with each stage in a process; then each stage alone on a backlog."""
        run = self._crew.next_run()
        async with self._crew.stub():
            async with contextlib.AsyncExitStack() as opened:
                served = {
                    f"serve {stage}": await opened.enter_async_context(self._crew.serving(stage, stage))
                    for stage in _STAGES
                }
                await self._crew.warm_up(PUSHED)
                requests = self._crew.make(self._crew.sizes.staged, PUSHED, run=run)
                road = await self._road(requests, PUSHED, served, CONNECTIONS)
            return road, await self._stages_alone(run)

    async def _stages_alone(self, cases_of: str) -> dict[str, Part]:
        """Intake fills the ledger, then the exchange drains it, then delivery its outbox, each by itself."""
        requests = self._crew.make(self._crew.sizes.staged, PUSHED, cases_of=cases_of)
        total = requests.messages
        found: dict[str, Part] = {}
        with contextlib.closing(View(self._crew.house.database)) as view:
            async with self._crew.serving("intake", "intake") as intake:
                meter = Meter({"intake": intake.pid})
                told = await self._crew.load(requests, CONNECTIONS)
                seconds = told["last_answer"] - told["first_sent"]
                found["intake"] = _part(total, seconds, meter.cpu()["intake"], intake)
            routed = view.routed(PUSHED)
            async with self._crew.serving("exchange", "exchange", wait=False) as exchange:
                part = await self._drained(exchange, lambda: view.routed(PUSHED) - routed, total)
                found["exchange"] = part
            before, _ = await asyncio.to_thread(effects, self._crew.house.stub_port)
            async with self._crew.serving("delivery", "delivery", wait=False) as delivery:
                part = await self._drained(
                    delivery, lambda: effects(self._crew.house.stub_port)[0] - before, total
                )
                found["delivery"] = part
                await asyncio.sleep(0.5)  # the last receipts are on their way to the ledger
            settled = view.settled(PUSHED)
            async with self._crew.serving("exchange", "exchange", wait=False) as exchange:
                part = await self._drained(exchange, lambda: view.settled(PUSHED) - settled, total)
                found["exchange, receipts"] = part
        return found

    async def _drained(self, stage: Child, done: Callable[[], int], total: int) -> Part:
        """From the first sign of work to its end: the start of the process is not counted."""
        first, began, cpu = 0, 0.0, None
        until = time.monotonic() + STALLED_S
        last = 0
        while True:
            now = await asyncio.to_thread(done)
            if now > last:
                last, until = now, time.monotonic() + STALLED_S
            if now and cpu is None:
                first, began, cpu = now, time.monotonic(), Meter({"stage": stage.pid})
            if now >= total:
                break
            if time.monotonic() > until:
                raise BenchFailed(f"{stage.name} stands still at {now} of {total}\n{stage.last_words()}")
            await asyncio.sleep(LOOK_S)
        assert cpu is not None
        return _part(max(1, total - first), time.monotonic() - began, cpu.cpu()["stage"], stage)

    async def _road(
        self, requests: Requests, partner: str, served: Mapping[str, Child], connections: int
    ) -> Road:
        run = requests.path.stem
        total = requests.messages
        others = {"Kafka": self._crew.kafka_pid(), "partner": self._crew.partner().pid}
        meter = Meter({**{name: child.pid for name, child in served.items()}, **others})
        with contextlib.closing(View(self._crew.house.database)) as view:
            before = view.settled(partner)
            loading = asyncio.create_task(self._crew.load(requests, connections))
            rss = await self._until_settled(view, partner, before, total, served, loading)
            ended_at = time.time()
            cpu, peaks = meter.cpu(), meter.peaks()
            told = await loading
            if (delivered := view.delivered_of(run)) != total:
                raise BenchFailed(f"{delivered} of {total} messages are marked delivered")
        cpu["load"], peaks["load"] = told["cpu_s"], told["peak_mb"]
        return Road(
            messages=total,
            seconds=ended_at - told["first_sent"],
            accepted_s=told["last_answer"] - told["first_sent"],
            cpu_us={name: seconds * 1e6 / total for name, seconds in cpu.items()},
            peak_mb=peaks,
            rss_mb=rss,
            refused=sum(n for status, n in told["statuses"].items() if status != "202"),
        )

    async def _until_settled(
        self,
        view: View,
        partner: str,
        before: int,
        total: int,
        served: Mapping[str, Child],
        loading: asyncio.Task[dict[str, Any]],
    ) -> dict[int, float]:
        rss: dict[int, float] = {}
        marks = [10, 25, 50, 75, 100]
        last, until = -1, time.monotonic() + STALLED_S
        while True:
            settled = view.settled(partner) - before
            if settled != last:
                last, until = settled, time.monotonic() + STALLED_S
            while marks and settled * 100 >= marks[0] * total:
                rss[marks.pop(0)] = sum(memory(child.pid).rss_mb for child in served.values())
            if settled >= total:
                return rss
            for child in (*served.values(), self._crew.partner()):
                child.check()
            if loading.done() and loading.exception() is not None:
                loading.result()
            if time.monotonic() > until:
                words = "\n".join(child.last_words() for child in served.values())
                raise BenchFailed(f"the road stands still at {settled} of {total}\n{words}")
            await asyncio.sleep(LOOK_S)


def _part(messages: int, seconds: float, cpu_s: float, child: Child) -> Part:
    return Part(
        messages=messages,
        seconds=seconds,
        cpu_us=cpu_s * 1e6 / messages,
        peak_mb=memory(child.pid).peak_mb,
    )
