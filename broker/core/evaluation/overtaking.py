"""Cases that skip the queue (插队): decided while others that had come earlier still waited.

Pure and O(n log n): one sweep over the times at which cases leave the queue, latest first, and a Fenwick tree
that counts those still there by when they came. Source: issue 5, 10; 行政许可法第五十七条 (the order of acceptance).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

NEVER: Final = 1 << 62
"""When a case leaves the queue that is still in it."""

EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaking:
    """The case at ``index`` left while ``ahead`` cases that had come earlier waited; ``first`` are the earliest."""

    index: int
    ahead: int
    first: tuple[int, ...]


def overtakings(
    came: Sequence[int],
    left: Sequence[int],
    waits: Sequence[int],
    served: Sequence[int],
    *,
    at_least: int,
) -> list[Overtaking]:
    """The cases of one queue that overtook at least ``at_least`` others, by index.

    ``came``: the working day on which each came, as a number; cases of one day have no order among themselves.
    ``left``: when each left, :data:`NEVER` for one that is still there. ``waits``: 1 for a case that waited for
    nobody but the office, so that passing it is overtaking. ``served``: 1 for a case that left by being
    served, so that it can overtake. Another case waited if it left after, not when, this one did. Raises
    ValueError for ``at_least`` below 1.
    """
    if at_least < 1:
        raise ValueError("overtaking takes at least one case that waits")
    ranks = {day: rank for rank, day in enumerate(sorted(set(came)))}
    tree = [0] * (len(ranks) + 1)
    earliest: list[tuple[int, int]] = []
    found: list[Overtaking] = []
    for leaving in _by_time(left):
        for index in leaving:
            if not served[index] or left[index] == NEVER:
                continue
            ahead = _count_before(tree, ranks[came[index]])
            if ahead >= at_least:
                first = tuple(other for _, other in earliest[: min(EXAMPLES, ahead)])
                found.append(Overtaking(index=index, ahead=ahead, first=first))
        for index in leaving:
            if waits[index]:
                _add(tree, ranks[came[index]])
                # Those that wait only become more as the sweep goes back in time: the earliest stay the earliest.
                insort(earliest, (came[index], index))
                del earliest[EXAMPLES:]
    return sorted(found, key=lambda each: each.index)


def _by_time(left: Sequence[int]) -> Iterator[list[int]]:
    """Indices by the time of leaving, latest first; those of one moment together."""
    together: list[int] = []
    for index in sorted(range(len(left)), key=left.__getitem__, reverse=True):
        if together and left[together[0]] != left[index]:
            yield together
            together = []
        together.append(index)
    if together:
        yield together


def _add(tree: list[int], rank: int) -> None:
    at = rank + 1
    while at < len(tree):
        tree[at] += 1
        at += at & -at


def _count_before(tree: list[int], rank: int) -> int:
    """How many were added with a rank below this one."""
    count = 0
    while rank > 0:
        count += tree[rank]
        rank -= rank & -rank
    return count
