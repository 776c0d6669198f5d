"""kill -9 at chosen steps of the road, again and again, under load; judged by the partners' own ledgers.

The broker is one process, killed by itself when it comes to a step for the Nth time, and started again at
once. What was promised is read from what the cities took in, never from the broker (reliability.md, I1-I5).
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median, quantiles
from typing import Final, get_args

from broker.telemetry import Step
from tests.e2e.city import City
from tests.e2e.road import ITEM, B, C, Road, until

STEPS: Final[tuple[str, ...]] = get_args(Step)
WRITERS: Final = 6
MESSAGES_A_CASE: Final = 4
_UNSETTLED: Final = frozenset({"caller-unknown", "partner-unknown", "item-unknown"})
"""What the broker says before its first process has taken in the directory."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a campaign has seen. ``first_s``: from the start of a process to its first effect, seconds."""

    kills: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    attempts: int = 0
    effects: int = 0

    @property
    def bound(self) -> float:
        """With n clean trials, the chance that a trial goes wrong is below 3/n (95 %)."""
        return 3 / max(1, self.kills.total())

    def lines(self) -> list[str]:
        """The figures, one sentence a line."""
        tail = quantiles(self.first_s, n=20)[-1] if len(self.first_s) > 1 else float("nan")
        return [
            (
                f"kills {self.kills.total()} at {len(self.kills)} steps; messages {len(self.accepted)}: "
                "0 lost, 0 doubled, 0 out of order, a receipt for each"
            ),
            f"a trial goes wrong with less than {self.bound:.4f} probability (95 %)",
            f"attempts per effect {self.attempts / max(1, self.effects):.3f}",
            f"start to first effect: median {median(self.first_s):.2f} s, 95th percentile {tail:.2f} s",
        ]


async def campaign(
    road: Road,
    cities: tuple[City, City, City],
    steps: Sequence[str],
    *,
    draw: random.Random,
    told: Callable[[str], None] = lambda line: None,
) -> Tally:
    """Kill at each of ``steps`` in turn while A sends to B and C. AssertionError: a promise did not hold."""
    a, b, c = cities
    tally = Tally()
    stopping = asyncio.Event()
    writers = [asyncio.create_task(_say_until(stopping, a, each, tally.accepted)) for each in range(WRITERS)]
    pulling = asyncio.create_task(pull_for_ever(c))
    for number, step in enumerate(steps, start=1):
        process = road.serve(crash=f"{step}:{draw.randint(1, 5)}")
        began, before = time.monotonic(), len(b.effects)
        first = asyncio.create_task(_first_effect(b, before, began, tally))
        await until(partial(_ended, process), within_s=60, what=f"the kill at {step}")
        first.cancel()
        assert process.returncode == -signal.SIGKILL, road.log()[-2000:]
        road.processes.clear()
        tally.kills[step] += 1
        told(f"kill {number} of {len(steps)} at {step}: {len(tally.accepted)} messages accepted")
    road.serve()
    stopping.set()
    await asyncio.gather(*writers)
    await judge(a, (b, c), tally.accepted)
    pulling.cancel()
    tally.attempts, tally.effects = sum(b.attempts.values()), len(b.effects)
    return tally


async def judge(a: City, receivers: Sequence[City], accepted: Sequence[str]) -> None:
    """By the partners' ledgers: every accepted message once, in order, and one receipt for each."""

    def receipts() -> set[str]:
        return {
            str(effect.event["correlationid"]) for effect in a.effects if effect.type == "receipt.delivered"
        }

    await until(lambda: len(receipts()) >= len(accepted), within_s=120, what="a receipt for every message")
    names = [effect.name for city in receivers for effect in city.effects]
    assert sorted(names) == sorted(accepted), "one effect for each accepted message, and no phantom"
    assert receipts() == {name.replace("_", "/", 1) for name in accepted}
    for city in receivers:
        said: dict[str, list[str]] = {}
        for effect in city.effects:
            said.setdefault(effect.case, []).append(effect.name)
        for case, order in said.items():
            number = case.partition("/")[2]
            assert order == [f"{a.id}_{number}-{step}" for step in range(len(order))], f"order of {case}"
    receipt_names = [effect.name for effect in a.effects if effect.type == "receipt.delivered"]
    assert len(receipt_names) == len(set(receipt_names)), "each receipt once"
    assert not any(city.bad_signatures for city in receivers)


async def pull_for_ever(city: City) -> None:
    """A mailbox partner that takes in what there is, whatever becomes of the broker meanwhile."""
    while True:
        try:
            await city.pull(wait_s=1)
        except (AssertionError, OSError, TimeoutError, ValueError):
            await asyncio.sleep(0.1)
        except Exception as fault:
            if "aiohttp" not in type(fault).__module__:
                raise
            await asyncio.sleep(0.1)


async def open_case(city: City, to: str, number: str, accepted: list[str]) -> None:
    """Say a case's messages one after the other, each until its yes is certain."""
    case = f"{city.id}/{number}"
    for step in range(MESSAGES_A_CASE):
        identity = f"{number}-{step}"
        event = (
            city.event("case.submitted", case, identity, to, item=ITEM, mode="online")
            if step == 0
            else city.event("case.urged", case, identity, to)
        )
        answer = await city.submit_surely(event)
        while answer.body.get("code") in _UNSETTLED:
            await asyncio.sleep(0.2)
            answer = await city.submit_surely(event)
        assert answer.status == 202, answer.body
        accepted.append(f"{city.id}_{identity}")


async def _say_until(stopping: asyncio.Event, city: City, number: int, accepted: list[str]) -> None:
    """One case after the other, until told to stop; a case that was begun is finished."""
    count = 0
    while not stopping.is_set():
        await open_case(city, (B, B, C)[number % 3], f"w{number}-c{count}", accepted)
        count += 1
        await asyncio.sleep(0.2)


async def _first_effect(city: City, before: int, began: float, tally: Tally) -> None:
    while len(city.effects) == before:
        await asyncio.sleep(0.005)
    tally.first_s.append(time.monotonic() - began)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def steps_for(trials: int) -> list[str]:
    """``trials`` steps, each as often as any other."""
    return [STEPS[number % len(STEPS)] for number in range(trials)]
