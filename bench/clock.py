"""What the working-day clock and the life cycle cost, the library's own loop beside it.

``python -m bench.clock``; with ``--page`` it writes the section of that page.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from statistics import median
from typing import Final, cast

import chinese_calendar  # type: ignore[import-untyped]  # it carries no types

from bench import pages
from bench.lives import LIVES, Said, moments
from bench.measure import Neighbours
from bench.occasion import Occasion
from bench.tables import table
from broker.core import clock
from broker.core.calendar import STATUTORY
from broker.core.case.lifecycle import advance

HEADING: Final = "## The working-day clock and the life cycle"
SPANS: Final = (1, 5, 20, 60, 250, 500)
"""Working days: 500 are two years."""
CALENDAR_GOAL_US: Final = 3.0
ADVANCE_GOAL_US: Final = 5.0
_ROUNDS: Final = 31
_ROUND_S: Final = 0.004
_START: Final = date(2024, 3, 4)
_NOON: Final = datetime(2024, 3, 4, 4, tzinfo=UTC)
workdays = cast("Callable[[date, date], list[date]]", chinese_calendar.get_workdays)
is_workday = cast("Callable[[date], bool]", chinese_calendar.is_workday)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. ``peer_us``: what a loop over the library takes for the same; ``goal_us`` None: no goal."""

    what: str
    us: float
    peer_us: float | None = None
    goal_us: float | None = None


@dataclass(kw_only=True)
class Found:
    """Everything of one run."""

    occasion: Occasion
    rows: list[Row]


def cost_us(act: Callable[[], object]) -> float:
    """Median CPU microseconds of ``act``, over rounds of some milliseconds: waiting for a core does not count."""
    loops = 1
    while _round(act, loops) < _ROUND_S:
        loops *= 2
    return median(_round(act, loops) for _ in range(_ROUNDS)) / loops * 1e6


def _round(act: Callable[[], object], loops: int) -> float:
    began = time.thread_time()
    for _ in range(loops):
        act()
    return time.thread_time() - began


def calendar_rows() -> Iterator[Row]:
    """``add`` and ``between`` over spans of working days, against a walk by the library."""
    for days in SPANS:
        until, following = STATUTORY.add(_START, days), _START + timedelta(days=1)
        assert _walk(_START, days) == until
        assert len(workdays(following, until)) == STATUTORY.between(_START, until) == days
        peer_us = cost_us(partial(_walk, _START, days))
        us = cost_us(partial(STATUTORY.add, _START, days))
        yield Row(what=f"add, {days} working days", us=us, peer_us=peer_us, goal_us=CALENDAR_GOAL_US)
        peer_us = cost_us(partial(workdays, following, until))
        us = cost_us(partial(STATUTORY.between, _START, until))
        yield Row(what=f"between, {days} working days", us=us, peer_us=peer_us, goal_us=CALENDAR_GOAL_US)


def _walk(day: date, days: int) -> date:
    while days:
        day += timedelta(days=1)
        days -= is_workday(day)
    return day


def clock_rows() -> Iterator[Row]:
    """The clock of 20 working days: asked, and changed."""
    running = clock.start(_NOON, _START, days=20, minutes=None)
    paused = clock.pause(running, _NOON + timedelta(days=3))
    later = _NOON + timedelta(days=9)
    acts: Mapping[str, Callable[[], object]] = {
        "due_on": partial(clock.due_on, running, STATUTORY),
        "due_on while paused": partial(clock.due_on, paused, STATUTORY, later),
        "due_at": partial(clock.due_at, running, STATUTORY),
        "remaining": partial(clock.remaining, running, STATUTORY, later),
        "pause": partial(clock.pause, running, later),
        "resume": partial(clock.resume, paused, later, STATUTORY),
        "extend": partial(clock.extend, running, 5),
    }
    for name, act in acts.items():
        yield Row(what=f"clock: {name}", us=cost_us(act))


def advance_rows(lives: Iterable[Iterable[Said]] = LIVES) -> Iterator[Row]:
    """``advance`` for each message type of the cases in ``lives``."""
    for each in moments(lives):
        act = partial(advance, each.state, each.message, each.now, each.facts, each.terms)
        yield Row(what=f"advance: {each.message.type}", us=cost_us(act), goal_us=ADVANCE_GOAL_US)


def lines(rows: Iterable[Row]) -> list[str]:
    """A Markdown table of the figures with their goals."""
    shown = []
    for row in rows:
        peer = f"{row.peer_us:,.1f}" if row.peer_us else ""
        ratio = f"{row.peer_us / row.us:,.0f} ×" if row.peer_us else ""
        met = (
            ""
            if row.goal_us is None
            else f"≤ {row.goal_us:g}: {'met' if row.us <= row.goal_us else '**not met**'}"
        )
        shown.append((row.what, f"{row.us:.2f}", peer, ratio, met))
    return table(("", "median, CPU µs", "chinesecalendar's loop, µs", "ratio", "goal, µs"), shown)


def section(found: Found) -> str:
    """The section as Markdown; its heading is of the second level."""
    return "\n".join([
        HEADING,
        "",
        *found.occasion.lines(),
        ("- medians of CPU time; `advance` is the pure life cycle with facts and terms; one run's figures for it lie within"
        " half a microsecond of another's"),
        "",
        *lines(found.rows),
        "",
    ])  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.clock", description=__doc__)
    pages.add_argument(parser)
    chosen = parser.parse_args(arguments)
    occasion, neighbours = Occasion.now("bench.clock"), Neighbours(())
    rows = [*calendar_rows(), *clock_rows(), *advance_rows()]
    occasion.ends(neighbours)
    found = Found(occasion=occasion, rows=rows)
    pages.publish("clock", found, HEADING, section(found), chosen.page)


if __name__ == "__main__":
    main()
