"""``docs/benchmarks.md``: every figure beside its goal and its bare part, met or not."""

from __future__ import annotations

from collections.abc import Iterator

from bench.occasion import QUIET
from bench.results import Part, Results, Road
from bench.tables import Goal, goal_table, table

SINGLE_GOAL = 2000.0
BATCH_GOAL = 6000.0
INTAKE_GOAL = 0.8
EXCHANGE_GOAL = 0.6
LATENCY_GOAL = 3.0
MEMORY_GOAL_MB = 250.0
CPU_GOAL = 1.5
RESTART_GOAL_S = 3.0


def bare_sum_us(results: Results, delivery: str) -> float:
    """CPU microseconds of the bare parts that one message on the road needs, with its receipt's way back."""
    parts = results.parts
    names = ("intake", "exchange", delivery, "raw consume", "store")
    return sum(parts[name].cpu_us for name in names)


def goals(results: Results) -> Iterator[Goal]:
    """The goals, for those runs that were made."""
    parts, stages = results.parts, results.stages
    raw = _round_trip(parts["raw produce"], parts["raw consume"])
    if results.single is not None:
        yield _rate("end to end, signed, one message per request", results.single, SINGLE_GOAL, raw)
    if results.staged is not None:
        yield _rate("the same with a process for each stage", results.staged, SINGLE_GOAL, raw)
    if results.batches is not None:
        yield _rate("end to end, batches of 100, mailbox", results.batches, BATCH_GOAL, raw)
    if results.single is not None:
        for delivery, judged in (("delivery by aiohttp", True), ("delivery", False)):
            bare = bare_sum_us(results, delivery)
            client = "aiohttp delivers" if judged else "our own client delivers"
            ratio = results.single.broker_us / bare
            yield Goal(
                what=f"CPU per message, bare parts where {client}",
                goal=f"≤ {CPU_GOAL} × bare" if judged else "to compare",
                figure=f"{results.single.broker_us:.0f} µs",
                beside=f"{bare:.0f} µs",
                ratio=f"{ratio:.2f}",
                met=ratio <= CPU_GOAL if judged else None,
            )
    for name, least in (("intake", INTAKE_GOAL), ("exchange", EXCHANGE_GOAL)):
        if name in stages:
            ratio = stages[name].rate / parts[name].rate
            yield Goal(
                what=f"{name} alone",
                goal=f"≥ {least} × bare",
                figure=f"{stages[name].rate:,.0f}/s",
                beside=f"{parts[name].rate:,.0f}/s",
                ratio=f"{ratio:.2f}",
                met=ratio >= least,
            )
    if results.latency is not None:
        latency = results.latency
        ratio = latency.accepted_p99 / latency.hops_p99
        yield Goal(
            what=f"p99 from accepted to delivered at {latency.rate:.0f}/s",
            goal=f"≤ {LATENCY_GOAL:.0f} × two bare hops",
            figure=f"{latency.accepted_p99:.1f} ms",
            beside=f"{latency.hops_p99:.1f} ms",
            ratio=f"{ratio:.2f}",
            met=ratio <= LATENCY_GOAL,
        )
    yield from _memory_and_restart(results)


def _memory_and_restart(results: Results) -> Iterator[Goal]:
    if results.single is not None:
        peak = results.single.peak_mb["serve"]
        total = results.single.messages
        within = peak <= MEMORY_GOAL_MB
        yield Goal(
            what=f"memory of `tongban serve`, peak after {total:,} messages",
            goal=f"≤ {MEMORY_GOAL_MB:.0f} MB after 1,000,000, flat",
            figure=f"{peak:.0f} MB",
            beside="–",
            ratio=f"{peak / MEMORY_GOAL_MB:.2f}",
            met=within if total >= 1_000_000 or not within else None,
        )
    if results.restart is not None:
        restart = results.restart
        within = restart.after_stop_s <= RESTART_GOAL_S
        yield Goal(
            what=f"restart to first delivery, {restart.ledger_records:,} records on the ledger",
            goal=f"≤ {RESTART_GOAL_S:.0f} s with 1,000,000",
            figure=f"{restart.after_stop_s:.1f} s",
            beside="–",
            ratio=f"{restart.after_stop_s / RESTART_GOAL_S:.2f}",
            met=within if restart.ledger_records >= 1_000_000 or not within else None,
        )


