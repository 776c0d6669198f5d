"""``python -m bench.hall``: two years of a provincial hall through the running broker.

2.7 million cases of 1,707 items, 4,000 a working day in the order of the days' real shape; each is submitted,
accepted, decided, issued. An opening city and the hall push signed batches as fast as they are taken; both get
their messages in batches, over HTTP or from their mailboxes. ``--share`` is how much of it (0.01: 27,000 cases,
108,000 messages), ``--full`` all. Without ``--road`` both ways are tried with a tenth and the faster is taken.
Ctrl-C ends it early and tells what was measured. Writes ``bench/.out/hall.json`` and ``hall.md``; with
``--page`` the section of that page.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from bench import hall_report, pages
from bench.bare import Bare
from bench.delivery_partner import Stub, partner
from bench.hall_days import CASES
from bench.hall_house import HallHouse
from bench.hall_run import Hall, HallRun, Road
from bench.measure import Neighbours, busy_share, machine
from bench.processes import BenchFailed
from bench.results import Part
from deploy.kafka.cluster import EmbeddedKafka

ROOT: Final = Path(__file__).resolve().parent.parent
OUT: Final = ROOT / "bench" / ".out"
ROADS: Final = ("http", "mailbox")
STAGES: Final = "intake/exchange/delivery"
_WARM_CASES: Final = 500
_RAW: Final = 15_000
_TRIAL: Final = 10


@dataclass(kw_only=True)
class Found:
    """Everything of one run. ``trials``: the short runs that chose the road; ``main``: the one that counts."""

    command: str
    date: str
    machine: dict[str, str]
    other_load: float
    share: float
    others: float = 0.0
    language: str = ""
    raw: dict[str, Part] = field(default_factory=dict)
    trials: list[HallRun] = field(default_factory=list)
    main: HallRun | None = None
    seconds: float = 0.0


async def measure(arguments: argparse.Namespace) -> Found:
    """Raw Kafka, the trials, the run."""
    began = time.monotonic()
    found = Found(
        command=shlex.join(["python", "-m", "bench.hall", *sys.argv[1:]]),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine(),
        other_load=busy_share(1.0),
        share=arguments.share,
    )
    cases = max(1, round(CASES * arguments.share))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tongban-bench-")))
        stub = await stack.enter_async_context(partner(folder, OUT))
        found.language = stub.language
        pids: list[int] = [stub.child.pid]
        neighbours = Neighbours(pids)
        chosen = arguments.road
        if chosen is None:
            for road in ROADS:
                trial = await _once(road, max(1, cases // _TRIAL), stub, folder, arguments, found, quiet=True)
                found.trials.append(trial)
                say(
                    f"{road}: {trial.rate:,.0f}/s with {trial.messages:,} messages, {trial.all_us:.0f} µs of CPU each"
                )
            chosen = max(found.trials, key=lambda each: each.rate).road
        found.main = await _once(chosen, cases, stub, folder, arguments, found)
        found.others = neighbours.share()
    found.seconds = time.monotonic() - began
    return found


async def _once(
    road: str,
    cases: int,
    stub: Stub,
    folder: Path,
    arguments: argparse.Namespace,
    found: Found,
    *,
    quiet: bool = False,
) -> HallRun:
    """One run on a Kafka and a broker of its own."""
    own = folder / f"{road}-{cases}"
    own.mkdir()
    async with EmbeddedKafka(say=say if not quiet else lambda _: None) as kafka:
        house = HallHouse(own, kafka.bootstrap, connector=road, stub_port=stub.port)
        await house.furnish()
        how = Road(
            connector=road,
            processes=arguments.processes,
            batch=arguments.batch,
            connections=arguments.connections,
            module=arguments.module,
        )
        hall = Hall(kafka, house, how, stub, say)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, hall.stopping.set)
        async with hall.at_work() as served:
            await hall.run("w", _WARM_CASES, served, quiet=True)
            made = await hall.run("h", cases, served, quiet=quiet)
        if not quiet and made.whole and not found.raw:
            found.raw = await Bare(house, _RAW, 1000).raw()
        return made


def say(line: str) -> None:
    print(f"hall: {line}", file=sys.stderr, flush=True)


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.hall", description=__doc__)
    parser.add_argument("--share", type=float, default=0.01, help="how much of the two years (0.01)")
    parser.add_argument("--full", action="store_true", help="all of it")
    parser.add_argument("--road", choices=ROADS, help="how partners get their messages (default: the faster)")
    parser.add_argument("--processes", default=STAGES, help=f"stages by process ({STAGES})")
    parser.add_argument("--batch", type=int, default=1000, help="messages of one request (1000)")
    parser.add_argument("--connections", type=int, default=2, help="requests under way from each side (2)")
    parser.add_argument("--page", type=Path, help="the page whose section this is (docs/benchmarks.md)")
    parser.add_argument("--module", default="broker.cli", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.full:
        arguments.share = 1.0
    if not 0 < arguments.share <= 1:
        parser.error("--share: expected more than 0, at most 1")
    return arguments


def ready() -> None:
    """No setting of this shell's reaches the broker of a bench."""
    for name in [each for each in os.environ if each.startswith("TONGBAN_") and each != "TONGBAN_CACHE"]:
        del os.environ[name]
    os.environ["PYTHONPATH"] = str(ROOT)


def main() -> None:
    arguments = read_arguments()
    ready()
    try:
        found = asyncio.run(measure(arguments))
    except BenchFailed as failed:
        say(f"failed: {failed}")
        sys.exit(1)
    OUT.mkdir(exist_ok=True)
    (OUT / "hall.json").write_bytes(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2))
    section = hall_report.section(found)
    (OUT / "hall.md").write_text(section, encoding="utf-8")
    if arguments.page is not None:
        pages.write(arguments.page, hall_report.HEADING, section)
    print(section)


if __name__ == "__main__":
    main()
