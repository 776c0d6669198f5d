"""Tables of a benchmark's section: a goal with its figure, met or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal with its figure. ``met`` None: the run does not decide it."""

    what: str
    goal: str
    figure: str
    beside: str
    ratio: str
    met: bool | None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "**not met**", None: "not decided by this run"}[self.met]


def goal_table(found: Iterable[Goal], beside: str = "beside") -> list[str]:
    """Goals with their figures; ``beside`` names what stands beside them."""
    rows = [(each.what, each.goal, each.figure, each.beside, each.ratio, each.verdict) for each in found]
    return table(("what", "goal", "figure", beside, "ratio", ""), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines]
