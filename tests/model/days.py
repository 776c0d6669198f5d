"""Working days by hand: one day after the other, from the notice for 2026 as the domain's facts have it.

Nothing here is the product's: no table, no library. Years that nobody has announced count Monday to Friday.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Final

CHINA: Final = timezone(timedelta(hours=8))
DAY: Final = timedelta(days=1)
KNOWN_FROM: Final = date(2004, 1, 1)
KNOWN_TO: Final = date(2050, 12, 31)


def _days(*spans: tuple[int, int, int]) -> frozenset[date]:
    return frozenset(date(2026, month, day) for month, first, last in spans for day in range(first, last + 1))


OFF: Final = _days((1, 1, 3), (2, 15, 23), (4, 4, 6), (5, 1, 5), (6, 19, 21), (9, 25, 27), (10, 1, 7))
MADE_UP: Final = _days((1, 4, 4), (2, 14, 14), (2, 28, 28), (5, 9, 9), (9, 20, 20), (10, 10, 10))
NONE: Final[frozenset[date]] = frozenset()


def day_of(at: datetime) -> date:
    """The day in China."""
    return at.astimezone(CHINA).date()


def midnight(day: date) -> datetime:
    """The instant at which the day begins in China."""
    return datetime(day.year, day.month, day.day, tzinfo=CHINA)


def works(day: date, closed: Collection[date] = NONE) -> bool:
    """Whether the hall is open on that day."""
    if day in closed:
        return False
    if day in MADE_UP:
        return True
    return day not in OFF and day.weekday() < 5


def after(day: date, days: int, closed: Collection[date] = NONE) -> date:
    """So many working days later; the day itself is not counted."""
    while days > 0:
        day += DAY
        if works(day, closed):
            days -= 1
    return day


def begins_with(due_on: date, left: int, closed: Collection[date] = NONE) -> date:
    """The working day from which on only so many more follow until ``due_on``."""
    day = due_on
    while not works(day, closed):
        day -= DAY
    while left > 0:
        day -= DAY
        if works(day, closed):
            left -= 1
    return day


@dataclass
class Promise:
    """A promise that runs. ``pauses`` have ended, from an instant to an instant; ``paused_at`` is under way."""

    started_at: datetime
    started_on: date
    days: int
    minutes: float | None
    closed: Collection[date]
    extended: int = 0
    turn: int = 0
    paused_at: datetime | None = None
    pauses: list[tuple[datetime, datetime]] = field(default_factory=list)

    def pause(self, at: datetime) -> None:
        self.paused_at = at
        self.turn += 1

    def resume(self, at: datetime) -> None:
        """The pause counts unless the promise had run out when it began."""
        if self.paused_at is not None and not self._was_late(self.paused_at):
            self.pauses.append((self.paused_at, at))
        self.paused_at = None
        self.turn += 1

    def extend(self, days: int) -> None:
        """Approval is given in days: what was in minutes is for the day from then on."""
        if self.minutes is not None:
            self.minutes, self.days = None, 0
        self.extended += days
        self.turn += 1

    def due_on(self, now: datetime) -> date:
        """The last day; of a promise that stands still, as if it went on at ``now``."""
        if self.minutes is not None:
            return day_of(self.due_at(now))
        pauses = list(self.pauses)
        if self.paused_at is not None and not self._was_late(self.paused_at):
            pauses.append((self.paused_at, now))
        return self._walk(pauses)

    def due_at(self, now: datetime) -> datetime:
        """The instant at which it has run out."""
        if self.minutes is None:
            return midnight(self.due_on(now) + DAY)
        pauses = list(self.pauses)
        if self.paused_at is not None and not self._was_late(self.paused_at):
            pauses.append((self.paused_at, now))
        return self._minute(pauses)

    def left(self, now: datetime) -> int:
        """Working days after today until the last one; when late, those begun since, as a negative number."""
        due, today, count = self.due_on(now), day_of(now), 0
        if today <= due:
            while today < due:
                today += DAY
                count += works(today, self.closed)
            return count
        while due < today:
            due += DAY
            count -= works(due, self.closed)
        return min(count, -1)

    def _was_late(self, at: datetime) -> bool:
        if self.minutes is not None:
            return at >= self._minute(self.pauses)
        return day_of(at) > self._walk(self.pauses)

    def _minute(self, pauses: list[tuple[datetime, datetime]]) -> datetime:
        end = self.started_at + timedelta(minutes=self.minutes or 0)
        for since, until in pauses:
            end += until - since
        return end

    def _walk(self, pauses: list[tuple[datetime, datetime]]) -> date:
        day, left = self.started_on, self.days + self.extended
        if self.days == 0:  # for the same day: it counts itself
            day, left = day - DAY, left + 1
        while left > 0:
            day += DAY
            stood = any(day_of(since) <= day < day_of(until) for since, until in pauses)
            if works(day, self.closed) and not stood:
                left -= 1
        return day
