"""The shortest plan that still breaks the same promise: delta debugging over its steps, then simpler settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.simulation.plan import Plan, Step
from tests.simulation.run import Result, simulate

T = TypeVar("T")
Fails = Callable[[Plan], Result | None]


def shortest(result: Result, *, within_s: float = 60.0) -> Result:
    """The result of a plan with as few steps as were found in time, that breaks the promise of the first."""
    promise = result.anomalies[0].promise
    until_s = time.monotonic() + within_s
    best = result

    def fails(plan: Plan) -> bool:
        nonlocal best
        if time.monotonic() > until_s:
            return False
        found = simulate(plan)
        if all(anomaly.promise != promise for anomaly in found.anomalies):
            return False
        best = found
        return True

    steps = minimal(best.plan.steps, lambda some: fails(replace(best.plan, steps=tuple(some))))
    del steps  # the best plan is kept by `fails`
    for simpler in _simpler(best.plan):
        if simpler != best.plan:
            fails(_merged(best.plan, simpler))
    for index in range(len(best.plan.steps)):
        for smaller in _smaller(best.plan.steps[index]):
            some = list(best.plan.steps)
            some[index] = smaller
            fails(replace(best.plan, steps=tuple(some)))
    return best


def minimal(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    """Zeller's ddmin: a part of ``items`` that fails and of which no single piece can be left out."""
    pieces = 2
    while len(items) >= 2:
        size = max(1, len(items) // pieces)
        for start in range(0, len(items), size):
            rest = [*items[:start], *items[start + size :]]
            if rest and fails(rest):
                items = rest
                pieces = max(2, pieces - 1)
                break
        else:
            if size == 1:
                return items
            pieces = min(len(items), pieces * 2)
    return items


def _simpler(plan: Plan) -> Iterator[Plan]:
    yield replace(plan, disorder=0.0)
    yield replace(plan, receipts_home=False)
    yield replace(plan, bound_bytes=False)
    yield replace(plan, static=False)
    yield replace(plan, partitions=1)
    yield replace(plan, workers=1)
    yield replace(plan, workers=2)


def _merged(best: Plan, simpler: Plan) -> Plan:
    """The one simplification applied to the best plan so far."""
    return replace(
        best,
        disorder=min(best.disorder, simpler.disorder),
        receipts_home=best.receipts_home and simpler.receipts_home,
        bound_bytes=best.bound_bytes and simpler.bound_bytes,
        static=best.static and simpler.static,
        partitions=min(best.partitions, simpler.partitions),
        workers=min(best.workers, simpler.workers),
    )


def _smaller(step: Step) -> Iterator[Step]:
    if step.n > 1:
        yield replace(step, n=1)
