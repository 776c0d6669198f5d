"""One run through the running broker: processes, progress, and what each tenth of the messages cost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from bench.delivery_partner import Stub
from bench.hall_days import MESSAGES_PER_CASE
from bench.hall_house import HallHouse, HallView
from bench.hall_letters import SIDES
from bench.measure import cpu_s, memory
from bench.processes import BenchFailed, Child, out_of
from deploy.kafka.cluster import EmbeddedKafka

STALLED_S: Final = 60.0
PARTS: Final = 10
_LOOK_S: Final = 0.05
_MEMORY_S: Final = 1.0
Say = Callable[[str], None]


@dataclass(kw_only=True)
class Tenth:
    """One tenth of the messages: seconds, and CPU microseconds per message by process."""

    messages: int
    seconds: float
    cpu_us: dict[str, float]

    @property
    def broker_us(self) -> float:
        return sum(us for name, us in self.cpu_us.items() if name.startswith("serve"))


@dataclass(kw_only=True)
class HallRun:
    """What a run has shown. ``seconds``: from the first request to the last receipt in the view.

    ``rss_mb``: by process, every second at first, thinned out later. ``whole`` False: it was interrupted.
    """

    road: str
    processes: str
    cases: int
    messages: int
    seconds: float
    accepted_s: float
    cpu_us: dict[str, float]
    peak_mb: dict[str, float]
    tenths: list[Tenth]
    rss_mb: dict[str, list[float]] = field(default_factory=dict)
    put_off: int = 0
    effects: int = 0
    doubled: int = 0
    out_of_order: int = 0
    whole: bool = True

    @property
    def rate(self) -> float:
        """Messages a second: effect at the partner and receipt in the view."""
        return self.messages / self.seconds

    @property
    def all_us(self) -> float:
        return sum(self.cpu_us.values())

    @property
    def broker_us(self) -> float:
        return sum(us for name, us in self.cpu_us.items() if name.startswith("serve"))

    @property
    def drift(self) -> float | None:
        """CPU of the broker per message in the last tenth against the first."""
        if len(self.tenths) < PARTS:
            return None
        return self.tenths[-1].broker_us / self.tenths[0].broker_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """How to run: ``processes`` names the stages of each, as in ``intake/exchange/delivery``."""

    connector: str
    processes: str
    batch: int
    connections: int
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
        """Push ``cases`` cases through, whole. Raises :class:`BenchFailed` when a message is lost or refused."""
        await self._stub.reset()
        total = cases * MESSAGES_PER_CASE
        with contextlib.closing(HallView(self.house.database)) as view:
            before = view.receipted()
            load = self._load(run, cases)
            try:
                watch = Watch(self._pids(served, load), total, None if quiet else self._say)
                settled = await self._until_settled(view, before, watch, {**served, "load": load})
                ended_at = time.time()
            finally:
                await load.stop()
            told = load.told()
            found = watch.result(self.road, cases, settled, ended_at, told)
            found.whole = settled >= total
            if found.whole:
                await self._check(view, run, cases, found)
        return found

    def _load(self, run: str, cases: int) -> Child:
        house = self.house
        arguments = [
            "--port", str(house.intake_port), "--cases", str(cases), "--run", run, "--keys", str(house.folder),
            "--batch", str(self.road.batch), "--connections", str(self.road.connections),
            *out_of("load", house.folder),
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


class Watch:
    """CPU at each tenth, memory every second, a line of progress at each tenth."""

    def __init__(self, pids: Mapping[str, int], total: int, say: Say | None) -> None:
        self.total = total
        self._pids = dict(pids)
        self._say = say
        self._began = time.monotonic()
        self._marks: list[tuple[int, float, dict[str, float]]] = [(0, self._began, self._cpu())]
        self._rss: dict[str, list[float]] = {name: [] for name in pids}
        self._every_s, self._rss_at = _MEMORY_S, 0.0
        self._peaks: dict[str, float] = {}

    def look(self, settled: int) -> None:
        """Note what is due now."""
        now = time.monotonic()
        if now >= self._rss_at:
            self._rss_at = now + self._every_s
            self._sample()
        if settled >= self.total * len(self._marks) // PARTS and len(self._marks) <= PARTS:
            self._marks.append((settled, now, self._cpu()))
            if self._say is not None:
                self._say(self._progress(settled, now))

    def result(
        self, road: Road, cases: int, settled: int, ended_at: float, told: Mapping[str, Any]
    ) -> HallRun:
        cpu = {name: spent - self._marks[0][2][name] for name, spent in self._cpu().items()}
        cpu["load"], self._peaks["load"] = told["cpu_s"], told["peak_mb"]
        return HallRun(
            road=road.connector,
            processes=road.processes,
            cases=cases,
            messages=settled,
            seconds=ended_at - told["first_sent"],
            accepted_s=told["last_answer"] - told["first_sent"],
            cpu_us={name: spent * 1e6 / max(1, settled) for name, spent in cpu.items()},
            peak_mb=self._peaks,
            tenths=[_tenth(one, other) for one, other in zip(self._marks, self._marks[1:], strict=False)],
            rss_mb=self._rss,
            put_off=sum(count for status, count in told["statuses"].items() if status != "202"),
        )

    def _progress(self, settled: int, now: float) -> str:
        latest = _tenth(self._marks[-2], self._marks[-1])
        rate = latest.messages / max(1e-9, latest.seconds)
        left_s = (self.total - settled) / max(1.0, settled / (now - self._began))
        return (
            f"{settled * 100 // self.total:3} %: {rate:,.0f}/s, the broker {latest.broker_us:.0f} µs of CPU each,"
            f" {self._broker_mb():.0f} MB, {left_s:,.0f} s to go"
        )

    def _broker_mb(self) -> float:
        return sum(values[-1] for name, values in self._rss.items() if name.startswith("serve"))

    def _cpu(self) -> dict[str, float]:
        found = dict(self._marks[-1][2]) if hasattr(self, "_marks") else {}
        for name, pid in self._pids.items():
            with contextlib.suppress(OSError):  # the load may have ended
                found[name] = cpu_s(pid)
        return {name: found.get(name, 0.0) for name in self._pids}

    def _sample(self) -> None:
        for name, pid in self._pids.items():
            with contextlib.suppress(OSError, KeyError):
                now = memory(pid)
                self._rss[name].append(round(now.rss_mb, 1))
                self._peaks[name] = max(self._peaks.get(name, 0.0), now.peak_mb)
        if max(map(len, self._rss.values())) >= 240:  # a run of hours needs no sample a second
            self._every_s *= 2
            self._rss = {name: values[::2] for name, values in self._rss.items()}


def _tenth(one: tuple[int, float, dict[str, float]], other: tuple[int, float, dict[str, float]]) -> Tenth:
    messages = max(1, other[0] - one[0])
    return Tenth(
        messages=other[0] - one[0],
        seconds=other[1] - one[1],
        cpu_us={name: (spent - one[2][name]) * 1e6 / messages for name, spent in other[2].items()},
    )


def broker_memory(found: HallRun, shares: Sequence[float]) -> list[float]:
    """Resident memory of the broker's processes together, at these shares of the run."""
    series = [values for name, values in found.rss_mb.items() if name.startswith("serve") and values]
    if not series:
        return []
    length = min(map(len, series))
    return [sum(values[min(length - 1, int(share * length))] for values in series) for share in shares]
