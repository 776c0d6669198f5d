"""The benchmarks' section on the hall: goals, the two years projected, cost by tenths, memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.hall_days import CASES, ITEMS, MESSAGES_PER_CASE, PER_DAY, UNITS
from bench.hall_run import HallRun, broker_memory
from bench.report import QUIET, Goal, table

if TYPE_CHECKING:
    from bench.hall import Found

HEADING: Final = "## Two years of a provincial hall"
RATE_GOAL: Final = 4_000.0
MINUTES_GOAL: Final = 45.0
DRIFT_GOAL: Final = 1.1
DECIDES: Final = 1_000_000
"""Messages from which the tenths can be compared: up to 20,000 records wait on the ledger while the run lasts, and in a
short one the last tenth is theirs: nothing is taken in any more, and it seems to cost nothing."""
FLAT_GOAL: Final = 1.25
"""Memory at the end against that at three tenths, when buffers have filled."""
_SHARES: Final = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


def projected_minutes(found: HallRun) -> float:
    """How long the two years take at the rate of this run."""
    return CASES * MESSAGES_PER_CASE / found.rate / 60


def goals(found: Found) -> Iterator[Goal]:
    """The issue's goals, as far as the run decides them."""
    run = found.main
    assert run is not None
    raw = _raw(found)
    enough = run.whole
    yield Goal(
        what="sustained, end to end, with receipts",
        goal=f"≥ {RATE_GOAL:,.0f}/s",
        figure=f"{run.rate:,.0f}/s",
        beside=f"{raw:,.0f}/s raw produce and consume" if raw else "–",
        ratio=f"{run.rate / raw:.2f}" if raw else "–",
        met=run.rate >= RATE_GOAL if enough else None,
    )
    minutes = projected_minutes(run)
    yield Goal(
        what="the two years, 10.8 million messages" + ("" if found.share == 1 else ", projected"),
        goal=f"≤ {MINUTES_GOAL:.0f} min",
        figure=f"{minutes:.0f} min",
        beside="–",
        ratio=f"{minutes / MINUTES_GOAL:.2f}",
        met=minutes <= MINUTES_GOAL if enough else None,
    )
    if run.drift is not None:
        yield Goal(
            what="cost per message, last tenth against the first",
            goal=f"≤ {DRIFT_GOAL} ×",
            figure=f"{run.tenths[-1].broker_us:.0f} µs",
            beside=f"{run.tenths[0].broker_us:.0f} µs",
            ratio=f"{run.drift:.2f}",
            met=run.drift <= DRIFT_GOAL if run.messages >= DECIDES else None,
        )
    at = broker_memory(run, (0.3, 1.0))
    if at:
        yield Goal(
            what="memory of the broker, at the end against at 30 %",
            goal=f"≤ {FLAT_GOAL} ×",
            figure=f"{at[1]:.0f} MB",
            beside=f"{at[0]:.0f} MB",
            ratio=f"{at[1] / at[0]:.2f}",
            met=at[1] <= FLAT_GOAL * at[0] if enough else None,
        )


def section(found: Found) -> str:
    """The section as Markdown; its heading is of the second level."""
    return "\n\n".join("\n".join(part) for part in _parts(found)) + "\n"


def _parts(found: Found) -> Iterator[list[str]]:
    run = found.main
    assert run is not None
    yield [HEADING]
    machine = ", ".join(f"{name} {value}" for name, value in found.machine.items())
    spoilt = "; **the figures say little**" if max(found.other_load, found.others) > QUIET else ""
    yield [
        f"- command: `{found.command}`, {found.date}, {found.seconds:.0f} s",
        (
            f"- machine: {machine}; other programs used {found.other_load:.0%} of it before the run, {found.others:.0%}"
            f" during it{spoilt}"
        ),
        (
            f"- {CASES:,} cases in two years, {PER_DAY:,} a working day, {ITEMS:,} items by Zipf's law, {UNITS} units;"
            f" here the first {run.cases:,} cases, {run.messages:,} messages: submitted, accepted, decided, issued, in the"
            " order of the days' real shape and as fast as they are taken"
        ),
        (
            "- two sides push signed batches of 1,000, each event 1 KB with a person's papers; both get their messages"
            f" {_ROADS[run.road].format(found.language)}; receipts are on the ledger and in the view, and are not sent on"
        ),
        f"- processes: `{run.processes}`; Kafka (one embedded node), partner and load generator share the cores",
    ] + ([] if run.whole else ["- **interrupted before its end**"])
    rows = [
        (each.what, each.goal, each.figure, each.beside, each.ratio, each.verdict) for each in goals(found)
    ]
    yield ["### The hall's goals", "", *table(("what", "goal", "figure", "beside", "ratio", ""), rows)]
    yield ["### What a message costs", "", *_costs([*found.trials, run])]
    yield ["### By tenths of the messages", "", *_tenths(run)]
    at = broker_memory(run, _SHARES)
    if at:
        head = ("resident memory, MB, at", *(f"{share:.0%}" for share in _SHARES))
        yield table(head, [("the broker's processes together", *(f"{mb:.0f}" for mb in at))])


_ROADS: Final = {
    "http": "in batches of 500 over HTTP (partner in {0})",
    "mailbox": "from their mailboxes, 1,000 at a time",
}


def _costs(runs: list[HallRun]) -> list[str]:
    rows = [
        (
            f"{run.road}, {run.messages:,} messages",
            f"{run.rate:,.0f}/s",
            f"{run.messages / run.accepted_s:,.0f}/s",
            "; ".join(f"{name} {us:.0f}" for name, us in run.cpu_us.items()),
            f"{run.all_us:.0f}",
            "; ".join(f"{name} {mb:.0f}" for name, mb in run.peak_mb.items()),
        )
        for run in runs
    ]
    head = ("road", "end to end", "accepted", "CPU µs per message", "together", "peak memory, MB")
    return table(head, rows)


def _tenths(run: HallRun) -> list[str]:
    names = [name for name in run.cpu_us if name != "load"]
    rows = [
        (
            f"{number}",
            f"{each.messages / max(1e-9, each.seconds):,.0f}/s",
            *(f"{each.cpu_us[name]:.0f}" for name in names),
        )
        for number, each in enumerate(run.tenths, start=1)
    ]
    return table(("tenth", "rate", *(f"{name}, µs" for name in names)), rows)


def _raw(found: Found) -> float | None:
    """Messages a second of produce and consume, one after the other, on the same Kafka."""
    if not found.raw:
        return None
    return 1 / sum(1 / part.rate for part in found.raw.values())
