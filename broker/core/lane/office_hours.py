"""A partner's office hours: when somebody is there to take what had to wait.

Pure. China has one time zone and no daylight saving since 1991, so a day is 24 hours and midnight is 16:00
UTC the day before. Source: issue 4, 4; field.md ("working days, office hours in the retry plan").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from broker.core.documents import FORBID_UNKNOWN

SPREAD_MS: Final = 15 * 60_000
"""What waits for an opening comes within this time after it, not all in its first second."""

_DAY_MS: Final = 86_400_000
_CHINA_MS: Final = 8 * 3_600_000
_EPOCH: Final = date(1970, 1, 1)
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _local(moment: time) -> time:
    if moment.tzinfo is not None:
        raise ValueError("expected a time of day in China, without an offset")
    return moment


_LocalTime = Annotated[time, AfterValidator(_local)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Open on these days from ``opens`` until before ``closes`` (00:00: the end of the day), in Asia/Shanghai."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    days: Annotated[tuple[Day, ...], Field(min_length=1)] = ("mon", "tue", "wed", "thu", "fri")
    opens: _LocalTime
    closes: _LocalTime

    def __post_init__(self) -> None:
        if self.opens_ms >= self.closes_ms:
            raise ValueError("expected closes after opens (00:00 is the end of the day)")

    @property
    def opens_ms(self) -> int:
        """Milliseconds after midnight."""
        return _of_day_ms(self.opens)

    @property
    def closes_ms(self) -> int:
        """Milliseconds after midnight, at most 24 hours."""
        return _of_day_ms(self.closes) or _DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeHours:
    """``windows`` of the week; none: open all day. On ``closed`` dates nobody is there."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    windows: tuple[Window, ...] = ()
    closed: tuple[date, ...] = field(default=())

    def is_open(self, at_ms: int) -> bool:
        """Whether somebody is there at this moment (UTC milliseconds since 1970)."""
        day, of_day_ms = divmod(at_ms + _CHINA_MS, _DAY_MS)
        return any(opens <= of_day_ms < closes for opens, closes in self._of(day))

    def not_before(self, at_ms: int, jitter: float) -> int:
        """``at_ms`` if somebody is there then, else a moment of the next window, soon after it opens.

        ``jitter`` is drawn from [0, 1): how far into the window's first quarter of an hour.
        """
        if self.is_open(at_ms):
            return at_ms
        day, of_day_ms = divmod(at_ms + _CHINA_MS, _DAY_MS)
        # Each closed date can cost a week at most: after these many days some window has opened.
        for ahead in range(7 * len(self.closed) + 8):
            later = [each for each in self._of(day + ahead) if ahead or each[0] > of_day_ms]
            if later:
                opens, closes = min(later)
                spread_ms = min(SPREAD_MS, closes - opens)
                return (day + ahead) * _DAY_MS - _CHINA_MS + opens + int(jitter * spread_ms)
        raise AssertionError("office hours that never open")  # a window has at least one day of the week

    def _of(self, day: int) -> list[tuple[int, int]]:
        """Openings and closings of a day, counted from 1970, in milliseconds after its midnight."""
        when = _EPOCH + timedelta(days=day)
        if when in self.closed:
            return []
        if not self.windows:
            return [(0, _DAY_MS)]
        weekday = _WEEKDAYS[when.weekday()]
        return [(each.opens_ms, each.closes_ms) for each in self.windows if weekday in each.days]


ALWAYS: Final = OfficeHours()


def _of_day_ms(moment: time) -> int:
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1000 + moment.microsecond // 1000
