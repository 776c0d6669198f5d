"""``python -m bench.rebuild``: the view made again from a ledger that a run of the hall has left, records a second.

The ledger holds ``--records`` at least: messages and receipts. What is timed is what ``tongban rebuild`` does,
from the first look at the ledger to the last commit, without the start of the process; the view before and after is
compared, byte by byte. Writes ``bench/.out/rebuild.json`` and ``rebuild.md``; with ``--page`` the section of that page.
"""

from __future__ import annotations

import argparse
import asyncio
import filecmp
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop

from bench import pages
from bench.bare import Bare
from bench.delivery_partner import partner
from bench.hall import STAGES
from bench.hall_days import MESSAGES_PER_CASE
from bench.hall_house import HallHouse, HallView
from bench.hall_run import Hall, Road
from bench.measure import Neighbours, memory
from bench.occasion import Occasion
from bench.processes import OUT, BenchFailed, Child, measured, out_of, tell
from bench.results import Part
from bench.tables import Goal, goal_table, table
from broker.exchange import rebuild as rebuilding
from broker.log.admin import group_admin, groups
from broker.settings import load
from broker.store.access.engine import Store
from deploy.kafka.cluster import EmbeddedKafka

HEADING: Final = "## Rebuild of the view"
GOAL: Final = 15_000.0
_WITHIN_S: Final = 3600.0
_RAW: Final = 15_000
say = partial(tell, "rebuild")


@dataclass(kw_only=True)
class Rebuilt:
    """What the runs have shown: records judged and applied, seconds and CPU seconds of each run."""

    occasion: Occasion
    ledger_records: int = 0
    records: int = 0
    runs: list[dict[str, float]] = field(default_factory=list)
    raw: dict[str, Part] = field(default_factory=dict)

    @property
    def best(self) -> dict[str, float]:
        """The run in the middle."""
        return sorted(self.runs, key=lambda run: run["seconds"])[len(self.runs) // 2]

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.best["seconds"]


async def measure(arguments: argparse.Namespace) -> Rebuilt:
    """A run of the hall, then the rebuilds of its view."""
    found = Rebuilt(occasion=Occasion.now("bench.rebuild"))
    cases = -(-arguments.records // (2 * MESSAGES_PER_CASE))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tongban-bench-")))
        stub = await stack.enter_async_context(partner(folder, OUT))
        kafka = await stack.enter_async_context(EmbeddedKafka(say=say))
        house = HallHouse(folder, kafka.bootstrap, connector="http", stub_port=stub.port)
        await house.furnish()
        hall = Hall(
            kafka, house, Road(connector="http", processes=STAGES, batch=1000, connections=2), stub, say
        )
        async with hall.at_work() as served:
            made = await hall.run("h", cases, served)
        found.ledger_records = HallView(house.database).ledger_records()
        say(f"{found.ledger_records:,} records on the ledger, made at {made.rate:,.0f} messages/s")
        neighbours = Neighbours([stub.child.pid])
        before = await _exported(house, "before")
        for number in range(arguments.runs):
            told = await _rebuilt(house, number)
            found.records = int(told.pop("records"))
            found.runs.append(told)
            say(
                f"{found.records:,} records in {told['seconds']:.1f} s: {found.records / told['seconds']:,.0f}/s"
            )
        after = await _exported(house, "after")
        if not await asyncio.to_thread(filecmp.cmp, before, after, shallow=False):
            raise BenchFailed("the view after the rebuild is not the view before it")
        found.raw = await Bare(house, _RAW, 1000).raw()
        found.occasion.ends(neighbours)
    return found


async def _rebuilt(house: HallHouse, number: int) -> dict[str, float]:
    name = f"rebuild-{number}"
    arguments = ["--inside", str(house.folder / "serve-0.toml"), *out_of(name, house.folder)]
    child = Child(name, "bench.rebuild", arguments, house.folder)
    try:
        await child.wait(_WITHIN_S)
    finally:
        child.kill()
    return {name: float(value) for name, value in child.told().items()}


async def _exported(house: HallHouse, name: str) -> Path:
    to = house.folder / f"{name}.jsonl"
    config = str(house.folder / "serve-0.toml")
    child = Child(
        f"export-{name}", "broker.cli", ["export", "--to", str(to), "--config", config], house.folder
    )
    await child.wait(_WITHIN_S)
    return to


async def inside(config: Path) -> dict[str, Any]:
    """What ``tongban rebuild`` does, timed: in the child."""
    settings = load({}, config)
    store = await Store.open(settings.store.url)
    try:
        for group in groups.STAGES:  # workers that have just stopped are members until their sessions end
            while await group_admin.members(settings.kafka, group):
                await asyncio.sleep(0.2)
        began, cpu_s = time.monotonic(), _cpu_s()
        done = await rebuilding.rebuild(settings.kafka, store, progress=_nobody_looks)
        return {
            "records": done.records,
            "seconds": time.monotonic() - began,
            "cpu_s": _cpu_s() - cpu_s,
            "peak_mb": memory(os.getpid()).peak_mb,
        }
    finally:
        await store.close()


def _nobody_looks(done: int, of: int) -> None:
    """Progress that nobody is shown."""
    del done, of


def _cpu_s() -> float:
    """Of this process and of those that it has started and that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def goals(found: Rebuilt) -> Iterator[Goal]:
    consume = found.raw["raw consume"].rate if found.raw else None
    yield Goal(
        what="rebuild of the view from the ledger",
        goal=f"≥ {GOAL:,.0f} records/s",
        figure=f"{found.rate:,.0f}/s",
        beside=f"{consume:,.0f}/s raw consume" if consume else "–",
        ratio=f"{found.rate / consume:.2f}" if consume else "–",
        met=found.rate >= GOAL,
    )


def section(found: Rebuilt) -> str:
    """The section as Markdown; its heading is of the second level."""
    rows = [
        (
            f"{number}",
            f"{found.records / run['seconds']:,.0f}/s",
            f"{run['seconds']:.1f}",
            f"{run['cpu_s'] * 1e6 / found.records:.0f}",
            f"{run['peak_mb']:.0f}",
        )
        for number, run in enumerate(found.runs, start=1)
    ]
    lines = [
        HEADING,
        "",
        *found.occasion.lines(),
        (
            f"- {found.records:,} ledger records of a run of the hall, messages and receipts; the view after is the view"
            " before, byte by byte"
        ),
        "",
        *goal_table(goals(found)),
        "",
        *table(("run", "rate", "seconds", "CPU µs per record", "peak memory, MB"), rows),
    ]
    return "\n".join(lines) + "\n"


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.rebuild", description=__doc__)
    parser.add_argument("--records", type=int, default=110_000, help="records on the ledger (110,000)")
    parser.add_argument("--runs", type=int, default=3, help="rebuilds of which the middle one counts (3)")
    pages.add_argument(parser)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main() -> None:
    arguments = read_arguments()
    if arguments.inside is not None:
        arguments.out.write_bytes(orjson.dumps(uvloop.run(inside(arguments.inside))))
        return
    found = measured("rebuild", measure(arguments))
    pages.publish("rebuild", found, HEADING, section(found), arguments.page)


if __name__ == "__main__":
    main()
