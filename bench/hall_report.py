"""The benchmarks' section on the hall: goals, the two years projected, cost by tenths, memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.hall_days import CASES, ITEMS, MESSAGES_PER_CASE, PER_DAY, UNITS
from bench.hall_watch import HallRun, broker_memory
from bench.tables import Goal, goal_table, table

if TYPE_CHECKING:
    from bench.hall import Found

HEADING: Final = "## Two years of a provincial hall"
RATE_GOAL: Final = 4_000.0
MINUTES_GOAL: Final = 45.0
DRIFT_GOAL: Final = 1.1
DECIDES: Final = 1_000_000
"""Messages from which the tenths are compared as they stand. In a shorter run some batches more or less under way
at the end of a tenth are felt: it decides only what is further from the goal than two tenths differ by chance."""
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
            met=_drift_met(run, run.drift),
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


def _drift_met(run: HallRun, drift: float) -> bool | None:
    fair = run.whole and run.steady
    if not fair or (run.messages < DECIDES and abs(drift - DRIFT_GOAL) <= run.scatter):
        return None
    return drift <= DRIFT_GOAL


def section(found: Found) -> str:
    """The section as Markdown; its heading is of the second level."""
    return "\n\n".join("\n".join(part) for part in _parts(found)) + "\n"


def _parts(found: Found) -> Iterator[list[str]]:
    run = found.main
    assert run is not None
    yield [HEADING]
    yield [
        *found.occasion.lines(),
        (
            f"- {CASES:,} cases in two years, {PER_DAY:,} a working day, {ITEMS:,} items by Zipf's law, {UNITS} units;"
            f" here the first {run.cases:,} cases, {run.messages:,} messages: submitted, accepted, decided, issued, in the"
            " order of the days' real shape and as fast as they are taken,"
            f" at most {run.lead:,} messages before their receipts"
        ),
        (
            "- two sides push signed batches of 1,000, each event 1 KB with a person's papers; both get their messages"
            f" {_ROADS[run.road].format(found.language)}; receipts are on the ledger and in the view, and are not sent on"
        ),
        f"- processes: `{run.processes}`; Kafka (one embedded node), partner and load generator share the cores",
    ] + ([] if run.whole else ["- **interrupted before its end**"])
    yield ["### The hall's goals", "", *goal_table(goals(found))]
    yield ["### What a message costs", "", *_costs([*found.trials, run])]
    yield ["### By tenths of the messages", "", *_tenths(run), "", _which(run)]
    at = broker_memory(run, _SHARES)
    if at:
        head = ("resident memory, MB, at", *(f"{share:.0%}" for share in _SHARES))
        yield table(head, [("the broker's processes together", *(f"{mb:.0f}" for mb in at))])
    if run.disk_mb:
        each_kb = run.disk_mb * 1024 / run.messages
        all_gb = each_kb * CASES * MESSAGES_PER_CASE / 1024**2
        yield [
            (
                f"On the disk a message and its receipt take {each_kb:.1f} KB with ledger, outbox, view and vault:"
                f" {all_gb:.0f} GB for the two years."
            )
        ]


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


def _which(run: HallRun) -> str:
    """Of which messages the tenths are, and how finely they tell."""
    if not run.steady:
        return (
            f"The run has no more than twice the lead of {run.lead:,} messages: its first tenths pay for what the later"
            " ones only deliver, and they decide nothing."
        )
    chance = f" Two tenths differ by {run.scatter:.0%} by chance." if len(run.tenths) > 2 else ""
    return (
        f"By their receipts, without the first {run.lead:,}, while the lead was built up, and the last {run.lead:,}, when"
        f" nothing was taken in any more.{chance}"
    )


def _raw(found: Found) -> float | None:
    """Messages a second of produce and consume, one after the other, on the same Kafka."""
    if not found.raw:
        return None
    return 1 / sum(1 / part.rate for part in found.raw.values())
