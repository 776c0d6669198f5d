"""Whether this worker may still act for its partitions: a worker frozen or cut off past its session may not.

The group's coordinator takes a member that is silent for the session time-out for dead and gives its
partitions to another. A worker that was frozen wakes up in the middle of what it did and knows nothing of it:
therefore nothing is sent and nothing written but while the coordinator was heard of recently enough.
Source: issue 4, 3; reliability.md, I8.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

from broker.delivery.ports import Clock

_SURE: Final = 0.9
"""Of the session time-out: what is left is for the way of what is sent, and clocks that differ."""
_LOOK_S: Final = 0.05


class Lease:
    """Runs out ``session_s`` (less a margin) after the group last confirmed the membership."""

    def __init__(self, clock: Clock, session_s: float) -> None:
        self._clock = clock
        self._span_s = session_s * _SURE
        self._until_s = -math.inf
        self.heard: Callable[[], float] | None = None
        """When the group last confirmed it, in monotonic seconds; None: nobody can say."""

    def renew(self, heard_s: float) -> None:
        """The group has confirmed the membership at this time (monotonic)."""
        self._until_s = max(self._until_s, heard_s + self._span_s)

    def holds(self, now_s: float | None = None) -> bool:
        """Whether what is done now still counts."""
        now_s = self._clock.monotonic_s() if now_s is None else now_s
        if now_s < self._until_s:
            return True
        if self.heard is not None:
            self.renew(self.heard())
        return now_s < self._until_s

    async def held(self) -> None:
        """Returns once it holds."""
        while not self.holds():  # noqa: ASYNC110 - time alone ends it, or a heartbeat that tells nobody
            await asyncio.sleep(_LOOK_S)
