"""``python -m bench.road``: the whole road beside its bare parts, in one run; writes ``docs/benchmarks.md``.

``--messages N`` (singles; the rest follows from it) or ``--seconds S`` of latency; ``--quick`` takes less than a
minute; ``--only single,staged,…`` makes some of the runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from bench import clock, deadlines, delivery_report, hall_report, pages, rebuild, report
from bench.bare import Bare
from bench.crew import Crew, Sizes
from bench.house import House
from bench.measure import Neighbours
from bench.moments import Moments
from bench.occasion import QUIET, Occasion
from bench.processes import ROOT, measured, tell
from bench.results import Results
from bench.runs import Runs
from bench.steps import measure_all
from deploy.kafka.cluster import EmbeddedKafka

PAGE: Final = ROOT / "docs" / "benchmarks.md"
RUNS: Final = ("single", "batches", "staged", "latency", "restart")
OTHERS: Final = (
    delivery_report.HEADING,
    hall_report.HEADING,
    rebuild.HEADING,
    clock.HEADING,
    deadlines.HEADING,
)
"""Sections of the page that other commands write."""
say = partial(tell, "bench")


def sizes(arguments: argparse.Namespace) -> Sizes:
    """How much to move: ``--messages`` sets the singles, everything else in proportion."""
    single = arguments.messages or (1_500 if arguments.quick else 30_000)
    return Sizes(
        single=single,
        staged=min(15_000, max(2000, single // 2)),  # less than what makes intake slow down
        batches=single * 2,
        parts=min(20_000, max(1000, single // 2)),
        latency_s=arguments.seconds or (2.0 if arguments.quick else 15.0),
        cases=min(2000, max(100, single // 10)),
    )


async def measure(arguments: argparse.Namespace) -> Results:
    """Everything, on a Kafka and a broker of its own."""
    occasion = Occasion.now("bench.road")
    if occasion.other_load > QUIET:
        say(f"other programs use {occasion.other_load:.0%} of this machine: the figures will be low")
    results = Results(occasion=occasion, quick=arguments.quick)
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as folder:
        results.steps = measure_all(Path(folder), 0.03 if arguments.quick else 0.15)
        say("the product's own steps: measured one by one")
        async with EmbeddedKafka(say=say) as kafka:
            house = House(Path(folder), kafka.bootstrap, session_s=3.0 if arguments.quick else 10.0)
            await house.furnish()
            await _measure(results, Crew(kafka, house, sizes(arguments), arguments.module), arguments)
    occasion.ends()
    return results


async def _measure(results: Results, crew: Crew, arguments: argparse.Namespace) -> None:
    chosen = crew.sizes
    runs, moments, bare = Runs(crew), Moments(crew), Bare(crew.house, chosen.parts, chosen.cases)

    async def raw() -> None:
        results.parts.update(await bare.raw())

    async def single() -> None:
        results.single, results.event_bytes = await runs.single()

    async def batches() -> None:
        results.batches = await runs.batches()

    async def staged() -> None:
        results.staged, results.stages = await runs.staged()

    async def latency() -> None:
        results.latency = await moments.latency(await bare.hops(chosen.rate, chosen.latency_s))

    async def restart() -> None:
        results.restart = await moments.restart()

    async def parts() -> None:
        results.parts.update(await bare.stages())

    steps: dict[str, Callable[[], Awaitable[None]]] = {
        "single": single,
        "latency": latency,
        "batches": batches,
        "restart": restart,
        "staged": staged,
    }
    wanted = [(name, step) for name, step in steps.items() if name in arguments.only]
    for name, step in [("raw", raw), *wanted, ("bare parts", parts)]:
        began, neighbours = time.monotonic(), Neighbours([crew.kafka_pid()])
        await step()
        share = results.others[name] = neighbours.share()
        say(f"{name}: {time.monotonic() - began:.0f} s{_figure(results, name)}{_disturbed(share)}")


def _figure(results: Results, name: str) -> str:
    roads = {"single": results.single, "batches": results.batches, "staged": results.staged}
    road = roads.get(name)
    if road is not None:
        return f", {road.rate:,.0f} messages/s, the broker {road.broker_us:.0f} µs of CPU each"
    if name == "latency" and results.latency is not None:
        return f", p99 {results.latency.accepted_p99:.1f} ms"
    if name == "restart" and results.restart is not None:
        return f", first delivery after {results.restart.after_stop_s:.1f} s"
    return ""


def _disturbed(share: float) -> str:
    return f"; other programs used {share:.0%} of the machine meanwhile" if share > QUIET else ""


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.road", description=__doc__)
    parser.add_argument("--messages", type=int, help="single messages of the whole road (default: 30,000)")
    parser.add_argument("--seconds", type=float, help="how long latency is measured (default: 15)")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it works")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(RUNS), help=",".join(RUNS))
    parser.add_argument("--module", default="broker.cli", help=argparse.SUPPRESS)
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    arguments = parser.parse_args(words)
    unknown = set(arguments.only) - set(RUNS)
    if unknown:
        parser.error(f"--only: {', '.join(sorted(unknown))}: expected some of {', '.join(RUNS)}")
    return arguments


def main() -> None:
    arguments = read_arguments()
    results = measured("bench", measure(arguments))
    before = arguments.page.read_text(encoding="utf-8") if arguments.page.exists() else ""
    page = pages.kept(report.render(results), before, OTHERS)
    pages.keep("road", results, page)
    arguments.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