def render(results: Results) -> str:
    """The whole page."""
    return "\n\n".join(["\n".join(each) for each in _sections(results)]) + "\n"


def _sections(results: Results) -> Iterator[list[str]]:
    yield ["# Benchmarks"]
    yield [
        "Made by `make bench` (`python -m bench.road`); do not edit. All figures are of one run.",
        "",
        results.occasion.told_command + _quick(results),
        results.occasion.told_machine + _others(results),
        "- Kafka: one embedded node beside everything else; load generator and partner too",
        (
            f"- messages: CloudEvents of {results.event_bytes:.0f} bytes with Avro data and a person's papers, signed"
            " `v1a`; cases drawn by Zipf's law (exponent 1), opened by `case.submitted`, then `case.urged`"
        ),
        (
            "- done: every message has its receipt on the ledger and in the view;"
            " the sender has `receipts = false`"
        ),
    ]
    yield ["## Goals", "", *goal_table(goals(results), "bare part")]
    roads = {
        "one process, single messages": results.single,
        "a process for each stage, single messages": results.staged,
        "one process, batches of 100, mailbox": results.batches,
    }
    made = {name: road for name, road in roads.items() if road is not None}
    if made:
        yield ["## The whole road", "", *_road_table(made)]
    yield ["## The stages beside their bare parts", "", *_stage_table(results)]
    yield ["## Bare parts", "", *_part_table(results.parts)]
    if results.steps:
        yield ["## The product's own steps, one by one", "", *_step_table(results.steps)]
    yield from _latency_section(results)
    yield from _steadiness_section(results, made)
    yield _method()


def _others(results: Results) -> str:
    """Who else was at work, and which figures that spoils."""
    shares = ", ".join(f"{share:.0%} during {name}" for name, share in results.others.items())
    spoilt = ", ".join(name for name, share in results.others.items() if share > QUIET)
    warning = f"; **the figures of these runs say little: {spoilt}**" if spoilt else ""
    return f", {shares}{warning}" if shares else ""


def _quick(results: Results) -> str:
    return " (quick: too short to judge by)" if results.quick else ""


def _road_table(roads: dict[str, Road]) -> list[str]:
    rows = []
    for name, road in roads.items():
        rows.append(
            (
                name,
                f"{road.messages:,}",
                f"{road.rate:,.0f}/s",
                f"{road.messages / road.accepted_s:,.0f}/s",
                _by_process(road.cpu_us, "{:.0f}"),
                _by_process(road.peak_mb, "{:.0f}"),
            )
        )
    head = ("road", "messages", "end to end", "accepted", "CPU µs per message", "peak memory, MB")
    return table(head, rows)


def _by_process(figures: dict[str, float], form: str) -> str:
    return "; ".join(f"{name} {form.format(value)}" for name, value in figures.items())


def _stage_table(results: Results) -> list[str]:
    bare = {"intake": "intake", "exchange": "exchange", "delivery": "delivery"}
    rows = []
    for name, part in results.stages.items():
        counterpart = results.parts.get(bare.get(name, "-"))
        in_road = results.staged.cpu_us.get(f"serve {name}") if results.staged is not None else None
        rows.append(
            (
                name,
                f"{part.rate:,.0f}/s",
                f"{part.cpu_us:.0f}",
                "–" if in_road is None else f"{in_road:.0f}",
                "–" if counterpart is None else f"{counterpart.rate:,.0f}/s",
                "–" if counterpart is None else f"{counterpart.cpu_us:.0f}",
                "–" if counterpart is None else f"{part.rate / counterpart.rate:.2f}",
            )
        )
    head = ("stage", "alone", "CPU µs alone", "CPU µs on the road", "bare", "bare CPU µs", "ratio of rates")
    return table(head, rows)


