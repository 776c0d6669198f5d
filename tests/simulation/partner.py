"""Partner cities: systems that keep a ledger of their own effects, and answer in every way of the contract."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from broker.core.catalogue.directory import Partner
from broker.core.records import TopicPartition
from connectors.base import (
    Answer,
    Closed,
    Connector,
    Deferred,
    Delivered,
    Features,
    Misconfigured,
    Parcel,
    Refused,
    Taken,
)
from connectors.mapping import PartnerMapping
from tests.simulation.plan import City, Mood
from tests.simulation.world import World

_EFFECTS: Final = frozenset(
    {
        "fine", "slow", "taken", "taken-late", "taken-never", "taken-twice", "refused-after-effect",
        "reset-after-effect", "effect-then-timeout", "garbage",
    }
)  # fmt: skip
_ANSWERS: Final[dict[Mood, Answer]] = {
    "refused": Refused(code="422", detail="missing field"),
    "refused-after-effect": Refused(code="422", detail="missing field"),
    "down": Deferred(reason="answered 503"),
    "unauthorised": Misconfigured(reason="answered 401"),
    "gone": Closed(reason="answered 410"),
    "hung": Deferred(reason="did not answer in time"),
    "effect-then-timeout": Deferred(reason="did not answer in time"),
    "reset": Deferred(reason="the connection was reset"),
    "reset-after-effect": Deferred(reason="the connection was reset"),
    "raises": Deferred(reason="the connection was reset"),
}
OnTaken = Callable[[Parcel, Mood, float], None]


@dataclass
class _Window:
    until_s: float
    mood: Mood
    case: str


@dataclass
class CitySystem:
    """One partner's system. ``effects``: webhook id to the message's name, as its own books have it."""

    city: City
    world: World
    on_taken: OnTaken
    effects: dict[str, str] = field(default_factory=dict)
    was_gone: bool = False
    _windows: list[_Window] = field(default_factory=list)

    @property
    def timeout_s(self) -> float:
        """What the connector allows for one request."""
        return 30.0 if self.world.pace.coarse else 4.0

    def turn(self, mood: Mood, for_s: float, case: str = "") -> None:
        """From now on, for a while, the city (or one case of it) is in this mood."""
        self._windows.append(_Window(self.world.loop.now_s + for_s, mood, case))

    def heal(self) -> None:
        self._windows.clear()

    def mood(self, case: str) -> Mood:
        """How it answers this very request."""
        if self.world.healthy:
            return "fine"
        armed = self.world.fault(f"partner {self.city.id}")
        if armed is not None:
            return cast("Mood", armed)
        now_s = self.world.loop.now_s
        for window in reversed(self._windows):
            if window.until_s > now_s and window.case in {"", case}:
                return window.mood
        return "fine"

    def moody(self) -> bool:
        """Whether a health probe finds it sick."""
        return self.mood("-") not in {*_EFFECTS, "refused", "partial", "raises"}

    def hear(self, parcel: Parcel, mood: Mood, who: str) -> Answer:
        """The request arrives: what takes effect does so now, whoever hears the answer."""
        message, world = parcel.message, self.world
        world.saw(f"answer {mood}")
        known = message.webhook_id in self.effects
        if mood in _EFFECTS:
            self.effects.setdefault(message.webhook_id, message.name)
            position = parcel.record.position
            world.record(
                "effect",
                who,
                name=message.name,
                partner=self.city.id,
                case=message.case,
                place=TopicPartition(position.topic, position.partition),
                offset=position.offset,
                number=message.redrive,
                detail="again" if known else "first",
                proof=message.webhook_id,
            )
            if known:
                world.saw("redelivery met by the partner's own books")
        return self._answer(parcel, mood, who, known=known)

    def _answer(self, parcel: Parcel, mood: Mood, who: str, *, known: bool) -> Answer:
        unit_s = self.world.pace.unit_s
        if mood in {"taken", "taken-late", "taken-never", "taken-twice"}:
            within_s = 3.0 * unit_s
            self.on_taken(parcel, mood, within_s)
            return Taken(within_s=within_s)
        if mood == "partial":
            return self.hear(parcel, "fine" if self.world.random.random() < 0.5 else "down", who)
        if mood == "gone":
            self.was_gone = True
        if mood == "limited":
            return Deferred(reason="answered 429", retry_after_s=3.0 * unit_s)
        if mood in {"fine", "slow", "garbage"}:
            return Delivered(code="409" if known else "200", reference="R-1")
        return _ANSWERS[mood]

    def delay_s(self, mood: Mood) -> float:
        """From the arrival to the answer."""
        match mood:
            case "hung" | "effect-then-timeout":
                return self.timeout_s
            case "slow":
                return self.timeout_s * 0.6
            case _:
                return self.world.latency_s()


class CityConnector:
    """Answers by callback; nothing of it is a task."""

    def __init__(self, system: CitySystem) -> None:
        self.system = system
        self._world = system.world
        self._closed = False
        self._in_flight: dict[int, tuple[int, Callable[[Sequence[Answer]], None]]] = {}
        self._number = 0

    @property
    def features(self) -> Features:
        return Features(batch=self.system.city.batch)

    async def start(self) -> None: ...

    async def close(self) -> None:
        """As the HTTP connector: who waits hears that it was closed."""
        self._closed = True
        waiting, self._in_flight = self._in_flight, {}
        for count, done in waiting.values():
            done([Deferred(reason="the client was closed")] * count)

    def submit(self, parcels: Sequence[Parcel], done: Callable[[Sequence[Answer]], None]) -> None:
        world, system = self._world, self.system
        process = world.process()
        cases = [parcel.message.case for parcel in parcels]
        assert len(set(cases)) == len(cases), "a batch holds different cases only"
        world.deliveries += len(parcels)
        for parcel in parcels:
            position = parcel.record.position
            world.record(
                "sent",
                name=parcel.message.name,
                partner=system.city.id,
                case=parcel.message.case,
                place=TopicPartition(position.topic, position.partition),
                offset=position.offset,
                number=parcel.attempt,
                detail="" if process.decided > process.thawed else "on its way when frozen",
                proof=parcel.message.webhook_id,
            )
        self._number += 1
        number = self._number
        self._in_flight[number] = (len(parcels), done)
        inside = contextvars.copy_context()

        def arrive() -> None:
            moods = [system.mood(case) for case in cases]
            answers = [
                system.hear(each, mood, process.name) for each, mood in zip(parcels, moods, strict=True)
            ]
            for parcel, mood, answer in zip(parcels, moods, answers, strict=True):
                world.record("answered", system.city.id, name=parcel.message.name, detail=_told(mood, answer))
            if "garbage" in moods:
                answers = []
            delay_s = max(map(system.delay_s, moods))
            world.loop.call_later(delay_s, self._hear, number, answers, context=inside)

        world.later(world.latency_s(), arrive)

    async def deliver(self, parcels: Sequence[Parcel]) -> Sequence[Answer]:
        heard: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        self.submit(parcels, lambda answers: None if heard.done() else heard.set_result(answers))
        return await heard

    async def probe(self) -> Answer:
        world = self._world
        world.process()
        await asyncio.sleep(world.latency_s())
        world.saw("health probe")
        if self.system.moody():
            await asyncio.sleep(self.system.delay_s(self.system.mood("-")))
            return Deferred(reason="not there")
        return Delivered(code="204")

    def _hear(self, number: int, answers: Sequence[Answer]) -> None:
        _, done = self._in_flight.pop(number, (0, None))
        if done is not None:
            done(answers)


class TaskConnector:
    """The same city behind a connector that is awaited, and that may itself break."""

    def __init__(self, system: CitySystem) -> None:
        self._inner = CityConnector(system)
        self.features = self._inner.features
        self.start = self._inner.start
        self.close = self._inner.close
        self.probe = self._inner.probe

    async def deliver(self, parcels: Sequence[Parcel]) -> Sequence[Answer]:
        world, system = self._inner._world, self._inner.system
        if world.next_fault(f"partner {system.city.id}") == "raises":
            world.fault(f"partner {system.city.id}")
            world.saw("answer raises")
            raise RuntimeError("the connector broke")
        return await self._inner.deliver(parcels)


class Links:
    """Leads to the cities."""

    def __init__(self, systems: dict[str, CitySystem]) -> None:
        self._systems = systems

    def connector(self, partner: Partner) -> Connector:
        system = self._systems[partner.id]
        system.world.record("circuit", partner=partner.id, detail="begun")
        return cast("Connector", TaskConnector(system) if system.city.tasks else CityConnector(system))

    def mapping(self, partner: Partner) -> PartnerMapping:
        return PartnerMapping([])


def _told(mood: Mood, answer: Answer) -> str:
    return f"{mood}: {type(answer).__name__}"
