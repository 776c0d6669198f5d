"""A partner with a thousand in flight, kill -9 in mid-run, the same static member back at once.

The trial in which other engines commit what they never delivered, or deliver thousands anew. What was truly
in flight may be attempted again; hardly anything else, and nothing is lost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.campaigns.kills import judge
from tests.e2e.city import City
from tests.e2e.road import ITEM, Road, directory_in_force, until

IN_FLIGHT: Final = 1000
LIMITS: Final = f"[limits]\nin_flight = {IN_FLIGHT}\n"
"""For the partner's directory document."""
LATENCY_S: Final = 0.25
_BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """``in_flight`` at the partner when the broker was killed; ``again``: attempts beyond one an effect."""

    messages: int
    before: int
    in_flight: int
    again: int
    first_s: float

    def __str__(self) -> str:
        return (
            f"{self.messages} messages, killed after {self.before} with {self.in_flight} in flight: "
            f"0 lost, 0 doubled, {self.again} attempted again, first effect after {self.first_s:.2f} s"
        )


async def trial(
    road: Road, a: City, b: City, accepted: list[str], *, cases: int, steps: int, tag: str
) -> Trial:
    """Send ``cases`` cases of ``steps`` messages each, kill in mid-run, start again, judge all so far.

    ``accepted`` holds the names of all trials on these cities. AssertionError: a promise did not hold.
    """
    road.serve()
    await road.ready()
    await directory_in_force(a)
    b.latency_s = LATENCY_S
    offset, tried = len(b.effects), b.attempts.total()
    mine = await _submit(a, b.id, cases, steps, tag)
    accepted.extend(mine)
    await until(
        lambda: len(b.effects) - offset >= len(mine) // 3, within_s=120, what="a third of the effects"
    )
    road.kill()
    before, in_flight, began = len(b.effects) - offset, b.open_requests, time.time()
    road.serve()

    def first() -> float | None:
        since = began + 1.5 * LATENCY_S + 0.1  # what was at the partner already is not the new process's
        return next((effect.at for effect in b.effects[offset + before :] if effect.at > since), None)

    await until(lambda: first() is not None, within_s=60, what="an effect after the start")
    await judge(a, (b,), accepted)
    road.stop()
    return Trial(
        messages=len(mine),
        before=before,
        in_flight=in_flight,
        again=b.attempts.total() - tried - len(mine),
        first_s=(first() or began) - began,
    )


async def _submit(city: City, to: str, cases: int, steps: int, tag: str) -> list[str]:
    """All cases' first messages, then all second ones …: many lanes, each with a queue."""
    names: list[str] = []
    for step in range(steps):
        events = [_event(city, to, f"{tag}-{case}", step) for case in range(cases)]
        for start in range(0, len(events), _BATCH):
            await _accepted(city, events[start : start + _BATCH])
        names.extend(f"{city.id}_{event['id']}" for event in events)
    return names


def _event(city: City, to: str, number: str, step: int) -> dict[str, object]:
    case, identity = f"{city.id}/{number}", f"{number}-{step}"
    if step == 0:
        return city.event("case.submitted", case, identity, to, item=ITEM, mode="online")
    return city.event("case.urged", case, identity, to)


async def _accepted(city: City, events: Sequence[dict[str, object]], within_s: float = 60) -> None:
    """Repeat a batch until every element of it is accepted."""
    end = time.monotonic() + within_s
    while True:
        answer = await city.submit([*events])
        results = answer.body.get("results")
        if isinstance(results, list) and all(each.get("status") == 202 for each in results):
            return
        assert time.monotonic() < end, answer.body
