"""One run: the world of a plan, the real delivery engine in it, its healing, and what the checkers say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.simulation import checkers, sights
from tests.simulation.engine import patched
from tests.simulation.history import Event
from tests.simulation.loop import Deadlock, Livelock, VirtualLoop
from tests.simulation.plan import Plan
from tests.simulation.simulation import Simulation
from tests.simulation.store import Database, InMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run showed."""

    plan: Plan
    history: tuple[Event, ...]
    seen: Counter[str]
    virtual_s: float
    deliveries: int
    steps: int
    anomalies: tuple[checkers.Anomaly, ...]


def simulate(plan: Plan, *, database: Callable[[], Database] = InMemory) -> Result:
    """Run one plan and judge its history."""
    loop = VirtualLoop(Random(f"loop {plan.seed}"), disorder=plan.disorder)
    simulation = Simulation(plan, loop, database())
    world = simulation.world
    doubles = isinstance(simulation.database, InMemory)
    with patched(world, plan, simulation.on_step, doubles=doubles):
        broken = ""
        try:
            loop.run(simulation.run())
        except (Deadlock, Livelock) as stuck:
            broken = f"{type(stuck).__name__}: {stuck}"
        simulation.over = world.healthy = True
        history = tuple(world.history)
        seen = Counter(world.seen)
        virtual_s, steps = loop.now_s, loop.steps
        faults = [f"{each.get('message')}: {each.get('exception')!r}" for each in loop.faults]
        loop.clear_up(world.processes)
    anomalies = list(checkers.judge(history, plan))
    if broken:
        anomalies.append(checkers.Anomaly("engine", broken))
    anomalies += [checkers.Anomaly("engine", fault) for fault in faults]
    seen.update(sights.seen_in(history))
    return Result(
        plan=plan,
        history=history,
        seen=seen,
        virtual_s=virtual_s,
        deliveries=world.deliveries,
        steps=steps,
        anomalies=tuple(anomalies),
    )
