"""Figures for outside evaluation (第三方评估): volumes, times, on-time rate, ratings, by pair, item and month.

Counts of cases as the view holds them: nothing here names a case or a person. A row is of one month, days being
days in China; each number is of the month in which what it counts happened, so that figures of a month that
is over do not change when its cases go on. Source: issue 5, 11; domain.md, "好差评", "The clock".
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from broker.core import clock
from broker.core.calendar import Calendar
from broker.core.case.case_state import CaseState, Rating, Status
from broker.core.evaluation import suppression
from broker.core.evaluation.figure_columns import COUNTED
from broker.core.evaluation.suppression import Pair
from broker.core.times import china_day

SMALL: Final = 10
"""Rows of fewer cases are hidden, and quantiles over fewer cases left blank."""

_COMPLAINTS: Final = frozenset({Status.FILED, Status.ANSWERED})
_AT: Final = {name: index for index, name in enumerate(COUNTED)}


class Level(StrEnum):
    """What a row is of: a pair of partners and an item, or the total of a responsible partner or of an item."""

    PAIR = "pair"
    PARTNER = "partner"
    ITEM = "item"


class Card(NamedTuple):
    """A yellow or red card of a case, and when it fell due."""

    falls_at: datetime
    red: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row. Of a total, what it adds up is None. ``values`` by column name; None: the row is hidden."""

    month: str
    level: Level
    responsible: str | None
    opening: str | None
    item: str | None
    values: Mapping[str, int | float | None] | None


class _Group:
    """The numbers of one pair, item and month, and the times of its decisions."""

    __slots__ = ("counts", "days", "seconds")

    def __init__(self) -> None:
        self.counts = array("q", bytes(8 * len(COUNTED)))
        self.seconds = array("q")
        self.days = array("i")

    def add(self, name: str, count: int = 1) -> None:
        self.counts[_AT[name]] += count


class Figures:
    """Counts cases one by one; memory grows with groups and decisions (12 bytes each), not with cases."""

    def __init__(self, months: Collection[str]) -> None:
        """``months``: those that are told, YYYY-MM."""
        self._months = frozenset(months)
        self._groups: dict[str, dict[Pair, _Group]] = {month: {} for month in sorted(self._months)}

    def add(
        self, state: CaseState, calendar: Calendar, cards: Iterable[Card] = (), *, complaint_days: int = 15
    ) -> None:
        """Count one case with its cards. ``calendar`` is that of the place that is responsible for it."""
        counting = _Counting(self._groups, state)
        if state.status in _COMPLAINTS:
            _complaint(counting, state, calendar, complaint_days)
        else:
            _case(counting, state, calendar)
        for card in cards:
            counting.at(card.falls_at, "red_cards" if card.red else "yellow_cards")
        for group in counting.touched.values():
            group.add("cases")

    def rows(self, small: int = SMALL) -> Iterator[Row]:
        """The rows: by month, pairs before totals, by responsible and opening partner and item."""
        for month, groups in self._groups.items():
            yield from _rows(month, groups, small)


class _Counting:
    """One case being counted: into the group of each month in which something happened to it."""

    __slots__ = ("_groups", "_pair", "touched")

    def __init__(self, groups: Mapping[str, dict[Pair, _Group]], state: CaseState) -> None:
        self._groups = groups
        self._pair: Pair = (state.responsible, state.opening, state.item)
        self.touched: dict[str, _Group] = {}

    def at(self, moment: datetime, name: str) -> _Group | None:
        """Count it in the month of ``moment``; the group, or None for a month that is not told."""
        month = month_of(moment)
        groups = self._groups.get(month)
        if groups is None:
            return None
        group = self.touched.get(month)
        if group is None:
            group = self.touched[month] = groups.setdefault(self._pair, _Group())
        group.add(name)
        return group


def _case(counting: _Counting, state: CaseState, calendar: Calendar) -> None:
    counting.at(state.opened_at, "opened")
    accepted = accepted_at(state)
    if accepted is not None:
        counting.at(accepted, "accepted")
    if state.decided_at is not None:
        group = counting.at(state.decided_at, "decided")
        if group is not None:
            _decision(group, state, state.decided_at, calendar)
    if state.ended_at is not None:
        match state.status:
            case Status.REFUSED:
                counting.at(state.ended_at, "refused")
            case Status.WITHDRAWN:
                counting.at(state.ended_at, "withdrawn")
            case Status.DELIVERED:
                counting.at(state.ended_at, "delivered")
    if state.score is not None and state.rated_at is not None:
        group = counting.at(state.rated_at, "rated")
        if group is not None:
            group.add(f"rated_{state.score}")
            group.add("corrected", state.rating is Rating.RECTIFIED)


