"""The plan of a seed: what is drawn for it, and from what."""

from __future__ import annotations

from random import Random
from typing import Final

from tests.simulation.plan import (
    ACTS,
    AT_STEP,
    COARSE,
    FAULTS,
    FINE,
    MOODS,
    ROAD_STEPS,
    SICK,
    City,
    Do,
    Family,
    Pace,
    Plan,
    Step,
)


def make_plan(seed: int) -> Plan:
    """The plan of a seed."""
    random = Random(f"plan {seed}")
    family: Family = random.choices(("calm", "faults", "storm", "desk"), (2, 5, 3, 2))[0]
    pace = COARSE if random.random() < 0.12 else FINE
    cities = tuple(
        City(
            id=each,
            batch=random.choice((1, 1, 1, 4)),
            tasks=random.random() < 0.3,
            in_flight=random.choice((1, 4, 8)),
        )
        for each in ("430423", "350200", "430400")[: random.choice((2, 3))]
    )
    maker = _Maker(random, family, pace, cities)
    return Plan(
        seed=seed,
        family=family,
        pace=pace,
        cities=cities,
        cases=maker.cases,
        workers=1 if family == "calm" else random.choice((1, 2, 2, 3)),
        partitions=random.choice((1, 2, 3)),
        static=random.random() < 0.3,
        disorder=random.choice((0.0, 0.1, 0.4)),
        receipts_home=random.random() < 0.3,
        bound_bytes=random.random() < 0.25,
        steps=maker.steps(),
        healthy=cities[-1].id,
    )


_ODDITIES: Final[tuple[tuple[Do, float], ...]] = (
    ("repeat", 0.6),
    ("poison", 0.3),
    ("directory", 0.15),
    ("clock", 0.1),
    ("act", 0.5),
    ("note", 0.3),
)


