"""A run of scenarios: one cast, one broker, as many at once as is sensible, each judged by the halls' own ledgers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from deploy.demo.cast import Prepared, perform, prepare
from deploy.demo.checks import Check
from deploy.demo.play import BrokerHandle, StartBroker
from deploy.demo.scenarios import Scenario
from deploy.demo.stage import Stage
from deploy.demo.timeline import Moment, timeline

TOGETHER: Final = 6
"""Scenarios at work at once: more would only wait for each other on two cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A scenario that was run: its checks, its timeline. ``fault``: what kept it from being acted to its end."""

    scenario: Scenario
    checks: tuple[Check, ...]
    moments: tuple[Moment, ...]
    took_s: float
    fault: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it ended in its expected state, in every ledger."""
        return self.fault is None and bool(self.checks) and all(check.holds for check in self.checks)


def cast_of(chosen: Iterable[Scenario]) -> tuple[str, ...]:
    """The halls that these scenarios need, each once."""
    return tuple(dict.fromkeys(hall for scenario in chosen for hall in scenario.cast))


async def run_scenarios(
    start_broker: StartBroker,
    folder: Path,
    chosen: Sequence[Scenario],
    *,
    patience_s: float = 90.0,
    tell: Callable[[Ended], None] = lambda _: None,
) -> list[Ended]:
    """Run scenarios against one broker and one cast; ``tell`` hears of each as it ends.

    Those that disturb a hall which others use run after the others. ``patience_s`` is for each one's checks,
    once it was acted. Raises CityEnded when a hall's process does not start, and whatever ``start_broker`` raises.
    """
    prepared = prepare(folder, cast_of(chosen))
    handle = await start_broker(prepared.directory)
    async with (
        perform(prepared, exchange_url=handle.base_url, exchange_keys=handle.keys, pace_s=0) as processes,
        aiohttp.ClientSession(trust_env=False) as session,
    ):
        stage = Stage(prepared, processes, session, asyncio.Event(), handle.ask)
        ended: list[Ended] = []
        for disturbs in (False, True):
            part = [each for each in chosen if each.disturbs is disturbs]
            ended += await _together(part, stage, patience_s, tell)
    order = {scenario.name: index for index, scenario in enumerate(chosen)}
    return sorted(ended, key=lambda each: order[each.scenario.name])


async def _together(
    chosen: Sequence[Scenario], stage: Stage, patience_s: float, tell: Callable[[Ended], None]
) -> list[Ended]:
    places = asyncio.Semaphore(TOGETHER)

    async def one(scenario: Scenario) -> Ended:
        async with places:
            ended = await run_one(scenario, stage, patience_s)
        tell(ended)
        return ended

    return list(await asyncio.gather(*(one(scenario) for scenario in chosen)))


async def run_one(scenario: Scenario, stage: Stage, patience_s: float) -> Ended:
    """Act one scenario and wait for its checks. A fault of it is its own: the others go on."""
    began = time.monotonic()
    fault = None
    try:
        await scenario.act(stage)
        await stage.until(lambda ledgers: all(each.holds for each in scenario.checks(ledgers)), patience_s)
    except Exception as broken:  # whatever one scenario meets, the others are still to be told
        fault = f"{type(broken).__name__}: {broken}"
    ledgers = stage.ledgers()
    return Ended(
        scenario=scenario,
        checks=tuple(scenario.checks(ledgers)),
        moments=tuple(timeline(ledgers, scenario.cast, scenario.cases)),
        took_s=time.monotonic() - began,
        fault=fault,
    )


__all__ = ["BrokerHandle", "Ended", "Prepared", "StartBroker", "cast_of", "run_one", "run_scenarios"]
