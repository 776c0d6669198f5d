"""When to try again: seconds in the lane, then minutes to a day, then no more. Data, with randomness as an argument.

Source: Standard Webhooks (its schedule and ±20 % jitter); RFC 9110, 10.2.3 (Retry-After).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

MINUTE_S: Final = 60.0
HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The waits after each failed attempt, in seconds: ``quick`` ones in the lane, ``parked`` ones off it.

    ``spread`` 0.2 means ±20 %. ``retry_after_max_s`` bounds what a partner's Retry-After can ask.
    ``lane_wait_max_s``: a longer wait parks the lane, whichever attempt it follows.
    """

    quick: tuple[float, ...] = (1.0, 5.0, 20.0)
    parked: tuple[float, ...] = (
        5 * MINUTE_S,
        30 * MINUTE_S,
        2 * HOUR_S,
        5 * HOUR_S,
        10 * HOUR_S,
        14 * HOUR_S,
        20 * HOUR_S,
        24 * HOUR_S,
    )
    spread: float = 0.2
    retry_after_max_s: float = 24 * HOUR_S
    lane_wait_max_s: float = 60.0

    @property
    def attempts(self) -> int:
        """How many attempts the schedule has in all, the first one included."""
        return 1 + len(self.quick) + len(self.parked)

    def next_after(self, attempt: int, jitter: float, retry_after_s: float | None = None) -> float | None:
        """Seconds to wait after failed attempt number ``attempt`` (the first is 1); None: used up.

        ``jitter`` is drawn from [0, 1): 0 gives the shortest wait, 0.5 the exact one. ``retry_after_s`` is
        never undercut up to ``retry_after_max_s``, and jittered upwards only, so that those told the same
        second do not all come back in it. Raises ValueError for an attempt or jitter out of range.
        """
        if attempt < 1 or not 0 <= jitter < 1:
            raise ValueError("attempts count from 1, jitter lies in [0, 1)")
        waits = self.quick + self.parked
        if attempt > len(waits):
            return None
        wait_s = waits[attempt - 1] * (1 + self.spread * (2 * jitter - 1))
        if retry_after_s is None or not retry_after_s > 0:  # also NaN: nothing was asked
            return wait_s
        return max(wait_s, min(retry_after_s, self.retry_after_max_s) * (1 + self.spread * jitter))

    def parks(self, wait_s: float) -> bool:
        """Whether a wait of this length is spent parked rather than in the lane."""
        return wait_s > self.lane_wait_max_s

    def with_parked(self, waits_s: tuple[float, ...]) -> Schedule:
        """This schedule with a partner's own waits once parked (directory: ``retry_after_s``); empty keeps it."""
        return replace(self, parked=waits_s) if waits_s else self


HOUSE: Final = Schedule()
"""The house's schedule: 1 s, 5 s, 20 s in the lane; then 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""