def _part_table(parts: dict[str, Part]) -> list[str]:
    rows = [
        (name, f"{part.messages:,}", f"{part.rate:,.0f}/s", f"{part.cpu_us:.1f}")
        for name, part in parts.items()
    ]
    return table(("part", "messages", "rate", "CPU µs per message"), rows)


def _step_table(steps: dict[str, float]) -> list[str]:
    totals: dict[str, float] = {}
    for name, cost_us in steps.items():
        stage = name.partition(":")[0]
        totals[stage] = totals.get(stage, 0.0) + cost_us
    rows = [(name, f"{cost_us:.1f}") for name, cost_us in steps.items()]
    rows += [(f"**{stage}, all of them**", f"**{total:.0f}**") for stage, total in totals.items()]
    return table(("step", "CPU µs"), rows)


def _latency_section(results: Results) -> Iterator[list[str]]:
    latency = results.latency
    if latency is None:
        return
    rows = [
        ("accepted on the ledger → effect at the partner", latency.accepted_p50, latency.accepted_p99),
        ("request due → effect at the partner", latency.sent_p50, latency.sent_p99),
        ("request due → 202", latency.answer_p50, latency.answer_p99),
        ("two bare hops", latency.hops_p50, latency.hops_p99),
    ]
    yield [
        f"## Latency at {latency.rate:.0f}/s",
        "",
        *table(("", "p50, ms", "p99, ms"), [(name, f"{p50:.1f}", f"{p99:.1f}") for name, p50, p99 in rows]),
        "",
        f"Open loop, {latency.messages:,} messages; the broker used {latency.broker_us:.0f} µs of CPU for each.",
    ]


def _steadiness_section(results: Results, roads: dict[str, Road]) -> Iterator[list[str]]:
    lines = ["## Memory on the way, and restart", ""]
    marks = sorted({mark for road in roads.values() for mark in road.rss_mb})
    rows = [(name, *(f"{road.rss_mb[mark]:.0f}" for mark in marks)) for name, road in roads.items()]
    lines += table(("resident memory of the broker, MB, at", *(f"{mark} %" for mark in marks)), rows)
    if results.restart is not None:
        restart = results.restart
        lines += [
            "",
            (
                f"Restart with {restart.ledger_records:,} records on the ledger: ready after {restart.start_s:.1f} s,"
                f" first effect at the partner after {restart.after_stop_s:.1f} s; after `kill -9`"
                f" {restart.after_kill_s:.1f} s."
            ),
        ]
    yield lines


def _method() -> list[str]:
    return [
        "## How it is measured",
        "",
        "- Requests are made and signed before the clock starts; some hundred messages go before, uncounted.",
        "- CPU is user and system time of the process, from `/proc`; of Kafka while the run lasted.",
        "- A stage alone works off a backlog; its start-up is not counted.",
        (
            "- The bare parts keep no promise: no strict JSON, no duplicates, no life cycle, no sealing. Their sum is"
            " intake (aiohttp, signature, produce), exchange (consume, headers, produce, commit), delivery (consume,"
            " sign, POST, receipt), raw consume of the receipt, and the view's rows written by `sqlite3` alone."
        ),
        "- Latency is from when a request was due, not from when it could be sent.",
    ]


def _round_trip(produce: Part, consume: Part) -> float:
    """Messages per second of produce and consume one after the other."""
    return 1 / (1 / produce.rate + 1 / consume.rate)


def _rate(what: str, road: Road, least: float, raw: float) -> Goal:
    return Goal(
        what=what,
        goal=f"≥ {least:,.0f}/s",
        figure=f"{road.rate:,.0f}/s",
        beside=f"{raw:,.0f}/s raw produce and consume",
        ratio=f"{road.rate / raw:.2f}",
        met=road.rate >= least,
    )
