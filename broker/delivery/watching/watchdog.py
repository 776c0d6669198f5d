"""No silent stop: finds partitions where messages wait, nothing holds them back, and yet nothing moves.

Whatever moves is seen without a hook on the way of the messages: a partition's reading position, its commit,
how many of its records are unfinished, and how many attempts its line has begun. Source: issue 4, 10; I14.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from broker.core.records import TopicPartition
from broker.delivery.assigned.tenure import Tenure
from broker.delivery.lines.line import PartnerLine

_HELD: Final = 2.5
"""So many times longer where a case waits in its lane for its next attempt: that may take a minute by itself."""


class _Seen(NamedTuple):
    """How a partition stood, and since when (monotonic seconds)."""

    tenure: Tenure
    facts: tuple[int, ...]
    since_s: float


class Watchdog:
    """Looks from time to time. A partner that is down, paused or faulty is waited for as long as it takes."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._seen: dict[TopicPartition, _Seen] = {}
        self._unheard_since_s: float | None = None

    def still(self, now_s: float, held: Mapping[TopicPartition, tuple[PartnerLine, Tenure]]) -> list[Tenure]:
        """The tenures of partners in health where nothing has moved for too long: see whether they lag."""
        seen: dict[TopicPartition, _Seen] = {}
        found: list[Tenure] = []
        for place, (line, tenure) in held.items():
            facts = _facts(line, tenure)
            before = self._seen.get(place)
            moved = before is None or before.tenure is not tenure or before.facts != facts
            since_s = now_s if moved or before is None or not line.flows() else before.since_s
            seen[place] = _Seen(tenure, facts, since_s)
            if now_s - since_s >= self._stall_s * (_HELD if line.lanes.held else 1):
                found.append(tenure)
        self._seen = seen
        return found

    def cleared(self, now_s: float, tenures: Iterable[Tenure]) -> None:
        """These have nothing to do: look at them again after a while."""
        for tenure in tenures:
            if tenure.place in self._seen:
                self._seen[tenure.place] = self._seen[tenure.place]._replace(since_s=now_s)

    def unheard(self, now_s: float, *, heard: bool) -> bool:
        """Whether the group has not confirmed this worker for too long."""
        if heard or self._unheard_since_s is None:
            self._unheard_since_s = None if heard else now_s
            return False
        return now_s - self._unheard_since_s >= self._stall_s

    def begin_anew(self) -> None:
        """What was done about it gets as long to show."""
        self._seen.clear()
        self._unheard_since_s = None


def behind(tenure: Tenure, end: int | None) -> bool:
    """Whether a still partition has anything to do. ``end``: the offset after its last record; None: unknown."""
    if tenure.pending or tenure.safe > tenure.committed_to:
        return True
    return end is not None and end > tenure.next


def _facts(line: PartnerLine, tenure: Tenure) -> tuple[int, ...]:
    stand = (tenure.next, tenure.safe, tenure.committed_to, tenure.pending)
    return (*stand, line.sent) if tenure.pending else stand
