"""Walks as a whole: played, played again, and shortened to what matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Final

from structlog.testing import capture_logs

from tests.model.place import WHOLES
from tests.model.play import Disagreement, Play
from tests.model.walks import Chance, Step, begin

STEPS: Final = 30
QUICK: Final = 240
"""Walks of the suite: some 7 s alone. For longer runs: ``python -m tests.model --walks N --seed S``."""
KINDS_OF_WALKS: Final = (None, None, None, *WHOLES)
"""Half of the walks are over one case, half over services of several parts."""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """What it takes to play a walk again, and what was wrong at its end."""

    begun: datetime
    size: int
    steps: tuple[Step, ...]
    fault: str = ""

    def __str__(self) -> str:
        lines = [f"begun {self.begun.isoformat()}, {self.size} records a batch", *map(str, self.steps)]
        return "\n  ".join([*lines, f"=> {self.fault}"])


def walk(seed: int, whole: str | None = None, steps: int = STEPS) -> tuple[Walk, Play]:
    """One walk of this seed, played until it ends or shows a fault."""
    rng = Random(seed)
    play = Play(now=begin(rng), size=rng.choice([1, 3, 100]))
    chance, begun = Chance(rng, whole), play.now
    done: list[Step] = []
    fault = ""
    with capture_logs():  # a value of no type is told as unreadable, each time
        for _ in range(steps):
            step = chance.next(play.office, play.now)
            done.append(step)
            fault = _fault(play.step, step)
            if fault:
                break
    return Walk(begun=begun, size=play.size, steps=tuple(done), fault=fault), play


def of_seed(seed: int) -> tuple[Walk, Play]:
    """The walk that the suite and long runs know by this number."""
    return walk(seed, KINDS_OF_WALKS[seed % len(KINDS_OF_WALKS)])


def again(walk: Walk) -> Walk:
    """The same steps once more."""
    play = Play(now=walk.begun, size=walk.size)
    with capture_logs():
        for number, step in enumerate(walk.steps, start=1):
            fault = _fault(play.step, step)
            if fault:
                return replace(walk, steps=walk.steps[:number], fault=fault)
    return replace(walk, fault="")


def smallest(walk: Walk) -> Walk:
    """A walk that shows a fault with no step that could be left out."""
    at = 0
    while at < len(walk.steps):
        shorter = again(replace(walk, steps=walk.steps[:at] + walk.steps[at + 1 :]))
        if shorter.fault:
            walk = shorter
        else:
            at += 1
    return walk


def _fault(step: Callable[[Step], None], at: Step) -> str:
    try:
        step(at)
    except Disagreement as fault:
        return str(fault)
    except Exception as fault:  # a fault of any kind ends the walk, and is told with its steps
        return f"{type(fault).__name__}: {fault}"
    return ""
