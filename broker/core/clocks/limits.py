"""The limits that run on a case: one table of kinds, each with when it runs, which setting of it, until when.

Import :class:`Kind` and :class:`Light` from :mod:`broker.core.clocks.deadlines`. Source: 行政许可法 (2019) 32, 42, 44.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from broker.core import clock as clocks
from broker.core.calendar import Calendar
from broker.core.case.case_state import CaseState, Rating, Status
from broker.core.catalogue.items import Item
from broker.core.ids import PartnerId
from broker.core.times import SHANGHAI, china_day


class Kind(StrEnum):
    """Which limit: until 受理, 补正, 办结, of one 审批环节, until 出件, 整改, 投诉答复."""

    ACCEPTANCE = "acceptance"
    SUPPLEMENT = "supplement"
    DECISION = "decision"
    STEP = "step"
    ISSUE = "issue"
    RECTIFICATION = "rectification"
    COMPLAINT = "complaint"


class Light(StrEnum):
    """黄牌: about to be late; 红牌: late."""

    YELLOW = "yellow"
    RED = "red"


class Limit(NamedTuple):
    """A limit that runs on a case: its last day in China, and when its two cards fall (UTC)."""

    kind: Kind
    step: str
    turn: int
    late: PartnerId
    due_on: date
    yellow_at: datetime
    red_at: datetime

    def falls_at(self, light: Light) -> datetime:
        return self.red_at if light is _RED else self.yellow_at


Ends = Callable[[CaseState, Item | None, Calendar], Limit | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One kind. ``runs``: by all that the state alone says; ``turn``: which setting of the limit holds now;
    ``ends``: the limit, None where the item sets none."""

    runs: Callable[[CaseState], bool]
    turn: Callable[[CaseState], int]
    ends: Ends


def limits(state: CaseState, item: Item | None, calendar: Calendar) -> list[Limit]:
    """Every limit that runs on the case. One that leads out of the calendar (2004 to 2050) is none."""
    found: list[Limit] = []
    for kind in _BY_STATUS[state.status]:
        rule = RULES[kind]
        if not rule.runs(state):
            continue
        try:
            limit = rule.ends(state, item, calendar)
        except (ValueError, OverflowError):  # a day so far off that nobody knows its working days
            continue
        if limit is not None:
            found.append(limit)
    return found


def received_at(state: CaseState) -> datetime:
    """When the material came from which the days of acceptance count: with the supplement, if one was asked."""
    return state.supplemented_at or state.opened_at


def day_of(at: datetime) -> date:
    """The day in China."""
    return china_day(at)


def is_joined(state: CaseState) -> bool:
    """Whether the broker answers for the parts: their authorities owe acceptance, steps and results, not the lead."""
    return state.bundle is not None and state.bundle.answer == "broker"


_RED: Final = Light.RED
_TO_ACCEPT: Final = frozenset({Status.SUBMITTED, Status.SUPPLEMENTED})
_TO_DECIDE: Final = _TO_ACCEPT | {Status.ACCEPTED, Status.IN_REVIEW}
"""Also before 受理: a case that is deemed accepted has a clock."""
_TO_RECTIFY: Final = frozenset({Rating.POOR, Rating.APPEALED})
_DAY: Final = timedelta(days=1)
_YELLOW_DAYS: Final = 1
_YELLOW_SHARE: Final = 0.5
"""When a card is yellow where the directory knows no item: as an item's own defaults."""


def _awaits_acceptance(state: CaseState) -> bool:
    return state.clock is None and state.status in _TO_ACCEPT and not is_joined(state)


def _awaits_supplement(state: CaseState) -> bool:
    return state.status is Status.SUPPLEMENT_REQUESTED and state.supplement_by is not None


def _counts(state: CaseState) -> bool:
    return state.clock is not None and state.clock.paused_at is None and state.status in _TO_DECIDE


def _is_in_a_step(state: CaseState) -> bool:
    return state.step != "" and state.step_since is not None and _counts(state) and not is_joined(state)


def _awaits_result(state: CaseState) -> bool:
    decided = state.status is Status.DECIDED and bool(state.granted) and state.decided_at is not None
    return decided and not is_joined(state)


def _awaits_correction(state: CaseState) -> bool:
    return state.rating in _TO_RECTIFY and state.rectify_from is not None


def _awaits_answer(state: CaseState) -> bool:
    return state.status is Status.FILED and state.answer_by is not None


def _acceptance(state: CaseState, item: Item | None, calendar: Calendar) -> Limit | None:
    if item is None:
        return None
    since = received_at(state)
    return _until(
        state, Kind.ACCEPTANCE, since, calendar.add(day_of(since), item.accept_days), item, calendar
    )


def _supplement(state: CaseState, item: Item | None, calendar: Calendar) -> Limit | None:
    if state.supplement_by is None:
        return None
    since = state.supplement_asked_at or state.opened_at
    limit = _until(state, Kind.SUPPLEMENT, since, state.supplement_by, item, calendar)
    return limit._replace(late=state.opening)


def _decision(state: CaseState, item: Item | None, calendar: Calendar) -> Limit | None:
    clock = state.clock
    if clock is None:
        return None
    if clock.minutes is None:
        due_on = clocks.due_on(clock, calendar)
        return _until(state, Kind.DECISION, clock.started_at, due_on, item, calendar)
    until = clocks.due_at(clock, calendar)
    return _in_minutes(state, Kind.DECISION, clock.started_at, until, clock.minutes, item)


