"""Many seeds, their figures, what they saw, and the shortest history of the first that failed."""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.simulation import sights
from tests.simulation.history import Event, digest
from tests.simulation.making import make_plan
from tests.simulation.run import Result, simulate
from tests.simulation.shrink import shortest

_CHUNK: Final = 50
_PROGRESS_S: Final = 5.0


@dataclass
class Figures:
    """Sums over seeds."""

    seeds: int = 0
    virtual_s: float = 0.0
    deliveries: int = 0
    faults: int = 0
    events: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    failed: dict[int, list[str]] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)

    def add(self, other: Figures) -> None:
        self.seeds += other.seeds
        self.virtual_s += other.virtual_s
        self.deliveries += other.deliveries
        self.faults += other.faults
        self.events += other.events
        self.seen.update(other.seen)
        self.failed.update(other.failed)
        self.digests.update(other.digests)

    def take(self, result: Result) -> None:
        """One seed's result."""
        self.seeds += 1
        self.virtual_s += result.virtual_s
        self.deliveries += result.deliveries
        self.events += len(result.history)
        self.faults += sum(
            event.what == "fault"
            or (event.what == "process" and event.detail in {"killed", "frozen"})
            or (event.what == "answered" and not event.detail.startswith("fine"))
            for event in result.history
        )
        self.seen.update(result.seen)
        if result.anomalies:
            self.failed[result.plan.seed] = [str(anomaly) for anomaly in result.anomalies]


def run_seeds(seeds: Sequence[int], *, digests: bool = False, until_s: float = float("inf")) -> Figures:
    """Simulate these seeds, one after the other."""
    figures = Figures()
    for seed in seeds:
        if time.time() > until_s:
            break
        result = simulate(make_plan(seed))
        figures.take(result)
        if digests:
            figures.digests[seed] = digest(result.history)
        if seed % _CHUNK == 0:
            gc.collect()
    return figures


def main(arguments: Sequence[str]) -> int:
    """0: no anomaly and everything seen; 1: not so; 130: interrupted before that."""
    options = _options(arguments)
    if options.show is not None:
        return _show(options.show)
    figures, interrupted = Figures(), False
    began = time.monotonic()
    try:
        for part in _parts(options):
            figures.add(part)
            if sys.stderr.isatty():
                print(f"\r{_progress(figures, began)}", end="", file=sys.stderr, flush=True)
            if figures.failed and not options.keep_going:
                break
    except KeyboardInterrupt:
        interrupted = True
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return _tell(figures, time.monotonic() - began, options, interrupted=interrupted)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--minutes", type=float, help="stop after so long, whatever is left")
    parser.add_argument("--keep-going", action="store_true", help="count all failures instead of stopping")
    parser.add_argument(
        "--quick-fail", action="store_true", help="on a failure name the seed, do not shorten"
    )
    parser.add_argument("--digests", action="store_true", help="print a digest of every history")
    parser.add_argument("--show", type=int, metavar="SEED", help="print one seed's plan and history, and end")
    parser.add_argument("--results", type=Path, help="write the figures here as JSON")
    return parser.parse_args(arguments)


def _parts(options: argparse.Namespace) -> Iterator[Figures]:
    """The figures of some seeds after the other, from as many processes as wanted."""
    until_s = time.time() + 60 * options.minutes if options.minutes else float("inf")
    every = range(options.first, options.first + options.seeds)
    chunks = [list(every[start : start + _CHUNK]) for start in range(0, len(every), _CHUNK)]
    if options.jobs <= 1:
        for chunk in chunks:
            if time.time() < until_s:
                yield run_seeds(chunk, digests=options.digests, until_s=until_s)
        return
    waiting = iter(chunks)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        running: set[Future[Figures]] = set()
        try:
            while True:
                while len(running) < 2 * options.jobs and (chunk := next(waiting, [])):
                    running.add(pool.submit(run_seeds, chunk, digests=options.digests, until_s=until_s))
                if not running:
                    return
                done, running = wait_for(running, return_when="FIRST_COMPLETED")
                yield from (each.result() for each in done)
        finally:
            for each in running:
                each.cancel()


