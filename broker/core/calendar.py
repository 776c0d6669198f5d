"""Working days in China: statutory holidays off, make-up days (调休) on, and a place's own closures off.

Pure, and a table: a running count of working days for each day and the list of the working days, so that
any span costs two look-ups. The holidays are the State Council's yearly notices (全国年节及纪念日放假办法),
as the library ``chinesecalendar`` carries them; this is the only module that reads it.
Source: domain.md, "The clock"; issue 5, 4; ADR 0014.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from itertools import accumulate, compress
from typing import Final, cast

from chinese_calendar import constants  # type: ignore[import-untyped]  # it carries no types

_HOLIDAYS: Final = frozenset(cast("Mapping[date, str]", constants.holidays))
_MAKE_UP: Final = frozenset(cast("Mapping[date, str]", constants.workdays))

FIRST: Final = date(min(_HOLIDAYS).year, 1, 1)
LAST: Final = date(2050, 12, 31)
"""The days that a calendar knows: from the first notice that the library has to long after its last."""

PUBLISHED_UNTIL: Final = date(max(_HOLIDAYS).year, 12, 28)
"""The last day that no notice to come can change.

Next year's notice may still move the last three days of this one: it did for 2007, 2008, 2012 and 2019.
"""

_BEFORE: Final = FIRST.toordinal() - 1
_DAYS: Final = LAST.toordinal() - _BEFORE


class Calendar:
    """The working days of one place. Immutable; equal when the closures are. Made by :func:`calendar`.

    Every method raises ValueError, naming the range, for a day before :data:`FIRST` or after :data:`LAST`.
    """

    __slots__ = ("_count", "_working", "closures")

    closures: frozenset[date]
    published_until: Final = PUBLISHED_UNTIL

    def __init__(self, closures: frozenset[date], working: bytes) -> None:
        """``working``: a byte per day from :data:`FIRST` to :data:`LAST`, 1 for a working day."""
        self.closures = closures
        # _count[n]: the working days among the first n days; _working[k]: the number n of the k-th working day.
        self._count = array("H", accumulate(working, initial=0))
        self._working = array("H", compress(range(1, _DAYS + 1), working))

    def is_working(self, day: date) -> bool:
        """Whether halls work on this day."""
        number = _number(day)
        return self._count[number] != self._count[number - 1]

    def add(self, day: date, days: int) -> date:
        """The ``days``-th working day after ``day`` (which is not counted); 0: ``day`` itself.

        Negative: the working day so many before ``day``.
        """
        number = day.toordinal() - _BEFORE
        if not 0 < number <= _DAYS:
            raise _outside(day)
        if days == 0:
            return day
        nth = self._count[number] + days - 1 if days > 0 else self._count[number - 1] + days
        if not 0 <= nth < len(self._working):
            raise ValueError(f"{days} working days from {day} lead out of {FIRST} to {LAST}")
        return date.fromordinal(_BEFORE + self._working[nth])

    def between(self, after: date, until: date) -> int:
        """How many working days lie in (``after``, ``until``]; as a negative number when ``until`` is earlier."""
        first = after.toordinal() - _BEFORE
        last = until.toordinal() - _BEFORE
        if not 0 < first <= _DAYS:
            raise _outside(after)
        if not 0 < last <= _DAYS:
            raise _outside(until)
        return self._count[last] - self._count[first]

    def published(self, day: date) -> bool:
        """Whether the holidays around ``day`` are known for good. If not, Monday to Friday are assumed to work:
        what depends on such a day is provisional, and whoever shows it says so.
        """
        _number(day)
        return day <= PUBLISHED_UNTIL

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calendar) and self.closures == other.closures

    def __hash__(self) -> int:
        return hash(self.closures)

    def __repr__(self) -> str:
        return f"Calendar(closures={sorted(map(str, self.closures))})"


def calendar(closures: Iterable[date] = ()) -> Calendar:
    """The calendar of a place with these local closures, made once for the same ones (1 ms, 60 KB).

    A closure on a day that is no working day, or outside of the range, changes nothing.
    """
    return _calendar(frozenset(closures))


@lru_cache(maxsize=512)  # places close on few days of their own, most on none
def _calendar(closures: frozenset[date]) -> Calendar:
    working = bytearray(_STATUTORY)
    for day in closures:
        if FIRST <= day <= LAST:
            working[day.toordinal() - _BEFORE - 1] = 0
    return Calendar(closures, bytes(working))


def _statutory() -> bytes:
    days = map(date.fromordinal, range(_BEFORE + 1, _BEFORE + _DAYS + 1))
    return bytes(day in _MAKE_UP or (day.weekday() < 5 and day not in _HOLIDAYS) for day in days)


def _number(day: date) -> int:
    """1 for :data:`FIRST`."""
    number = day.toordinal() - _BEFORE
    if not 0 < number <= _DAYS:
        raise _outside(day)
    return number


def _outside(day: date) -> ValueError:
    return ValueError(f"{day}: working days are known from {FIRST} to {LAST}")


_STATUTORY: Final = _statutory()
STATUTORY: Final = calendar()
"""The statutory days alone, without any closure."""
