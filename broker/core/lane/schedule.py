"""When to try again: seconds in the lane, then minutes to a day, then no more. Data, with randomness as an argument.

Source: Standard Webhooks (its schedule and ±20 % jitter); RFC 9110, 10.2.3 (Retry-After).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Final

from pydantic import Field

from broker.core.documents import FORBID_UNKNOWN

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


HOUSE: Final = Schedule()
"""The house's schedule: 1 s, 5 s, 20 s in the lane; then 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""

_Quick = Annotated[float, Field(gt=0, le=60)]
_Parked = Annotated[float, Field(gt=0, le=30 * 24 * HOUR_S)]
_MOST_WAITS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What one document says of a schedule; what it leaves out is as it would be without it.

    ``quick_s``: seconds between the attempts inside the lane, ``parked_s`` between those once it is parked
    (an empty list: none of that kind). ``retry_after_max_s``: the longest ``Retry-After`` that is honoured.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    quick_s: Annotated[tuple[_Quick, ...], Field(max_length=_MOST_WAITS)] | None = None
    parked_s: Annotated[tuple[_Parked, ...], Field(max_length=_MOST_WAITS)] | None = None
    retry_after_max_s: _Parked | None = None

    def over(self, base: Schedule) -> Schedule:
        """``base`` with what is said here."""
        most_s = self.retry_after_max_s
        return replace(
            base,
            quick=base.quick if self.quick_s is None else self.quick_s,
            parked=base.parked if self.parked_s is None else self.parked_s,
            retry_after_max_s=base.retry_after_max_s if most_s is None else most_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlan(Waits):
    """A partner's schedule, and what differs from it for some ``items``, by item code or item class."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    items: Mapping[str, Waits] = field(default_factory=dict)


AS_THE_HOUSE: Final = RetryPlan()
"""No difference from the house's schedule."""


class Schedules:
    """One partner's schedules. An item's own code goes before its class, its class before the partner's rule."""

    def __init__(self, plan: RetryPlan, house: Schedule, class_of: Callable[[str], str | None]) -> None:
        """``class_of`` says an item's class, by its code; None: it has none."""
        self.common: Final = plan.over(house)
        self._class_of = class_of
        self._own = {key: waits.over(self.common) for key, waits in plan.items.items()}

    def of(self, item: str | None) -> Schedule:
        """The schedule of a message about ``item`` (None: about no item)."""
        if item is None or not self._own:
            return self.common
        own = self._own.get(item)
        if own is None:
            own = self._own.get(self._class_of(item) or "")
        return self.common if own is None else own