def _progress(figures: Figures, began: float) -> str:
    rate = figures.seeds / max(0.001, time.monotonic() - began)
    return f"{figures.seeds} seeds, {rate:.0f}/s, {len(figures.failed)} failed"


def _tell(figures: Figures, took_s: float, options: argparse.Namespace, *, interrupted: bool) -> int:
    for seed, found in sorted(figures.digests.items()):
        print(f"{seed} {found}")
    unseen = sights.missing(figures.seen, figures.seeds)
    print(
        f"seeds {figures.seeds}, {figures.seeds / max(took_s, 0.001):.1f} seeds/s, "
        f"virtual time {figures.virtual_s / 86400:.1f} days, deliveries {figures.deliveries}, "
        f"faults {figures.faults}, events {figures.events}"
    )
    print(f"anomalies in {len(figures.failed)} seeds; 95 % bound {_bound(figures)}")
    print("seen:")
    for sight in dict.fromkeys((*sights.ALL, *sorted(figures.seen))):
        mark = "  " if figures.seen.get(sight) or sight not in unseen else "! "
        print(f"  {mark}{figures.seen.get(sight, 0):9}  {sight}")
    if options.results is not None:
        _write(options.results, figures, took_s)
    for seed, anomalies in sorted(figures.failed.items()):
        print(f"seed {seed}: {anomalies[0]}")
    if figures.failed:
        if not options.quick_fail:
            _explain(min(figures.failed))
        return 1
    if interrupted:
        return 130
    if unseen:
        print(f"NOT SEEN: {', '.join(unseen)}")
    return int(bool(unseen) and not options.minutes)


def _bound(figures: Figures) -> str:
    """With n clean trials the chance of a failure is below 3/n, 95 times of 100."""
    if figures.failed or not figures.seeds:
        return "none: there are anomalies"
    return f"3/{figures.seeds} = {3 / figures.seeds:.2g} failures a seed"


def _write(path: Path, figures: Figures, took_s: float) -> None:
    found = {
        "seeds": figures.seeds,
        "seconds": round(took_s, 1),
        "virtual_days": round(figures.virtual_s / 86400, 1),
        "deliveries": figures.deliveries,
        "faults": figures.faults,
        "failed": {str(seed): anomalies for seed, anomalies in sorted(figures.failed.items())},
        "bound": None if figures.failed or not figures.seeds else 3 / figures.seeds,
        "seen": dict(sorted(figures.seen.items())),
    }
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _explain(seed: int) -> None:
    """The shortest history of a failed seed."""
    result = simulate(make_plan(seed))
    print(f"\nSeed {seed} again, as short as it could be made:")
    short = shortest(result)
    print_result(short, all_events=False)
    print(f"\nAgain: python -m tests.simulation --from {seed} --seeds 1")


def _show(seed: int) -> int:
    result = simulate(make_plan(seed))
    print_result(result, all_events=True)
    return int(bool(result.anomalies))


def print_result(result: Result, *, all_events: bool) -> None:
    """A plan and its history for a person."""
    print(result.plan)
    print("\nsteps:")
    for step in result.plan.steps:
        print(step)
    print("\nhistory:")
    told = " ".join(anomaly.what for anomaly in result.anomalies)
    for event in result.history:
        if all_events or _matters(event, told):
            print(event)
    for anomaly in result.anomalies:
        print(f"ANOMALY {anomaly}")


def _matters(event: Event, told: str) -> bool:
    if event.what in {
        "process",
        "fault",
        "owner",
        "assigned",
        "healed",
        "end",
        "act",
        "fenced",
        "step",
        "lever",
    }:
        return True
    if event.name:
        return not told or event.name in told or bool(event.case and event.case in told)
    if event.what in {"commit", "sample"}:
        return event.what == "commit" and (str(event.place) in told or "tongban.outbox" not in told)
    return event.what in {"stored", "unstored", "dossier"}
