"""One contender, one outbox, one delay: started, watched by the partner's own ledger, measured, ended."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench.delivery_partner import Program, Stats, Stub
from bench.delivery_peers import Contender, Job
from bench.delivery_records import Load
from bench.measure import cpu_s, memory
from bench.processes import BenchFailed
from broker.core.ids import PartnerId

START_S: Final = 60.0
STALLED_S: Final = 20.0
_LOOK_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one run, or the median of several, has shown. ``cpu_us``: of the contender's process per record.

    ``lost``: records that never came. ``cut``: the run was ended before its last record, to save time.
    """

    contender: str
    exponent: float
    delay_ms: float
    records: int
    rate: float
    bound: float | None
    cpu_us: float
    peak_mb: float
    out_of_order: int
    doubled: int
    lost: int
    partner_cpu_us: float
    start_s: float
    runs: int = 1
    cut: bool = False


class Course:
    """Runs on one Kafka and one partner. ``cut_s``: a run is ended after so many seconds of deliveries."""

    def __init__(self, bootstrap: str, stub: Stub, folder: Path, out: Path, *, cut_s: float) -> None:
        self.bootstrap = bootstrap
        self.stub = stub
        self.folder = folder
        self.out = out
        self._cut_s = cut_s

    def job_of(self, partner: PartnerId, *, group: str | None = None) -> Job:
        """A fresh group's work, or a further member's of ``group``."""
        name = uuid.uuid4().hex[:10]
        return Job(
            bootstrap=self.bootstrap,
            partner=partner,
            group=group or f"bench-{name}",
            member=f"worker-{name}",
            url=self.stub.url,
            folder=self.folder,
        )

    def start(self, contender: Contender, job: Job, *, name: str | None = None) -> Program:
        """Start it. Raises :class:`bench.delivery_peers.NotHere`."""
        return Program(name or contender.name, contender.command(job, self.out), self.folder)

    async def until(self, child: Program, effects: int, *, within_s: float, at_least: float = 0.0) -> Stats:
        """Wait until the partner has so many effects. Raises :class:`BenchFailed` when nothing moves for long."""
        began = moved = time.monotonic()
        before = -1
        while True:
            stats = await self.stub.stats()
            now = time.monotonic()
            if stats.effects >= effects or now - began > within_s:
                return stats
            if stats.effects != before:
                before, moved = stats.effects, now
            elif now - moved > max(STALLED_S, at_least):
                return stats
            child.check()
            await asyncio.sleep(_LOOK_S)

    async def run(self, contender: Contender, load: Load, exponent: float, delay_s: float) -> Figure:
        """One run. Raises BenchFailed, and NotHere."""
        job = self.job_of(load.partner)
        await self.stub.reset(delay_s=delay_s)
        begun = time.monotonic()
        child = self.start(contender, job)
        try:
            first = await self.until(child, 1, within_s=START_S)
            if not first.effects:
                raise BenchFailed(f"{contender.name} has delivered nothing\n{child.last_words()}")
            start_s = time.monotonic() - begun
            cpu = cpu_s(child.pid)
            stats = await self.until(child, load.records, within_s=self._cut_s)
            used_s = cpu_s(child.pid) - cpu
            peak_mb = memory(child.pid).peak_mb
        finally:
            await child.stop(5.0)
        measured = max(1, stats.effects - first.effects)
        whole = stats.effects >= load.records
        cut = not whole and stats.last_at - stats.first_at > self._cut_s * 0.9
        return Figure(
            contender=contender.name,
            exponent=exponent,
            delay_ms=delay_s * 1000,
            records=load.records,
            rate=stats.rate,
            bound=load.bound(delay_s) if contender.keyed else None,
            cpu_us=used_s * 1e6 / measured,
            peak_mb=peak_mb,
            out_of_order=stats.out_of_order,
            doubled=stats.doubled,
            lost=0 if cut else load.records - stats.effects,
            partner_cpu_us=(stats.cpu_s - first.cpu_s) * 1e6 / measured,
            start_s=start_s,
            cut=cut,
        )


def middle(figures: list[Figure]) -> Figure:
    """The run with the median rate; faults and memory are the worst of all runs."""
    chosen = min(figures, key=lambda each: abs(each.rate - median(one.rate for one in figures)))
    worst = {
        name: max(getattr(each, name) for each in figures)
        for name in ("peak_mb", "out_of_order", "doubled", "lost")
    }
    plain = {name: getattr(chosen, name) for name in Figure.__slots__}
    return Figure(**{**plain, **worst, "runs": len(figures)})