def _step(state: CaseState, item: Item | None, calendar: Calendar) -> Limit | None:
    """After a pause the step begins anew (``core/case/effects.py``): it has its whole limit again."""
    step, since = None if item is None else item.step(state.step), state.step_since
    if step is None or since is None:
        return None
    if step.minutes is not None:
        until = since + timedelta(minutes=step.minutes)
        return _in_minutes(state, Kind.STEP, since, until, step.minutes, item)
    if step.days is None:
        return None
    return _until(state, Kind.STEP, since, calendar.add(day_of(since), step.days), item, calendar)


def _issue(state: CaseState, item: Item | None, calendar: Calendar) -> Limit | None:
    since = state.decided_at
    if item is None or since is None:
        return None
    return _until(state, Kind.ISSUE, since, calendar.add(day_of(since), item.issue_days), item, calendar)


def _rectification(state: CaseState, item: Item | None, calendar: Calendar) -> Limit | None:
    day = state.rectify_from
    if item is None or day is None:
        return None
    since = state.rated_at or state.opened_at
    return _until(state, Kind.RECTIFICATION, since, calendar.add(day, item.rectify_days), item, calendar)


def _complaint(state: CaseState, item: Item | None, calendar: Calendar) -> Limit | None:
    if state.answer_by is None:
        return None
    return _until(state, Kind.COMPLAINT, state.opened_at, state.answer_by, item, calendar)


def _turn_of_clock(state: CaseState) -> int:
    return 0 if state.clock is None else state.clock.turn


def _turn_of_supplement(state: CaseState) -> int:
    return state.supplements


def _turn_of_step(state: CaseState) -> int:
    return state.step_turn


def _only_turn(state: CaseState) -> int:
    del state
    return 0


RULES: Final[Mapping[Kind, Rule]] = {
    Kind.ACCEPTANCE: Rule(runs=_awaits_acceptance, turn=_turn_of_supplement, ends=_acceptance),
    Kind.SUPPLEMENT: Rule(runs=_awaits_supplement, turn=_turn_of_supplement, ends=_supplement),
    Kind.DECISION: Rule(runs=_counts, turn=_turn_of_clock, ends=_decision),
    Kind.STEP: Rule(runs=_is_in_a_step, turn=_turn_of_step, ends=_step),
    Kind.ISSUE: Rule(runs=_awaits_result, turn=_only_turn, ends=_issue),
    Kind.RECTIFICATION: Rule(runs=_awaits_correction, turn=_only_turn, ends=_rectification),
    Kind.COMPLAINT: Rule(runs=_awaits_answer, turn=_only_turn, ends=_complaint),
}
"""Every kind of limit. A case's states say which can run (:data:`_BY_STATUS`), the rule whether it does."""

_REVIEW: Final = (Kind.ACCEPTANCE, Kind.DECISION, Kind.STEP)
_CORRECTION: Final = (Kind.RECTIFICATION,)
_BY_STATUS: Final[Mapping[Status, tuple[Kind, ...]]] = {
    **dict.fromkeys(Status, ()),
    Status.SUBMITTED: _REVIEW,
    Status.SUPPLEMENTED: _REVIEW,
    Status.SUPPLEMENT_REQUESTED: (Kind.SUPPLEMENT,),
    Status.ACCEPTED: _REVIEW,
    Status.IN_REVIEW: _REVIEW,
    Status.DECIDED: (Kind.ISSUE, *_CORRECTION),
    Status.ISSUED: _CORRECTION,
    Status.DELIVERED: _CORRECTION,
    Status.FILED: (Kind.COMPLAINT,),
}


def _until(
    state: CaseState, kind: Kind, since: datetime, due_on: date, item: Item | None, calendar: Calendar
) -> Limit:
    """Until the end of a day. A limit that begins with less than its yellow days left is yellow after a share of it:
    a promise for the same day is not late to be kept when it is made.
    """
    yellow_at, red_at = _lights(calendar, due_on, _YELLOW_DAYS if item is None else item.yellow_days)
    if yellow_at <= since < red_at:
        yellow_at = _whole_ms(
            since + (red_at - since) * (_YELLOW_SHARE if item is None else item.yellow_share)
        )
    return Limit(
        kind=kind,
        step=state.step if kind is Kind.STEP else "",
        turn=RULES[kind].turn(state),
        late=state.responsible,
        due_on=due_on,
        yellow_at=max(yellow_at, since),
        red_at=max(red_at, since),
    )


def _in_minutes(
    state: CaseState, kind: Kind, since: datetime, until: datetime, minutes: float, item: Item | None
) -> Limit:
    """Until a minute; of the ``minutes`` allowed, the card is yellow once a share has gone."""
    share = _YELLOW_SHARE if item is None else item.yellow_share
    return Limit(
        kind=kind,
        step=state.step if kind is Kind.STEP else "",
        turn=RULES[kind].turn(state),
        late=state.responsible,
        due_on=day_of(until),
        yellow_at=max(_whole_ms(until - timedelta(minutes=minutes * (1 - share))), since),
        red_at=_whole_ms(until),
    )


@lru_cache(maxsize=8192)  # calendars are few, and what is open is due within weeks
def _lights(calendar: Calendar, due_on: date, yellow_days: int) -> tuple[datetime, datetime]:
    """The beginning of the day on which only so many working days are left, and of the day after the last one."""
    after = due_on + _DAY
    return _midnight(calendar.add(after, -1 - yellow_days)), _midnight(after)


def _midnight(day: date) -> datetime:
    """The beginning of a day in China, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).astimezone(UTC)


def _whole_ms(at: datetime) -> datetime:
    """Not later than ``at``: the store and the ledger hold milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