class _Maker:
    def __init__(self, random: Random, family: Family, pace: Pace, cities: tuple[City, ...]) -> None:
        self.random = random
        self.family = family
        self.unit_s = pace.unit_s
        self.cities = cities
        self.cases = random.choice((2, 4, 8))
        self.length_s = pace.unit_s * random.choice((8, 15, 30))

    def steps(self) -> tuple[Step, ...]:
        found = self._sends()
        found += self._moods()
        if self.family == "desk":
            found += self._desk()
        if self.family != "calm":
            found += self._oddities()
            if self.random.random() < 0.25:
                found += self._refusal()
            for _ in range(self.random.randrange(2, 6) * (3 if self.family == "storm" else 1)):
                found.append(self._fault())
        if self.random.random() < 0.4:
            found += self._levers()
        return tuple(sorted(found, key=lambda step: step.at_s))

    def _when(self) -> float:
        return round(self.random.random() * self.length_s, 3)

    def _sends(self) -> list[Step]:
        found = []
        burst = self.random.random() < 0.3
        for _ in range(self.random.choice((6, 12, 12, 20, 40))):
            city = self.random.choice(self.cities).id
            when = 0.1 if burst and self.random.random() < 0.7 else self._when()
            expires = "expires" if self.random.random() < 0.03 else ""
            case = self.random.randrange(self.cases)
            found.append(Step(at_s=when, do="send", who=f"{city}/{case}", detail=expires))
        return found

    def _moods(self) -> list[Step]:
        """The healthy partner, the last, is never moody."""
        found = []
        for _ in range(self.random.randrange(1, 4)):
            city = self.random.choice(self.cities[:-1]).id
            length_s = self.unit_s * self.random.choice((1, 4, 12))
            mood = self.random.choice(SICK if self.random.random() < 0.7 else MOODS)
            found.append(Step(at_s=self._when(), do="mood", who=city, detail=mood, for_s=length_s))
        if self.family == "calm":
            return found
        for _ in range(self.random.randrange(8)):
            city = self.random.choice(self.cities[:-1]).id
            mood = self.random.choice(MOODS)
            count = self.random.choice((1, 1, 3))
            found.append(Step(at_s=self._when(), do="arm", who=city, detail=f"partner:{mood}", n=count))
        return found

    def _desk(self) -> list[Step]:
        """One case fails until its schedule is used up, while its neighbours flow; operators act, also too early."""
        city = self.cities[0].id
        case = self.random.randrange(self.cases)
        back_s = max(self.length_s, 45 * self.unit_s) * self.random.choice((1, 1.5, 3))
        found = [
            Step(at_s=0.0, do="mood", who=f"{city}/{case}", detail="down", for_s=back_s),
            Step(at_s=0.2, do="send", who=f"{city}/{case}"),
        ]
        for _ in range(7):
            late_s = back_s * self.random.choice((0.2, 1.0, 1.4))
            found.append(Step(at_s=round(late_s * self.random.random(), 3), do="send", who=f"{city}/{case}"))
        for _ in range(5):
            late_s = back_s * self.random.choice((0.7, 1.1, 1.2, 1.3))
            act = self.random.choice(ACTS)
            found.append(Step(at_s=round(late_s, 3), do="act", detail=act, n=self.random.choice((1, 1, 3))))
        for _ in range(self.random.choice((0, 1, 3))):
            when = round(back_s * 1.3 * self.random.random(), 3)
            found.append(Step(at_s=when, do=self.random.choice(("kill", "rebalance")), who="0"))
        return found

    def _refusal(self) -> list[Step]:
        """A message is refused, its successor is not, and a kill comes between what follows from the two."""
        city, case = self.random.choice(self.cities[:-1]).id, self.random.randrange(self.cases)
        when = self._when()
        found = [Step(at_s=when, do="arm", who=city, detail="partner:refused")]
        found += [Step(at_s=when, do="send", who=f"{city}/{case}") for _ in range(2)]
        if self.random.random() < 0.5:
            found.append(Step(at_s=when, do="arm", detail="ledger.write:kill-before"))
            return found
        found.append(Step(at_s=round(when + 0.2, 3), do="repeat", n=10))
        found += [Step(at_s=round(when + 0.3, 3), do="kill", who="0") for _ in range(3)]
        return found

    def _oddities(self) -> list[Step]:
        found = []
        for do, chance in _ODDITIES:
            if self.random.random() >= chance:
                continue
            match do:
                case "repeat":
                    step = Step(at_s=self._when(), do="repeat", n=self.random.choice((1, 3, 10)))
                case "poison":
                    kind = self.random.choice(("header", "papers"))
                    city = self.random.choice(self.cities).id
                    case = self.random.randrange(self.cases)
                    step = Step(at_s=self._when(), do="poison", who=f"{city}/{case}", detail=kind)
                case "directory":
                    step = Step(at_s=self._when(), do="directory", who=self.random.choice(self.cities).id)
                case "note":
                    step = Step(at_s=self._when(), do="note", detail=self.random.choice(("foreign", "torn")))
                case "clock":
                    jump_s = self.unit_s * self.random.choice((-20.0, 20.0, 60.0))
                    step = Step(at_s=self._when(), do="clock", for_s=jump_s)
                case _:
                    act = self.random.choice(ACTS)
                    step = Step(
                        at_s=self.length_s * self.random.choice((0.7, 1.5)), do="act", detail=act, n=3
                    )
            found.append(step)
        return found

    def _levers(self) -> list[Step]:
        city = self.random.choice(self.cities[:-1]).id
        first = self._when()
        lever = self.random.choice(("pause", "limit", "probe"))
        found = [Step(at_s=first, do="lever", who=city, detail=lever)]
        if lever == "pause":
            until_s = first + self.unit_s * self.random.choice((2, 8))
            found.append(Step(at_s=until_s, do="lever", who=city, detail="resume"))
        return found

    def _fault(self) -> Step:  # noqa: PLR0911 - a table
        when, random = self._when(), self.random
        match random.random():
            case luck if luck < 0.14:
                return Step(at_s=when, do="kill", who=str(random.randrange(3)))
            case luck if luck < 0.26:
                length_s = self.unit_s * random.choice((0.5, 9.0, 12.0))
                return Step(at_s=when, do="freeze", who=str(random.randrange(3)), for_s=length_s)
            case luck if luck < 0.32:
                return Step(at_s=when, do="stop", who=str(random.randrange(3)))
            case luck if luck < 0.36:
                return Step(at_s=when, do="start")
            case luck if luck < 0.44:
                return Step(at_s=when, do="rebalance", n=random.choice((1, 1, 4)))
            case luck if luck < 0.64:
                step = random.choice(ROAD_STEPS)
                return Step(at_s=when, do="at-step", detail=f"{step}:{random.choice(AT_STEP)}")
            case _:
                op = random.choice(list(FAULTS))
                kind = random.choice(FAULTS[op])
                count = 1 if kind.startswith("kill") else random.choice((1, 1, 3, 6))
                return Step(at_s=when, do="arm", detail=f"{op}:{kind}", n=count)
