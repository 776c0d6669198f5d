"""Two years of a provincial hall as a sequence: who says what, in which order. Nothing here knows the broker.

Time runs in working minutes: a working day has the eight window hours 9 to 17 with a peak in the morning and
one in the afternoon. The same seed gives the same two years. Source: domain.md, 湖南省政务服务大厅.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CASES: Final = 2_700_000
PER_DAY: Final = 4_000
ITEMS: Final = 1_707
UNITS: Final = 32
MESSAGES_PER_CASE: Final = 4
KINDS: Final = ("case.submitted", "case.accepted", "case.decided", "case.result-issued")
MINUTES: Final = 8 * 60
"""Window minutes of a working day, from 9:00 on."""
DAYS: Final = CASES // PER_DAY
_SEED: Final = "430000"
_PEAKS: Final = ((75.0, 45.0, 0.5), (345.0, 50.0, 0.42))
"""Minute of the day (10:15, 14:45), how wide, which share of the day's cases."""
_WEEK: Final = (1.15, 1.05, 1.0, 0.95, 0.85)
"""Monday to Friday against the average."""
_INSTANT: Final = 0.15
"""Share of items that are decided at once (秒批)."""
_DAYS_PROMISED: Final = (1, 3, 3, 5, 5, 7, 10, 15, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class HallItem:
    """One of the hall's items. ``promised_days`` 0: decided at once."""

    number: int
    code: str
    promised_days: int
    unit: int


@dataclass(frozen=True, slots=True)
class Said:
    """One message: in the ``case``-th case, ``step`` 0 to 3 of :data:`KINDS`, at a working minute."""

    at: float
    case: int
    step: int
    item: int


def items() -> tuple[HallItem, ...]:
    """The hall's 1,707 items, the busiest first."""
    seed = random.Random(f"{_SEED} items")
    found: list[HallItem] = []
    for number in range(ITEMS):
        days = 0 if seed.random() < _INSTANT else seed.choice(_DAYS_PROMISED)
        code = f"{number % 90 + 1:04}-{number:05}"
        found.append(HallItem(number=number, code=code, promised_days=days, unit=number % UNITS))
    return tuple(found)


def opened(cases: int) -> Iterator[tuple[float, int, int]]:
    """The first ``cases`` cases as they come to the window: minute, number, item (by Zipf's law)."""
    weights = list(itertools.accumulate(1 / rank for rank in range(1, ITEMS + 1)))
    number = 0
    for day in itertools.count():
        seed = random.Random(f"{_SEED} {day}")
        count = round(PER_DAY * _WEEK[day % len(_WEEK)] * seed.uniform(0.95, 1.05))
        drawn = seed.choices(range(ITEMS), cum_weights=weights, k=count)
        for minute, item in zip(sorted(_minute(seed) for _ in range(count)), drawn, strict=True):
            if number == cases:
                return
            yield day * MINUTES + minute, number, item
            number += 1


def said(cases: int) -> Iterator[Said]:
    """All messages of the first ``cases`` cases, in the order in which the hall says them.

    A case's messages come one after the other: received and accepted within some hours, decided within the
    days that its item promises, issued within a day or so. No more cases are in memory than are open.
    """
    known = items()
    seed = random.Random(f"{_SEED} cases")
    following: list[tuple[float, int, int, int]] = []
    for at, case, item in opened(cases):
        while following and following[0][0] <= at:
            yield from _next(following, known, seed)
        yield Said(at, case, 0, item)
        heapq.heappush(following, (at + 15 + seed.expovariate(1 / 90), case, 1, item))
    while following:
        yield from _next(following, known, seed)


def _next(
    following: list[tuple[float, int, int, int]], known: tuple[HallItem, ...], seed: random.Random
) -> Iterator[Said]:
    at, case, step, item = heapq.heappop(following)
    yield Said(at, case, step, item)
    if step == 1:
        promised = known[item].promised_days
        heapq.heappush(following, (at + (seed.uniform(0.3, 0.95) * promised * MINUTES or 5.0), case, 2, item))
    elif step == 2:
        heapq.heappush(following, (at + 20 + seed.expovariate(1 / 240), case, 3, item))


def _minute(seed: random.Random) -> float:
    draw = seed.random()
    for middle, wide, share in _PEAKS:
        if draw < share:
            while not 0 <= (minute := seed.gauss(middle, wide)) < MINUTES:
                pass
            return minute
        draw -= share
    return seed.uniform(0, MINUTES)
