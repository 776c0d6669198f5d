"""The engine under test, set up for a pace, and the seams through which the virtual world holds it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import random
import sys
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from types import ModuleType
from typing import Any, Final

from broker.core.ids import CaseId
from broker.core.lane import schedule as schedules
from broker.core.lane.circuit import HOUSE as HOUSE_CIRCUIT
from broker.core.lane.circuit import CircuitPolicy
from broker.core.lane.schedule import Schedule
from broker.core.message import Message
from broker.delivery.options import DeliveryOptions
from broker.delivery.ports import Opened
from broker.delivery.stage import Delivery
from broker.errors import Corrupt, Unreachable
from broker.telemetry import ROAD
from broker.telemetry import Step as RoadStep
from connectors.base import Features
from connectors.mapping import PartnerMapping
from tests.simulation.history import What
from tests.simulation.plan import Plan
from tests.simulation.tables import doubled
from tests.simulation.world import World

FINE_SCHEDULE: Final = Schedule(
    quick=(0.3, 1.0), parked=(4.0, 8.0, 16.0), lane_wait_max_s=2.0, retry_after_max_s=10.0
)
FINE_CIRCUIT: Final = CircuitPolicy(
    minimum=6, window_s=60.0, probe_first_s=1.0, probe_max_s=8.0, probe_timeout_s=15.0, ramp_s=4.0
)


class Papers:
    """Opens nothing, but finds what is corrupt; the vault may be away."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def keys(self, cases: Collection[CaseId]) -> Mapping[CaseId, bytes]:
        world = self._world
        world.process()
        fault = world.fault("keys")
        await asyncio.sleep(world.latency_s(0.003))
        if fault is not None:
            raise Unreachable("the vault is away")
        return dict.fromkeys(cases, b"k")

    def open(
        self, message: Message, key: bytes | None, features: Features, mapping: PartnerMapping
    ) -> Opened:
        if message.value.endswith(b"corrupt"):
            raise Corrupt
        return Opened(value=message.value, data=None)


class Engine:
    """How the engine is set up at a pace, whatever its constructor asks for beyond what is always given."""

    def __init__(self, coarse: bool) -> None:
        self.asks = inspect.signature(Delivery.__init__).parameters
        self.levers = "levers" in self.asks
        known = DeliveryOptions.__dataclass_fields__
        wanted: dict[str, Any] = {
            "poll_records": 50,
            "poll_wait_s": 3600.0 if coarse else 2.0,
            "commit_s": 900.0 if coarse else 0.5,
            "parked_s": 600.0 if coarse else 0.7,
            "directory_s": 3600.0 if coarse else 2.0,
            "drain_s": 10.0 if coarse else 1.5,
            "memory_bytes": 1 << 20,
            "partner_floor_bytes": 1 << 14,
            "write_deadline_s": 5.0,
            "levers_s": 600.0 if coarse else 0.7,
            "status_s": 3600.0 if coarse else 5.0,
            "stall_s": 3600.0 if coarse else 30.0,
        }
        self.options = DeliveryOptions(**{name: value for name, value in wanted.items() if name in known})
        self.schedule = schedules.HOUSE if coarse else FINE_SCHEDULE
        self.circuit = HOUSE_CIRCUIT if coarse else FINE_CIRCUIT

    def delivery(self, **parts: Any) -> Delivery:
        given = {name: part for name, part in parts.items() if name in self.asks}
        made: Delivery = Delivery(self.options, retries=self.schedule, policy=self.circuit, **given)
        return made


_FINE: Final = {"_STEP_S": 0.04, "_LOOK_S": 0.2}
_COARSE: Final = {"_SILENT_S": 86400.0, "_STEP_S": 0.5, "_LOOK_S": 60.0, "_LEASE_S": 60.0}
"""How often the engine looks for itself, where days have to pass quickly."""

_TOLD: Final[dict[str, tuple[What, str]]] = {
    "circuit_opened": ("circuit", "opened"),
    "circuit_closed": ("circuit", "closed"),
    "lane_parked": ("parked", ""),
}


def _rarely(every: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """The engine's chores, each at ten minutes or more."""

    def stretched(
        self: Delivery, seconds: float, work: Callable[[], Coroutine[None, None, None]]
    ) -> Coroutine[Any, Any, None]:
        return every(self, max(seconds, 600.0), work)

    return stretched


class _Ear:
    """The stage's log: it is told what a campaign has to see."""

    def __init__(self, world: World) -> None:
        self._world = world

    def info(self, event: str, /, **facts: object) -> None:
        self._world.saw(f"event {event}")
        told = _TOLD.get(event)
        if told is not None:
            what, detail = told
            partner, case = str(facts.get("partner", "")), str(facts.get("case_id", ""))
            self._world.record(what, partner=partner, case=case, detail=detail)

    warning = info
    error = info


@contextmanager
def patched(
    world: World, plan: Plan, on_step: Callable[[RoadStep], None], *, doubles: bool
) -> Iterator[None]:
    """The seams: no log lines, no real randomness, doubles of the store, the hook of the road's steps."""
    state, before = random.getstate(), ROAD.on_step
    was_on = gc.isenabled()
    ear = _Ear(world)
    with ExitStack() as stack:
        if doubles:
            stack.enter_context(doubled())
        for module in _rooms():
            stack.enter_context(_swapped(module, "_LOG", ear))
        coarse = plan.pace.coarse
        for module, name, seconds in _waits(coarse):
            stack.enter_context(_swapped(module, name, seconds))
        if coarse:
            stack.enter_context(_swapped(Delivery, "_every", _rarely(Delivery._every)))
        random.seed(plan.seed)
        ROAD.on_step = on_step
        gc.disable()
        try:
            yield
        finally:
            ROAD.on_step = before
            random.setstate(state)
            if was_on:
                gc.enable()


@cache
def _rooms() -> tuple[ModuleType, ...]:
    """The engine's modules that log."""
    return tuple(
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith("broker.delivery.") and hasattr(module, "_LOG")
    )


@cache
def _waits(coarse: bool) -> tuple[tuple[ModuleType, str, float], ...]:
    """The engine's constants of time that would cost a world of days its speed."""
    wanted = _COARSE if coarse else _FINE
    return tuple(
        (module, name, seconds)
        for key, module in sorted(sys.modules.items())
        if key.startswith("broker.delivery.")
        for name, seconds in wanted.items()
        if hasattr(module, name)
    )


@contextmanager
def _swapped(module: object, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
