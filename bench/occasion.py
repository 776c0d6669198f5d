"""When, by which command and on what a bench ran, and who else was at work: the head of every section."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Self

from bench.measure import Neighbours, busy_share, machine

QUIET: Final = 0.1
"""Other programs' share of the cores above which figures say little."""


@dataclass(kw_only=True)
class Occasion:
    """``other_load`` and ``others``: the share of the cores that other programs used before the run, and during it."""

    command: str
    date: str
    machine: dict[str, str]
    other_load: float
    others: float = 0.0
    seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def now(cls, module: str, *, look_s: float = 1.0) -> Self:
        """It begins now; the machine is looked at for ``look_s`` first."""
        began = time.monotonic()
        return cls(
            command=shlex.join(["python", "-m", module, *sys.argv[1:]]),
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            machine=machine(),
            other_load=busy_share(look_s),
            began=began,
        )

    def ends(self, neighbours: Neighbours | None = None) -> None:
        """The figures are there."""
        if neighbours is not None:
            self.others = neighbours.share()
        self.seconds = time.monotonic() - self.began

    @property
    def told_command(self) -> str:
        return f"- command: `{self.command}`, {self.date}, {self.seconds:.0f} s"

    @property
    def told_machine(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        return f"- machine: {facts}; other programs used {self.other_load:.0%} of it before the run"

    def lines(self, note: str = "") -> list[str]:
        """The head of a section; ``note`` follows the command."""
        spoilt = "; **the figures say little**" if max(self.other_load, self.others) > QUIET else ""
        return [self.told_command + note, f"{self.told_machine}, {self.others:.0%} during it{spoilt}"]
