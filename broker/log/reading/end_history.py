"""When an offset was written, estimated from where its partition ended at known times.

Source: the interpolation of kafka-lag-exporter, over pairs of points, newest first.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Final, NamedTuple

from broker.core.records import TopicPartition

_POINTS: Final = 60


class Point(NamedTuple):
    """At ``at_s`` (Unix seconds) the partition's next offset was ``end``."""

    end: int
    at_s: float


class EndHistory:
    """The last 60 known ends of each partition. Keep one per process that asks for lag again and again."""

    def __init__(self) -> None:
        self._points: dict[TopicPartition, deque[Point]] = {}

    def note(self, place: TopicPartition, end: int, *, at_s: float) -> None:
        """Remember an end. One that goes back (a topic made anew) makes what was known before void."""
        points = self._points.setdefault(place, deque(maxlen=_POINTS))
        if points and (end < points[-1].end or at_s <= points[-1].at_s):
            points.clear()
        points.append(Point(end, at_s))

    def written_at_s(self, place: TopicPartition, offset: int) -> float | None:
        """About when the record at ``offset`` was written (Unix seconds); None when it cannot be known."""
        points = self._points.get(place, ())
        for later, earlier in pairwise(reversed(points)):
            if earlier.end <= offset < later.end:
                share = (later.end - offset) / (later.end - earlier.end)
                return later.at_s - share * (later.at_s - earlier.at_s)
        return None