def _decision(group: _Group, state: CaseState, decided_at: datetime, calendar: Calendar) -> None:
    if state.granted is not None:
        group.add("granted" if state.granted else "denied")
    group.add("supplements", state.supplements > 0)
    running = state.clock
    if running is None:
        return
    group.seconds.append(max(0, int((decided_at - running.started_at).total_seconds())))
    used = calendar.between(running.started_on, china_day(decided_at)) - running.paused_days
    group.days.append(max(0, used))
    group.add("on_time" if decided_at < clock.due_at(running, calendar) else "late")
    group.add("extended", running.extended > 0)
    group.add("paused", running.paused_days > 0 or running.paused_s > 0)


def _complaint(counting: _Counting, state: CaseState, calendar: Calendar, days: int) -> None:
    counting.at(state.opened_at, "complaints")
    if state.ended_at is None:
        return
    group = counting.at(state.ended_at, "complaints_answered")
    if group is not None:
        due_on = state.answer_by or calendar.add(china_day(state.opened_at), days)
        group.add("complaints_on_time", china_day(state.ended_at) <= due_on)


def accepted_at(state: CaseState) -> datetime | None:
    """When the case was accepted, or counts as accepted (行政许可法 32); None: it was not."""
    return state.clock.started_at if state.clock is not None else state.accepted_at


def nearest_rank(values: Sequence[int], percent: int) -> int:
    """The exact quantile by nearest rank: the smallest value that ``percent`` % of ``values`` do not exceed.

    ``values`` in rising order. Raises ValueError for none of them.
    """
    if not values:
        raise ValueError("no values have no quantile")
    return values[max(0, -(-percent * len(values) // 100) - 1)]


def _rows(month: str, groups: Mapping[Pair, _Group], small: int) -> Iterator[Row]:
    cases = {pair: group.counts[_AT["cases"]] for pair, group in groups.items()}
    away = suppression.hidden(cases, small)
    partners: dict[str, list[_Group]] = {}
    items: dict[str, list[_Group]] = {}
    for pair in sorted(groups):
        responsible, opening, item = pair
        partners.setdefault(responsible, []).append(groups[pair])
        items.setdefault(item, []).append(groups[pair])
        shown = None if pair in away.pairs else _values([groups[pair]], small)
        yield Row(
            month=month, level=Level.PAIR, responsible=responsible, opening=opening, item=item, values=shown
        )
    for responsible in sorted(partners):
        shown = None if responsible in away.partners else _values(partners[responsible], small)
        yield Row(
            month=month, level=Level.PARTNER, responsible=responsible, opening=None, item=None, values=shown
        )
    for item in sorted(items):
        shown = None if item in away.items else _values(items[item], small)
        yield Row(month=month, level=Level.ITEM, responsible=None, opening=None, item=item, values=shown)


def _values(groups: Sequence[_Group], small: int) -> dict[str, int | float | None]:
    sums = {name: sum(group.counts[index] for group in groups) for name, index in _AT.items()}
    values: dict[str, int | float | None] = {**sums}
    for name, each in (
        ("seconds", [group.seconds for group in groups]),
        ("working_days", [group.days for group in groups]),
    ):
        ordered = sorted(value for of in each for value in of)
        told = len(ordered) >= max(1, small)
        values[f"{name}_median"] = nearest_rank(ordered, 50) if told else None
        values[f"{name}_p95"] = nearest_rank(ordered, 95) if told else None
    values["on_time_rate"] = _share(sums["on_time"], sums["on_time"] + sums["late"])
    scores = sum(level * sums[f"rated_{level}"] for level in range(1, 6))
    values["rating_mean"] = _share(scores, sums["rated"])
    return values


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def month_of(moment: datetime) -> str:
    """The month in China of a moment, YYYY-MM."""
    return _month(china_day(moment))


@lru_cache(maxsize=4096)  # moments come on few days
def _month(day: date) -> str:
    return f"{day.year:04}-{day.month:02}"
