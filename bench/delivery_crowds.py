"""Trials with many partners, sick partners, and a large backlog."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from bench.delivery_peers import Contender, tongban
from bench.delivery_records import Maker, fill, spread
from bench.delivery_runs import START_S, Course
from bench.measure import cpu_s, memory, percentile
from broker.core.ids import PartnerId
from broker.core.message import MessageClass
from broker.log.admin.topics import ensure_topics
from broker.log.options import KafkaOptions
from broker.log.writing.writer import Writer

Say = Callable[[str], None]
_PARTITIONS: Final = 2
_TICK_S: Final = 0.01
_SICK_PARTNERS: Final = 9
_EVERY: Final = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--many-partners", type=int, default=340)
    parser.add_argument("--partners-records", type=int, default=40_000)
    parser.add_argument("--sick-rate", type=float, default=900.0, help="records a second, over nine partners")
    parser.add_argument("--sick-s", type=float, default=10.0, help="seconds before, and during each sickness")
    parser.add_argument("--backlog", type=int, default=200_000, help="records to drain (the goal: 1000000)")


def _engine(*more: str) -> Contender:
    return Contender(name="tongban", title="", command=tongban("alone", more))


async def partners(course: Course, arguments: argparse.Namespace, say: Say) -> object:
    """The same number of records for ten partners and for many."""
    rates: dict[int, float] = {}
    cpus: dict[int, float] = {}
    for count in (10, arguments.many_partners):
        names = [PartnerId(f"{500000 + count:06}-m{each}") for each in range(count)]
        await spread(course.bootstrap, names, arguments.partners_records, _PARTITIONS)
        await course.stub.reset()
        engine = _engine("--partitions", str(_PARTITIONS))
        child = course.start(engine, course.job_of(PartnerId(",".join(names))))
        try:
            first = await course.until(child, 1, within_s=START_S)
            cpu = cpu_s(child.pid)
            stats = await course.until(child, arguments.partners_records, within_s=120.0)
            cpus[count] = (cpu_s(child.pid) - cpu) * 1e6 / max(1, stats.effects - first.effects)
            rates[count] = stats.rate
        finally:
            await child.stop(5.0)
        say(f"{count} partners: {rates[count]:,.0f}/s, {cpus[count]:.0f} µs of CPU each")
    few, many = rates[10], rates[arguments.many_partners]
    return {
        "partners": list(rates),
        "rates": list(rates.values()),
        "cpu_us": list(cpus.values()),
        "ratio": many / few,
    }


async def sick(course: Course, arguments: argparse.Namespace, say: Say) -> object:
    """Nine partners at a steady rate; every third is hung, then dead: what the others' p99 says."""
    names = [PartnerId(f"430500-s{each}") for each in range(_SICK_PARTNERS)]
    options = KafkaOptions(bootstrap=course.bootstrap, outbox_partitions=_PARTITIONS)
    await ensure_topics(options, names)
    await course.stub.reset(delay_s=0.005, detailed=True)
    engine = _engine("--partitions", str(_PARTITIONS), "--timeout-s", "5")
    child = course.start(engine, course.job_of(PartnerId(",".join(names))))
    sent: dict[str, tuple[str, float]] = {}
    try:
        await _produce(options, names, sent, "warm-up", arguments.sick_rate, 10.0)
        for phase, how in (("before", "none"), ("hung", "hung"), ("healed", "none"), ("dead", "dead")):
            await course.stub.sicken(how, _EVERY)
            await _produce(options, names, sent, phase, arguments.sick_rate, arguments.sick_s)
        await course.stub.sicken("none", 0)
        healthy = sum(_healthy(name) for name in sent)
        until = time.monotonic() + 30.0
        while time.monotonic() < until:
            arrived = await course.stub.arrivals()
            if sum(_healthy(name) for name in arrived) >= healthy:
                break
            await asyncio.sleep(0.2)
    finally:
        await child.stop(5.0)
    waits: dict[str, list[float]] = {}
    for name, (phase, at) in sent.items():
        if _healthy(name) and name in arrived:
            waits.setdefault(phase, []).append((arrived[name] - at) * 1000)
    found: dict[str, Any] = {
        phase: {"p50": percentile(each, 50), "p99": percentile(each, 99), "records": len(each)}
        for phase, each in waits.items()
    }
    for phase, each in found.items():
        say(f"healthy partners, {phase}: p50 {each['p50']:.1f} ms, p99 {each['p99']:.1f} ms")
    found["missing"] = sum(_healthy(name) for name in sent) - sum(_healthy(name) for name in arrived)
    return found


def _healthy(name: str) -> bool:
    number = int(name[1 : name.index("x")])
    return number % _EVERY != 0


async def _produce(
    options: KafkaOptions,
    names: list[PartnerId],
    sent: dict[str, tuple[str, float]],
    phase: str,
    rate: float,
    seconds: float,
) -> None:
    """Records at a steady rate, each with its moment. A new phase has cases of its own."""
    writer = Writer(options, client_id="bench-steady")
    await writer.start()
    maker = Maker(_PARTITIONS)
    ledger_start = int(time.time() * 1000) * 1000  # of a ledger that has gone on since the last phase
    maker.start_at(ledger_start)
    began, number = time.monotonic(), 0
    try:
        while (elapsed := time.monotonic() - began) < seconds:
            records = []
            while number < elapsed * rate:
                which = number % len(names)
                prefix = f"p{which}x{phase.replace('-', '')}"
                record = maker.record(names[which], number // len(names) % 500, MessageClass.RECEIPT, prefix)
                sent[record.value[5 : record.value.index(b" ", 5)].decode()] = (phase, time.time())
                records.append(record)
                number += 1
            if records:
                await writer.write(records)
            await asyncio.sleep(_TICK_S)
    finally:
        await writer.close()


async def backlog(course: Course, arguments: argparse.Namespace, say: Say) -> object:
    """A large backlog drained: its rate from tenth to tenth against that of a short run, and memory."""
    partner = PartnerId("430423-backlog")
    loads = await fill(course.bootstrap, {partner: (arguments.backlog, 0.6, MessageClass.RECEIPT)})
    await course.stub.reset()
    child = course.start(_engine(), replace(course.job_of(partner)))
    marks: list[dict[str, float]] = []
    try:
        first = await course.until(child, 1, within_s=START_S)
        before, at = first.effects, time.monotonic()
        for tenth in range(1, 11):
            stats = await course.until(child, loads[partner].records * tenth // 10, within_s=600.0)
            now = time.monotonic()
            rate = (stats.effects - before) / (now - at)
            marks.append({"percent": tenth * 10, "rate": rate, "rss_mb": memory(child.pid).rss_mb})
            before, at = stats.effects, now
    finally:
        await child.stop(5.0)
    steady = sorted(each["rate"] for each in marks)[len(marks) // 2]
    say(
        f"backlog of {arguments.backlog:,}: {stats.rate:,.0f}/s, {marks[0]['rss_mb']:.0f} MB at 10 %, {marks[-1]['rss_mb']:.0f} MB at the end"
    )
    return {"records": arguments.backlog, "rate": stats.rate, "median_tenth": steady, "marks": marks}
