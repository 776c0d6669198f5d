"""``python -m bench.delivery``: the delivery engine beside its peers, on the same records in one run.

``--quick`` takes about a minute, ``--full`` runs every delay in both distributions three times. ``--only`` and
``--delays`` make some of it. ``--trial NAME`` runs one of the trials instead of the table (``bench/delivery_trials.py``):
``kill``, ``two``, ``partners``, ``lanes``, ``sick``, ``backlog``; ``--trials`` runs them after the table.
Writes ``bench/.out/delivery.json`` and ``bench/.out/delivery.md``, and with ``--page`` the section of that page.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench import delivery_report, delivery_trials, pages
from bench.delivery_partner import Stub, partner
from bench.delivery_peers import CONTENDERS, NotHere
from bench.delivery_records import Load, enough, fill
from bench.delivery_runs import Course, Figure, middle
from bench.measure import Neighbours
from bench.occasion import Occasion
from bench.processes import OUT, measured, tell
from broker.core.ids import PartnerId
from broker.core.message import MessageClass
from deploy.kafka.cluster import EmbeddedKafka

JUDGED: Final = ("tongban", "tongban-signed", "tongban-batch", "pc")
"""What the goals compare: run three times; the others once, unless ``--full``."""
say = partial(tell, "delivery")


@dataclass(kw_only=True)
class Delivered:
    """Everything of one run."""

    occasion: Occasion
    quick: bool
    figures: list[Figure] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    partner: dict[str, Any] = field(default_factory=dict)
    trials: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One row of the plan."""

    contender: str
    exponent: float
    delay_s: float
    records: int
    runs: int


def plan(arguments: argparse.Namespace) -> Iterator[Turn]:
    """What to run: the first exponent at every delay; further ones at 0 and 10 ms for what is judged."""
    runs = arguments.runs
    for place, exponent in enumerate(arguments.zipf):
        for delay_ms in arguments.delays:
            for name in arguments.only:
                judged = name in JUDGED
                if place and not arguments.full and (not judged or delay_ms not in {0, 10}):
                    continue
                yield Turn(
                    contender=name,
                    exponent=exponent,
                    delay_s=delay_ms / 1000,
                    records=enough(arguments.records, exponent, delay_ms / 1000, arguments.bound_s),
                    runs=runs if judged or arguments.full else 1,
                )


def outbox_of(exponent: float, records: int, receipts: bool) -> PartnerId:
    """Which outbox a turn reads: those of equal size share one."""
    return PartnerId(f"430423-{'r' if receipts else 'n'}{round(exponent * 10)}x{records}")


async def measure(arguments: argparse.Namespace) -> Delivered:
    """The table, the trials, or both."""
    delivered = Delivered(occasion=Occasion.now("bench.delivery"), quick=arguments.quick)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tongban-bench-")))
        kafka = await stack.enter_async_context(EmbeddedKafka(say=say))
        stub = await stack.enter_async_context(partner(folder, OUT))
        pids = [pid for pid in (kafka.pid(1), stub.child.pid) if pid is not None]
        neighbours = Neighbours(pids)
        rate, cpu_us = await stub.ceiling()
        delivered.partner = {"language": stub.language, "rate": rate, "cpu_us": cpu_us}
        say(
            f"partner in {stub.language}: {rate:,.0f} requests/s from a Python client, {cpu_us:.1f} µs of its CPU each"
        )
        course = Course(kafka.bootstrap, stub, folder, OUT, cut_s=arguments.cut_s)
        if not arguments.trial:
            await _table(delivered, course, arguments)
        for name in arguments.trial or (delivery_trials.TRIALS if arguments.trials else ()):
            delivered.trials[name] = await _trial(name, course, arguments)
        delivered.occasion.ends(neighbours)
    return delivered


async def _table(delivered: Delivered, course: Course, arguments: argparse.Namespace) -> None:
    turns = list(plan(arguments))
    wanted = {}
    for turn in turns:
        receipts = CONTENDERS[turn.contender].receipts
        message_class = MessageClass.INITIAL if receipts else MessageClass.RECEIPT
        wanted[outbox_of(turn.exponent, turn.records, receipts)] = (
            turn.records,
            turn.exponent,
            message_class,
        )
    loads = await fill(course.bootstrap, wanted)
    say(
        f"{sum(load.records for load in loads.values()):,} records in {len(loads)} outboxes; {len(turns)} figures to come"
    )
    for turn in turns:
        if turn.contender in delivered.missing:
            continue
        load = loads[outbox_of(turn.exponent, turn.records, CONTENDERS[turn.contender].receipts)]
        try:
            found = [await _once(course, turn, load) for _ in range(turn.runs)]
        except NotHere as missing:
            delivered.missing[turn.contender] = str(missing)
            say(f"{turn.contender}: not run: {missing}")
            continue
        figure = middle(found)
        delivered.figures.append(figure)
        say(delivery_report.line(figure))


async def _once(course: Course, turn: Turn, load: Load) -> Figure:
    return await course.run(CONTENDERS[turn.contender], load, turn.exponent, turn.delay_s)


async def _trial(name: str, course: Course, arguments: argparse.Namespace) -> object:
    began = time.monotonic()
    found = await delivery_trials.TRIALS[name](course, arguments, say)
    say(f"{name}: {time.monotonic() - began:.0f} s")
    return found


def _numbers(text: str) -> list[float]:
    return [float(each) for each in text.split(",")]


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.delivery", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it works")
    parser.add_argument(
        "--full", action="store_true", help="every delay in both distributions, three runs each"
    )
    parser.add_argument(
        "--delays", type=_numbers, help="milliseconds until the partner answers (0,5,10,50,100)"
    )
    parser.add_argument("--zipf", type=_numbers, help="exponents of the distribution of cases (0.6,1.0)")
    parser.add_argument("--records", type=int, help="the most records of a run (20,000)")
    parser.add_argument("--bound-s", type=float, help="fewer where order per case would take longer (6)")
    parser.add_argument("--runs", type=int, help="runs of which the median counts (3)")
    parser.add_argument("--cut-s", type=float, default=15.0, help="a run is ended after so many seconds")
    parser.add_argument("--only", type=lambda text: text.split(","), help=",".join(CONTENDERS))
    parser.add_argument(
        "--trial", action="append", choices=sorted(delivery_trials.TRIALS), help="only this trial"
    )
    parser.add_argument("--trials", action="store_true", help="all trials too")
    pages.add_argument(parser)
    delivery_trials.add_arguments(parser)
    arguments = parser.parse_args(words)
    quick = arguments.quick
    arguments.delays = arguments.delays or ([0.0, 10.0] if quick else [0.0, 5.0, 10.0, 50.0, 100.0])
    arguments.zipf = arguments.zipf or ([0.6] if quick else [0.6, 1.0])
    arguments.records = arguments.records or (3_000 if quick else 20_000)
    arguments.bound_s = arguments.bound_s or (1.0 if quick else 6.0)
    arguments.runs = arguments.runs or (1 if quick else 3)
    arguments.only = arguments.only or [each for each in CONTENDERS if each != "pc-sync"]
    if unknown := set(arguments.only) - set(CONTENDERS):
        parser.error(f"--only: {', '.join(sorted(unknown))}: expected some of {', '.join(CONTENDERS)}")
    return arguments


def main() -> None:
    arguments = read_arguments()
    delivered = measured("delivery", measure(arguments))
    pages.publish(
        "delivery", delivered, delivery_report.HEADING, delivery_report.section(delivered), arguments.page
    )


__all__ = ["Delivered", "Stub", "measure", "outbox_of", "plan", "read_arguments"]

if __name__ == "__main__":
    main()
