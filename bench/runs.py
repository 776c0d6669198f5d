"""The runs of the bench: whole roads, stages alone, latency, restart. Each prints nothing and returns figures."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench import letters
from bench.house import PULLING, PUSHED, SENDER, House, View, effects
from bench.letters import Order, Requests
from bench.measure import Meter, memory, percentile
from bench.processes import BenchFailed, Child, out_of
from bench.results import Latency, Part, Restart, Road
from deploy.kafka.cluster import EmbeddedKafka

CASES: Final = 2000
CONNECTIONS: Final = 64
BATCH_CONNECTIONS: Final = 4
STALLED_S: Final = 60.0
_LOOK_S: Final = 0.02
_STAGES: Final = ("intake", "exchange", "delivery")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything a run moves."""

    single: int
    staged: int
    batches: int
    parts: int
    latency_s: float
    rate: float = 200.0
    cases: int = CASES


class Runs:
    """Runs over one Kafka and one house."""

    def __init__(self, kafka: EmbeddedKafka, house: House, sizes: Sizes, module: str) -> None:
        self._kafka = kafka
        self._house = house
        self._sizes = sizes
        self._module = module
        self._numbers = 0

    # whole roads

    async def single(self) -> tuple[Road, float]:
        """Signed, one message per request, to a partner with an HTTP connector; and bytes per event."""
        async with self._stub(), self._serving("serve") as serve:
            await self._warm_up(PUSHED)
            requests = self._make(self._sizes.single, PUSHED)
            road = await self._road(requests, PUSHED, {"serve": serve}, CONNECTIONS)
        return road, requests.bytes_per_event

    async def batches(self) -> Road:
        """Batches of 100, to a partner that pulls its mailbox 1,000 at a time."""
        async with self._serving("serve") as serve, self._puller():
            await self._warm_up(PULLING)
            requests = self._make(self._sizes.batches, PULLING, batch=100)
            return await self._road(requests, PULLING, {"serve": serve}, BATCH_CONNECTIONS)

    async def staged(self) -> tuple[Road, dict[str, Part]]:
        """As :meth:`single` with each stage in a process; then each stage alone on a backlog."""
        run = self._next_run()
        async with self._stub():
            async with contextlib.AsyncExitStack() as opened:
                served = {
                    f"serve {stage}": await opened.enter_async_context(self._serving(stage, stage))
                    for stage in _STAGES
                }
                await self._warm_up(PUSHED)
                requests = self._make(self._sizes.staged, PUSHED, run=run)
                road = await self._road(requests, PUSHED, served, CONNECTIONS)
            return road, await self._stages_alone(run)

    async def _stages_alone(self, cases_of: str) -> dict[str, Part]:
        """Intake fills the ledger, then the exchange drains it, then delivery its outbox, each by itself."""
        requests = self._make(self._sizes.staged, PUSHED, cases_of=cases_of)
        total = requests.messages
        found: dict[str, Part] = {}
        with contextlib.closing(View(self._house.database)) as view:
            async with self._serving("intake", "intake") as intake:
                meter = Meter({"intake": intake.pid})
                told = await self._load(requests, CONNECTIONS)
                seconds = told["last_answer"] - told["first_sent"]
                found["intake"] = _part(total, seconds, meter.cpu()["intake"], intake)
            routed = view.routed(PUSHED)
            async with self._serving("exchange", "exchange", wait=False) as exchange:
                part = await self._drained(exchange, lambda: view.routed(PUSHED) - routed, total)
                found["exchange"] = part
            before, _ = await asyncio.to_thread(effects, self._house.stub_port)
            async with self._serving("delivery", "delivery", wait=False) as delivery:
                part = await self._drained(
                    delivery, lambda: effects(self._house.stub_port)[0] - before, total
                )
                found["delivery"] = part
                await asyncio.sleep(0.5)  # the last receipts are on their way to the ledger
            settled = view.settled(PUSHED)
            async with self._serving("exchange", "exchange", wait=False) as exchange:
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
            await asyncio.sleep(_LOOK_S)
        assert cpu is not None
        return _part(max(1, total - first), time.monotonic() - began, cpu.cpu()["stage"], stage)

    async def _road(
        self, requests: Requests, partner: str, served: Mapping[str, Child], connections: int
    ) -> Road:
        run = requests.path.stem
        total = requests.messages
        others = {"Kafka": self._kafka_pid(), "partner": self._partner().pid}
        meter = Meter({**{name: child.pid for name, child in served.items()}, **others})
        with contextlib.closing(View(self._house.database)) as view:
            before = view.settled(partner)
            loading = asyncio.create_task(self._load(requests, connections))
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
            for child in served.values():
                child.check()
            if loading.done() and loading.exception() is not None:
                loading.result()
            if time.monotonic() > until:
                words = "\n".join(child.last_words() for child in served.values())
                raise BenchFailed(f"the road stands still at {settled} of {total}\n{words}")
            await asyncio.sleep(_LOOK_S)

    # latency and restart

    async def latency(self, hops: dict[str, Any]) -> Latency:
        """An open loop at a steady rate; ``hops``: two bare hops at the same rate (``parts.hops``)."""
        sizes = self._sizes
        async with self._stub(detailed=True) as stub, self._serving("serve") as serve:
            await self._warm_up(PUSHED)
            opened = self._next_run()
            cases = min(sizes.cases, 500)
            await self._load(self._make(cases, PUSHED, run=opened, cases=cases), CONNECTIONS)
            await asyncio.sleep(1.0)
            total = int(sizes.rate * sizes.latency_s)
            requests = self._make(total, PUSHED, cases_of=opened, cases=cases)
            meter = Meter({"serve": serve.pid})
            told = await self._load(requests, CONNECTIONS, rate=sizes.rate)
            cpu = meter.cpu()["serve"]
            await self._until_effects(requests)
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
        async with self._stub():
            async with self._serving("serve"):
                await self._warm_up(PUSHED)
            began = time.time()
            served = self._house.start("serve", module=self._module)
            try:
                after_stop_s = await self._first_effect() - began
                await self._house.ready(served)
                ready_s = time.time() - began
                served.kill()
                began = time.time()
                served = self._house.start("serve", module=self._module)
                after_kill_s = await self._first_effect() - began
            finally:
                await served.stop()
        with contextlib.closing(View(self._house.database)) as view:
            return Restart(
                after_stop_s=after_stop_s,
                after_kill_s=after_kill_s,
                ledger_records=view.ledger_records(),
                start_s=ready_s,
            )

    async def _first_effect(self) -> float:
        """Send one message as soon as somebody listens; when its effect came (Unix seconds)."""
        requests = self._make(1, PUSHED, cases=1)
        before, _ = await asyncio.to_thread(effects, self._house.stub_port)
        request = letters.read_requests(requests.path)[0]
        await self._post_soon(request)
        until = time.monotonic() + STALLED_S
        while time.monotonic() < until:
            now, last_at = await asyncio.to_thread(effects, self._house.stub_port)
            if now > before:
                return last_at
            await asyncio.sleep(0.005)
        raise BenchFailed("the first message after a restart did not arrive")

    async def _post_soon(self, request: bytes) -> None:
        until = time.monotonic() + STALLED_S
        while time.monotonic() < until:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._house.intake_port)
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

    # what they share

    @contextlib.asynccontextmanager
    async def _serving(
        self, name: str, stages: str | None = None, *, wait: bool = True
    ) -> AsyncIterator[Child]:
        served = self._house.start(name, stages, module=self._module)
        try:
            if wait:
                await self._house.ready(served)
            yield served
        finally:
            await served.stop()

    @contextlib.asynccontextmanager
    async def _stub(self, *, detailed: bool = False) -> AsyncIterator[Child]:
        house = self._house
        more = ["--detailed"] if detailed else []
        arguments = ["--port", str(house.stub_port), *out_of("stub", house.folder), *more]
        stub = self._partner_process = Child("stub", "bench.stub", arguments, house.folder)
        try:
            await listening(house.stub_port, stub)
            yield stub
        finally:
            await stub.stop()

    @contextlib.asynccontextmanager
    async def _puller(self) -> AsyncIterator[Child]:
        house = self._house
        arguments = [
            "--port", str(house.intake_port), "--partner", PULLING, "--key", str(house.folder / "puller.whsk"),
            "--token", house.token, *out_of("puller", house.folder),
        ]  # fmt: skip
        puller = self._partner_process = Child("puller", "bench.puller", arguments, house.folder)
        try:
            yield puller
            puller.check()
        finally:
            await puller.stop()

    def _partner(self) -> Child:
        return self._partner_process

    def _kafka_pid(self) -> int:
        pid = self._kafka.pid(1)
        assert pid is not None, "Kafka has ended"
        return pid

    async def _warm_up(self, partner: str) -> None:
        """Some hundred messages that do not count."""
        with contextlib.closing(View(self._house.database)) as view:
            before = view.settled(partner)
            requests = self._make(300, partner, cases=50)
            await self._load(requests, 16)
            until = time.monotonic() + STALLED_S
            while view.settled(partner) - before < requests.messages:
                if time.monotonic() > until:
                    raise BenchFailed(f"warming up: {view.settled(partner) - before} of {requests.messages}")
                await asyncio.sleep(_LOOK_S)

    async def _until_effects(self, requests: Requests) -> None:
        with contextlib.closing(View(self._house.database)) as view:
            until = time.monotonic() + STALLED_S
            while view.delivered_of(requests.path.stem) < requests.messages:
                if time.monotonic() > until:
                    raise BenchFailed("not all messages were delivered")
                await asyncio.sleep(0.1)

    def _next_run(self) -> str:
        self._numbers += 1
        return f"r{self._numbers}"

    def _make(
        self,
        messages: int,
        partner: str,
        *,
        batch: int = 1,
        run: str | None = None,
        cases_of: str | None = None,
        cases: int | None = None,
    ) -> Requests:
        run = run or self._next_run()
        order = Order(
            run=run,
            cases_of=cases_of or run,
            sender=SENDER,
            destination=partner,
            messages=messages,
            cases=min(messages, cases or self._sizes.cases),
            opened=cases_of is not None,
            batch=batch,
        )
        return letters.make(order, self._house.keys[SENDER], self._house.folder / f"{run}.requests")

    async def _load(self, requests: Requests, connections: int, *, rate: float = 0.0) -> dict[str, Any]:
        return await load(self._house.folder, self._house.intake_port, requests, connections, rate=rate)


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
        await asyncio.sleep(_LOOK_S)
    raise BenchFailed(f"{child.name} does not listen\n{child.last_words()}")


def _part(messages: int, seconds: float, cpu_s: float, child: Child) -> Part:
    return Part(
        messages=messages,
        seconds=seconds,
        cpu_us=cpu_s * 1e6 / messages,
        peak_mb=memory(child.pid).peak_mb,
    )
