"""The clock of a promise (承诺时限): working days, or minutes for what is decided at once (秒批).

Pure functions on a frozen :class:`Clock`. Days are days in China. The day of acceptance is not counted; days
spent in 补正 and in special procedures (听证, 检验, 鉴定 ...) are not either: a pause on day P that ends on
day R takes the working days of [P, R) out of the count, so P counts as paused and R as running again.
A pause that begins after the promise has run out takes out nothing: what is late stays late.
Source: 行政许可法第四十二条至第四十五条; domain.md, "The clock"; issue 5, 4; ADR 0014.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from broker.core.calendar import Calendar
from broker.core.quick import quick
from broker.core.times import SHANGHAI, china_day

_DAY: Final = timedelta(days=1)
_UNTIL_MIDNIGHT: Final = _DAY - SHANGHAI.utcoffset(None)
_MOST: Final = 1e9
_MUST: Final = frozenset({"started_at", "started_on", "days"})
_FACTS: Final = _MUST | {"minutes", "extended", "paused_at", "paused_days", "paused_s", "turn"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """A promise that runs from ``started_on``. Made by :func:`start`; times are in UTC.

    ``days``: promised working days, 0 for the same day. ``minutes``: instead of days (which then is 0), time
    counts from ``started_at``. ``extended``: working days added with approval. ``paused_days``: working days
    taken out by the pauses that have ended, ``paused_s`` the same in seconds, for a clock of minutes.
    ``turn``: how often the clock was changed since its start; a card of an earlier turn is void.
    """

    started_at: datetime
    started_on: date
    days: int
    minutes: float | None
    extended: int = 0
    paused_at: datetime | None = None
    paused_days: int = 0
    paused_s: float = 0.0
    turn: int = 0


_clock: Final = quick(Clock)


def start(at: datetime, on: date, *, days: int, minutes: float | None) -> Clock:
    """A clock that started at ``at``, on the day ``on``: that of acceptance, or of receipt when deemed accepted.

    ``on`` may be any day, also one on which nobody works: the first day counted is the next working day.
    ``minutes`` hold where both are promised. Raises ValueError for a time without a zone, negative days, and
    minutes that are not positive: what partners state must be checked before.
    """
    if days < 0 or (minutes is not None and minutes <= 0):
        raise ValueError("expected working days from 0 on, or a positive number of minutes")
    return _clock(started_at=_utc(at), started_on=on, days=days if minutes is None else 0, minutes=minutes)


def pause(clock: Clock, at: datetime) -> Clock:
    """The clock stands still from the day of ``at`` on. One that is paused stays as it is."""
    if clock.paused_at is not None:
        return clock
    return _clock(
        started_at=clock.started_at,
        started_on=clock.started_on,
        days=clock.days,
        minutes=clock.minutes,
        extended=clock.extended,
        paused_at=_utc(at),
        paused_days=clock.paused_days,
        paused_s=clock.paused_s,
        turn=clock.turn + 1,
    )


def resume(clock: Clock, at: datetime, calendar: Calendar) -> Clock:
    """The clock runs again from the day of ``at`` on. One that is running stays as it is."""
    if clock.paused_at is None:
        return clock
    days, seconds = _pause_so_far(clock, calendar, _utc(at))
    return _clock(
        started_at=clock.started_at,
        started_on=clock.started_on,
        days=clock.days,
        minutes=clock.minutes,
        extended=clock.extended,
        paused_days=clock.paused_days + days,
        paused_s=clock.paused_s + seconds,
        turn=clock.turn + 1,
    )


def extend(clock: Clock, days: int) -> Clock:
    """So many working days more, with approval; paused or not. Raises ValueError for less than one.

    Approval is given in days: a clock of minutes becomes one of the same day, extended by ``days``.
    """
    if days < 1:
        raise ValueError("expected at least one working day more")
    return _clock(
        started_at=clock.started_at,
        started_on=clock.started_on,
        days=clock.days,
        minutes=None,
        extended=clock.extended + days,
        paused_at=clock.paused_at,
        paused_days=clock.paused_days,
        turn=clock.turn + 1,
    )


def due_on(clock: Clock, calendar: Calendar, now: datetime | None = None) -> date:
    """The last day on which the promise is kept; see :func:`due_at`. It is provisional if the calendar is not
    published for it.
    """
    if clock.minutes is not None:
        return china_day(due_at(clock, calendar, now))
    paused_days = clock.paused_days
    if now is not None and clock.paused_at is not None:
        paused_days += _pause_so_far(clock, calendar, _utc(now))[0]
    return _due_on(clock, calendar, paused_days)


def due_at(clock: Clock, calendar: Calendar, now: datetime | None = None) -> datetime:
    """When the promise has run out, in UTC: the end of the last day in China (the midnight after it), or the
    minute. Whatever happens before that moment is on time.

    While the clock is paused: as if it ran again from ``now`` on; without ``now`` as if it had not been paused.
    """
    if clock.minutes is None:
        return _end_of(due_on(clock, calendar, now))
    paused_s = clock.paused_s
    if now is not None and clock.paused_at is not None:
        paused_s += _pause_so_far(clock, calendar, _utc(now))[1]
    return _due_minute(clock, clock.minutes, paused_s)


def remaining(clock: Clock, calendar: Calendar, at: datetime) -> float:
    """What is left at ``at``: working days after today (0: today is the last one), or minutes.

    When late, days are negative: those begun since the last one, at least one; minutes are 0 or negative.
    While the clock is paused in time, this is the same on every working day.
    """
    if clock.minutes is not None:
        return (due_at(clock, calendar, at) - at).total_seconds() / 60
    due, today = due_on(clock, calendar, at), china_day(_utc(at))
    left = calendar.between(today, due)
    return left if today <= due else min(left, -1)


def to_facts(clock: Clock) -> dict[str, object]:
    """The clock for the state of its case: what is as at the start is left out. Moments and days are left to whoever
    writes the JSON."""
    facts: dict[str, object] = {
        "started_at": clock.started_at,
        "started_on": clock.started_on,
        "days": clock.days,
    }
    if clock.minutes is not None:
        facts["minutes"] = clock.minutes
    if clock.extended:
        facts["extended"] = clock.extended
    if clock.paused_at is not None:
        facts["paused_at"] = clock.paused_at
    if clock.paused_days:
        facts["paused_days"] = clock.paused_days
    if clock.paused_s:
        facts["paused_s"] = clock.paused_s
    if clock.turn:
        facts["turn"] = clock.turn
    return facts


def from_facts(facts: object) -> Clock:
    """The inverse of :func:`to_facts`. Raises ValueError for anything that it does not make."""
    if not isinstance(facts, Mapping) or not _MUST <= facts.keys() <= _FACTS:
        raise ValueError("not a clock: its facts are not those of this release")
    paused_at = facts.get("paused_at")
    minutes = facts.get("minutes")
    clock = _clock(
        started_at=_moment(facts["started_at"]),
        started_on=date.fromisoformat(_string(facts["started_on"])),
        days=_whole(facts["days"]),
        minutes=None if minutes is None else _number(minutes),
        extended=_whole(facts.get("extended", 0)),
        paused_at=None if paused_at is None else _moment(paused_at),
        paused_days=_whole(facts.get("paused_days", 0)),
        paused_s=_number(facts.get("paused_s", 0.0)),
        turn=_whole(facts.get("turn", 0)),
    )
    if clock.minutes is not None and (clock.days or clock.extended or not clock.minutes):
        raise ValueError("not a clock: minutes beside days")
    return clock


def _due_on(clock: Clock, calendar: Calendar, paused_days: int) -> date:
    # The same day is the first working day after the day before: today, if anybody works today.
    if clock.days == 0:
        return calendar.add(clock.started_on - _DAY, 1 + clock.extended + paused_days)
    return calendar.add(clock.started_on, clock.days + clock.extended + paused_days)


def _due_minute(clock: Clock, minutes: float, paused_s: float) -> datetime:
    return clock.started_at + timedelta(minutes=minutes, seconds=paused_s)


def _pause_so_far(clock: Clock, calendar: Calendar, until: datetime) -> tuple[int, float]:
    """Working days and seconds that the pause under way has taken out of the count when it ends at ``until``."""
    paused_at = clock.paused_at
    if paused_at is None or until <= paused_at:
        return 0, 0.0
    paused_on = china_day(paused_at)
    if clock.minutes is not None:
        if paused_at >= _due_minute(clock, clock.minutes, clock.paused_s):
            return 0, 0.0
        seconds = (until - paused_at).total_seconds()
    elif paused_on > _due_on(clock, calendar, clock.paused_days):
        return 0, 0.0  # late stays late
    else:
        seconds = 0.0
    # The day of acceptance is not counted, so a pause cannot take it out; unless the promise is for that day.
    not_counted = clock.started_on if clock.days else clock.started_on - _DAY
    after, last = max(paused_on - _DAY, not_counted), china_day(until) - _DAY
    return calendar.between(after, last) if after < last else 0, seconds


def _utc(at: datetime) -> datetime:
    if at.tzinfo is UTC:
        return at
    if at.tzinfo is None:
        raise ValueError("a datetime without a time zone")
    return at.astimezone(UTC)


def _end_of(day: date) -> datetime:
    """The midnight after a day in China, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + _UNTIL_MIDNIGHT


def _moment(text: object) -> datetime:
    return _utc(datetime.fromisoformat(_string(text)))


def _string(fact: object) -> str:
    if not isinstance(fact, str):
        raise ValueError("not a clock: expected a text")
    return fact


def _whole(fact: object) -> int:
    if type(fact) is not int or fact < 0:  # True is an int too
        raise ValueError("not a clock: expected a whole number from 0 on")
    return fact


def _number(fact: object) -> float:
    if isinstance(fact, bool) or not isinstance(fact, int | float) or not 0 <= fact <= _MOST:
        raise ValueError("not a clock: expected a number from 0 on")
    return float(fact)
