"""Moments as the ledger, the store and partners write them.

Source: RFC 3339; Kafka's timestamps (milliseconds since 1970).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Days are days in China (no daylight saving since 1991): agreements' terms, deadlines."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SECONDS = tuple(f":{second:02}" for second in range(60))
_MILLISECONDS = tuple(f".{fraction:03}Z" for fraction in range(1000))


def rfc3339(moment: datetime) -> str:
    """UTC with milliseconds and ``Z``; naive datetimes are refused."""
    if moment.tzinfo is not UTC:
        if moment.tzinfo is None:
            raise ValueError("a datetime without a time zone")
        moment = moment.astimezone(UTC)
    minute = _minute(moment.year, moment.month, moment.day, moment.hour, moment.minute)
    return f"{minute}{_SECONDS[moment.second]}{_MILLISECONDS[moment.microsecond // 1000]}"


@lru_cache(maxsize=4096)  # moments come close together: their second and its fraction is all that is new
def _minute(year: int, month: int, day: int, hour: int, minute: int) -> str:
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}"


def parse_time(text: str) -> datetime:
    """RFC 3339 with an offset. Raises ValueError, also for a time without one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment


@lru_cache(maxsize=1024)  # what is written to the log together bears one time
def from_epoch_ms(epoch_ms: int) -> datetime:
    """Kafka's milliseconds as an aware datetime, exactly (no float in between)."""
    return _EPOCH + epoch_ms * _MILLISECOND


def epoch_ms(moment: datetime) -> int:
    """A moment as Kafka and the store keep it: milliseconds since 1970, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


_CHINA: Final = timedelta(hours=8)


def china_day(at: datetime) -> date:
    """The day in Asia/Shanghai of an aware time: one zone, eight hours ahead, a third of what astimezone() costs."""
    return ((at if at.tzinfo is UTC else at.astimezone(UTC)) + _CHINA).date()
