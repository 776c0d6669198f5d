"""One of three partners hangs for minutes: what the other two notice of it (reliability.md, I13)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Final

from tests.e2e.city import City
from tests.e2e.road import ITEM, Road, directory_in_force, until

_WARM_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """Milliseconds from the broker's yes to the healthy partners' effect; ``home_s``: the sick one's backlog."""

    rate: float
    minutes: float
    before_ms: tuple[float, float]
    during_ms: tuple[float, float]
    backlog: int
    home_s: float

    @property
    def ratio(self) -> float:
        return self.during_ms[1] / self.before_ms[1]

    def lines(self) -> list[str]:
        """The figures, one sentence a line."""
        return [
            f"{self.rate:g} messages/s to each of three partners, one of them hung for {self.minutes:g} minutes",
            f"the others before: p50 {self.before_ms[0]:.1f} ms, p99 {self.before_ms[1]:.1f} ms",
            (
                f"the others meanwhile: p50 {self.during_ms[0]:.1f} ms, p99 {self.during_ms[1]:.1f} ms; "
                f"p99 ratio {self.ratio:.2f}"
            ),
            f"its backlog of {self.backlog} was home, in order, {self.home_s:.1f} s after it answered again",
        ]


async def hang(
    road: Road,
    a: City,
    healthy: Sequence[City],
    sick: City,
    *,
    rate: float,
    minutes: float,
    told: Callable[[str], None] = lambda line: None,
) -> Isolation:
    """Send steadily to all; let ``sick`` hang for ``minutes``; then see its backlog home."""
    road.serve()
    await road.ready()
    await directory_in_force(a)
    said: dict[str, float] = {}
    stopping = asyncio.Event()
    senders = [asyncio.create_task(_send(stopping, a, each, rate, said)) for each in (*healthy, sick)]
    await asyncio.sleep(_WARM_S)
    before = time.time()
    await asyncio.sleep(max(30.0, minutes * 12))
    sick.hung, hung_at = True, time.time()
    for minute in range(max(1, round(minutes))):
        await asyncio.sleep(60 * minutes / max(1, round(minutes)))
        told(f"{minute + 1} of {minutes:g} minutes")
    healed = time.time()
    sick.hung = False
    stopping.set()
    await asyncio.gather(*senders)
    owed = {name for name in said if name.startswith(f"{a.id}_{sick.id}-")}
    backlog = len(owed) - len(sick.effects)
    await until(
        lambda: {each.name for each in sick.effects} >= owed, within_s=900, what="the sick one's backlog"
    )
    home_s = time.time() - healed
    for city in (*healthy, sick):
        _in_order(city)
    return Isolation(
        rate=rate,
        minutes=minutes,
        before_ms=_percentiles(healthy, said, before, hung_at),
        during_ms=_percentiles(healthy, said, hung_at, healed),
        backlog=backlog,
        home_s=home_s,
    )


async def _send(stopping: asyncio.Event, a: City, to: City, rate: float, said: dict[str, float]) -> None:
    """At ``rate`` messages a second, whatever the answers take; cases of three messages."""
    running: set[asyncio.Task[None]] = set()
    begun = time.monotonic()
    for number in itertools.count():
        await asyncio.sleep(max(0.0, begun + number * 3 / rate - time.monotonic()))
        if stopping.is_set():
            break
        task = asyncio.create_task(_case(a, to, f"{to.id}-{number}", said))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


async def _case(a: City, to: City, number: str, said: dict[str, float]) -> None:
    case = f"{a.id}/{number}"
    for step in range(3):
        identity = f"{number}-{step}"
        event = (
            a.event("case.submitted", case, identity, to.id, item=ITEM, mode="online")
            if step == 0
            else a.event("case.urged", case, identity, to.id)
        )
        answer = await a.submit_surely(event)
        assert answer.status == 202, answer.body
        said[f"{a.id}_{identity}"] = time.time()


def _in_order(city: City) -> None:
    order: dict[str, list[int]] = {}
    for effect in city.effects:
        order.setdefault(effect.case, []).append(int(effect.name.rpartition("-")[2]))
    wrong = [case for case, steps in order.items() if steps != sorted(set(steps))]
    assert not wrong, f"out of order or doubled at {city.id}: {wrong[:5]}"


def _percentiles(
    cities: Sequence[City], said: dict[str, float], since: float, until_s: float
) -> tuple[float, float]:
    waits = [
        max(0.0, effect.at - said[effect.name]) * 1000
        for city in cities
        for effect in city.effects
        if effect.name in said and since <= said[effect.name] < until_s
    ]
    cuts = quantiles(waits, n=100)
    return cuts[49], cuts[98]
