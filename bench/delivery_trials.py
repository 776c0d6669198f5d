"""The delivery bench's trials, one by one: ``python -m bench.delivery --trial NAME``."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from bench import delivery_crowds, delivery_lanes
from bench.delivery_peers import CONTENDERS, IN_FLIGHT, NotHere
from bench.delivery_records import fill
from bench.delivery_runs import START_S, Course
from bench.processes import BenchFailed
from broker.core.ids import PartnerId
from broker.core.message import MessageClass

Say = Callable[[str], None]
KILLED: Final = ("tongban", "pc", "pc-sync", "pyrallel", "plain")
_SETTLE_S: Final = 0.1
_WARM_S: Final = 4.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sizes of the trials."""
    parser.add_argument("--kill-records", type=int, default=20_000)
    parser.add_argument(
        "--kill-delay", type=float, default=5.0, help="milliseconds until the partner answers"
    )
    parser.add_argument("--kill-rounds", type=int, default=3)
    parser.add_argument("--two-records", type=int, default=150_000)
    parser.add_argument(
        "--two-s", type=float, default=6.0, help="seconds that one and two workers are watched"
    )
    delivery_crowds.add_arguments(parser)


async def kill(course: Course, arguments: argparse.Namespace, say: Say) -> object:
    """kill -9 in mid-run, thousands in flight before a fast partner, and the same static member back at once."""
    partner = PartnerId("430423-kill")
    records = arguments.kill_records
    await fill(course.bootstrap, {partner: (records, 0.6, MessageClass.RECEIPT)})
    rows: list[dict[str, Any]] = []
    for name in KILLED:
        if name.removesuffix("-sync") not in arguments.only:
            continue
        for _ in range(arguments.kill_rounds):
            try:
                row = await _kill_once(course, name, partner, records, arguments.kill_delay / 1000)
            except NotHere as missing:
                rows.append({"contender": name, "missing": str(missing)})
                break
            rows.append(row)
            say(
                f"kill -9, {name}: lost {row['lost']:,}, delivered again {row['replayed']:,} (at most"
                f" {row['in_flight']:,} were in flight), first delivery after {row['first_s']:.1f} s"
            )
    return rows


async def _kill_once(
    course: Course, name: str, partner: PartnerId, records: int, delay_s: float
) -> dict[str, Any]:
    contender = CONTENDERS[name]
    await course.stub.reset(delay_s=delay_s)
    job = course.job_of(partner)
    child = course.start(contender, job)
    await course.until(child, records * 2 // 5, within_s=START_S)
    child.kill()
    killed_at = time.monotonic()
    await asyncio.sleep(_SETTLE_S)
    then = await course.stub.stats()
    child = course.start(contender, job)
    try:
        first_s = await _first(course, then.requests, killed_at)
        stats = await course.until(child, records, within_s=120.0)
        await asyncio.sleep(0.5)  # what comes twice may come last
        stats = await course.stub.stats()
    finally:
        await child.stop(5.0)
    return {
        "contender": name,
        "records": records,
        "delivered_before": then.effects,
        "lost": records - stats.effects,
        "replayed": stats.doubled,
        "in_flight": IN_FLIGHT,
        "out_of_order": stats.out_of_order,
        "first_s": first_s,
    }


async def _first(course: Course, requests: int, since: float) -> float:
    while time.monotonic() - since < START_S * 2:
        if (await course.stub.stats()).requests > requests:
            return time.monotonic() - since
        await asyncio.sleep(0.01)
    raise BenchFailed("nothing was delivered after the restart")


async def two(course: Course, arguments: argparse.Namespace, say: Say) -> object:
    """One worker against two, on the same backlog, watched for the same time."""
    partner = PartnerId("430423-two")
    await fill(course.bootstrap, {partner: (arguments.two_records, 0.6, MessageClass.RECEIPT)})
    rates = {count: await _workers(course, partner, count, arguments) for count in (1, 2)}
    ratio = rates[2]["rate"] / rates[1]["rate"]
    say(f"two workers: {rates[2]['rate']:,.0f}/s, {ratio:.2f} times one ({rates[1]['rate']:,.0f}/s)")
    return {"one": rates[1], "two": rates[2], "ratio": ratio}


async def _workers(
    course: Course, partner: PartnerId, count: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    await course.stub.reset()
    jobs = [course.job_of(partner)]
    jobs += [course.job_of(partner, group=jobs[0].group) for _ in range(count - 1)]
    children = [course.start(CONTENDERS["tongban"], job, name=f"worker-{n}") for n, job in enumerate(jobs)]
    try:
        await asyncio.sleep(_WARM_S)
        before, began = await course.stub.stats(), time.monotonic()
        await asyncio.sleep(arguments.two_s)
        after, seconds = await course.stub.stats(), time.monotonic() - began
        for child in children:
            child.check()
    finally:
        for child in children:
            await child.stop(5.0)
    if after.effects >= arguments.two_records:
        raise BenchFailed("the backlog ended before the time: --two-records more, or --two-s less")
    return {
        "rate": (after.effects - before.effects) / seconds,
        "out_of_order": after.out_of_order,
        "doubled": after.doubled,
    }


async def lanes(course: Course, arguments: argparse.Namespace, say: Say) -> object:
    """Open lanes: bytes of each, and the rate with a million of them against ten thousand."""
    del course, arguments
    rows = await asyncio.to_thread(delivery_lanes.measure)
    for row in rows:
        say(f"{row['lanes']:,} open lanes: {row['bytes_per_lane']:.0f} bytes each, {row['per_s']:,.0f}/s")
    return {"rows": rows, "ratio": rows[-1]["per_s"] / rows[0]["per_s"]}


TRIALS: Final[Mapping[str, Callable[[Course, argparse.Namespace, Say], Awaitable[object]]]] = {
    "kill": kill,
    "two": two,
    "partners": delivery_crowds.partners,
    "lanes": lanes,
    "sick": delivery_crowds.sick,
    "backlog": delivery_crowds.backlog,
}
