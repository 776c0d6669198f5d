"""``python -m bench.hall``: two years of a provincial hall through the running broker.

2.7 million cases of 1,707 items, 4,000 a working day in the order of the days' real shape; each is submitted,
accepted, decided, issued. An opening city and the hall push signed batches as fast as they are taken; both get
their messages in batches, over HTTP or from their mailboxes. ``--share`` is how much of it (0.01: 27,000 cases,
108,000 messages, in less than a minute), ``--full`` all. With ``--road both`` both ways are tried with a tenth and
the faster is taken. Ctrl-C ends it early and tells what was measured. Writes ``bench/.out/hall.json`` and
``hall.md``; with ``--page`` the section of that page.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from bench import hall_report, pages
from bench.bare import Bare
from bench.delivery_partner import Stub, partner
from bench.hall_days import CASES, MESSAGES_PER_CASE
from bench.hall_house import HallHouse
from bench.hall_lead import LEAD
from bench.hall_run import Hall, Road
from bench.hall_watch import HallRun
from bench.measure import Neighbours
from bench.occasion import Occasion
from bench.processes import OUT, BenchFailed, measured, tell
from bench.results import Part
from deploy.kafka.cluster import EmbeddedKafka

ROADS: Final = ("http", "mailbox")
BOTH: Final = "both"
STAGES: Final = "intake/exchange/delivery"
_WARM_CASES: Final = 500
_RAW: Final = 10_000
"""Records of the raw part: less than a second of produce and consume; that they are made and signed takes longer."""
_TRIAL: Final = 10
_LOOK_S: Final = 0.5
_DISK_BYTES: Final = 6_000
"""What a message takes on the disk, with its receipt: ledger, outbox, view and vault; short runs have shown 5,000."""
say = partial(tell, "hall")


@dataclass(kw_only=True)
class Found:
    """Everything of one run. ``trials``: the short runs that chose the road; ``main``: the one that counts."""

    occasion: Occasion
    share: float
    language: str = ""
    raw: dict[str, Part] = field(default_factory=dict)
    trials: list[HallRun] = field(default_factory=list)
    main: HallRun | None = None


async def measure(arguments: argparse.Namespace) -> Found:
    """The trials if wanted, the run, raw Kafka."""
    found = Found(occasion=Occasion.now("bench.hall", look_s=_LOOK_S), share=arguments.share)
    cases = max(1, round(CASES * arguments.share))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tongban-bench-")))
        _room_for(cases, folder)
        stub = await stack.enter_async_context(partner(folder, OUT))
        found.language = stub.language
        neighbours = Neighbours([stub.child.pid])
        road = arguments.road
        if road == BOTH:
            for each in ROADS:
                found.trials.append(
                    await _trial(each, max(1, cases // _TRIAL), stub, folder, arguments, found)
                )
            road = max(found.trials, key=lambda each: each.rate).road
        found.main = await _once(road, cases, stub, folder, arguments, found)
        found.occasion.ends(neighbours)
    return found


def _room_for(cases: int, folder: Path) -> None:
    """Raises :class:`BenchFailed` when the disk is too small for the run."""
    needed, free = cases * MESSAGES_PER_CASE * _DISK_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise BenchFailed(
            f"{folder.parent} has {free / 1024**3:.0f} GiB free, the run may need {needed / 1024**3:.0f}:"
            " set TMPDIR to a larger disk, or take a smaller --share"
        )


async def _trial(
    road: str, cases: int, stub: Stub, folder: Path, arguments: argparse.Namespace, found: Found
) -> HallRun:
    trial = await _once(road, cases, stub, folder, arguments, found, quiet=True)
    if not trial.whole:
        raise BenchFailed("interrupted while the roads were tried")
    say(f"{road}: {trial.rate:,.0f}/s with {trial.messages:,} messages, {trial.all_us:.0f} µs of CPU each")
    return trial


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
            lead=arguments.lead,
            module=arguments.module,
        )
        hall = Hall(kafka, house, how, stub, say)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, hall.stopping.set)
        async with hall.at_work() as served:
            warm = await hall.run("w", _WARM_CASES, served, quiet=True)
            if not warm.whole:
                raise BenchFailed("interrupted while it warmed up")
            made = await hall.run("h", cases, served, quiet=quiet)
        if not quiet and made.whole and not found.raw:
            found.raw = await Bare(house, _RAW, 1000).raw()
        return made


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.hall", description=__doc__)
    parser.add_argument("--share", type=float, default=0.01, help="how much of the two years (0.01)")
    parser.add_argument("--full", action="store_true", help="all of it")
    parser.add_argument(
        "--road", choices=(*ROADS, BOTH), default="http", help="how partners get their messages (http)"
    )
    parser.add_argument("--processes", default=STAGES, help=f"stages by process ({STAGES})")
    parser.add_argument("--batch", type=int, default=1000, help="messages of one request (1000)")
    parser.add_argument("--connections", type=int, default=2, help="requests under way from each side (2)")
    parser.add_argument(
        "--lead", type=int, default=LEAD, help=f"messages that may be sent and have no receipt yet ({LEAD:,})"
    )
    pages.add_argument(parser)
    parser.add_argument("--module", default="broker.cli", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.full:
        arguments.share = 1.0
    if not 0 < arguments.share <= 1:
        parser.error("--share: expected more than 0, at most 1")
    if arguments.lead < 1:
        parser.error("--lead: expected at least 1")
    return arguments


def main() -> None:
    arguments = read_arguments()
    found = measured("hall", measure(arguments))
    pages.publish("hall", found, hall_report.HEADING, hall_report.section(found), arguments.page)


if __name__ == "__main__":
    main()
