"""What falls due on a case, when, and who is late then: yellow before a limit ends, red the instant after.

Pure: the case's state, the item's limits and the calendar say it all; no time is read here. Whether a card may
still be issued (:func:`stands`) takes no calendar, so that judging in log order is the same under every edition
of the holiday table. While a case is paused neither its decision nor its step can be late; when it goes on, the
decision has what was left and the step its whole limit, and their cards are of another turn. A turn never comes
back: a card that was void once is void for ever, and nobody has to write it again.
Source: 行政许可法 (2019) 32, 42, 44, 45; issue 5, 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from broker.core.calendar import Calendar
from broker.core.case.case_state import CaseState
from broker.core.catalogue.items import Item
from broker.core.clocks.limits import RULES, Kind, Light, Limit, day_of, limits
from broker.core.ids import PartnerId
from broker.core.quick import quick

__all__ = [
    "Deadline",
    "Kind",
    "Light",
    "deadlines",
    "is_open",
    "key_of",
    "next_deadline",
    "next_falls_at",
    "stands",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """One card to come. ``falls_at`` (UTC) is when it is issued, ``due_on`` the last day of the limit in China.

    ``step`` is the review step's code, empty for the other kinds. ``turn`` counts the settings of the limit (of a
    step: how often one was begun): a card of an earlier one is void. ``days_left`` are working days from the day of
    ``falls_at`` to ``due_on``, negative when late. ``provisional``: the holidays of the year of ``due_on`` are not
    published yet.
    """

    kind: Kind
    light: Light
    step: str
    turn: int
    falls_at: datetime
    due_on: date
    days_left: int
    late: PartnerId
    provisional: bool

    @property
    def key(self) -> str:
        """``<kind>:<step>/<light>/<turn>``: what :attr:`CaseState.cards` calls it."""
        return key_of(self.kind, self.step, self.light, self.turn)


def key_of(kind: Kind, step: str, light: Light, turn: int) -> str:
    """The name of a card within its case."""
    return f"{kind}:{step}/{light}/{turn}"


def deadlines(state: CaseState, item: Item | None, calendar: Calendar) -> tuple[Deadline, ...]:
    """Every card that this case is still to get if nothing more happens on it, by time, yellow before red.

    ``item`` None: the directory does not know it; what the item alone would limit then has no deadline. Nor has
    what ends beyond the days that the calendar knows (2004 to 2050).
    """
    found = [
        _card(limit, light, calendar)
        for limit in limits(state, item, calendar)
        for light in _LIGHTS
        if not _issued(state, limit, light)
    ]
    return tuple(sorted(found, key=_order))


def next_deadline(state: CaseState, item: Item | None, calendar: Calendar) -> Deadline | None:
    """The first of :func:`deadlines`, or None."""
    first = _first(state, item, calendar)
    return None if first is None else _card(*first, calendar)


def next_falls_at(state: CaseState, item: Item | None, calendar: Calendar) -> datetime | None:
    """When the first of :func:`deadlines` falls. It is asked for every message, so it makes no card."""
    first = _first(state, item, calendar)
    return None if first is None else first[0].falls_at(first[1])


def _first(state: CaseState, item: Item | None, calendar: Calendar) -> tuple[Limit, Light] | None:
    first: tuple[Limit, Light] | None = None
    falls_at = _NEVER
    for limit in limits(state, item, calendar):
        for light, at in ((_YELLOW, limit.yellow_at), (_RED, limit.red_at)):
            sooner = at < falls_at or (at == falls_at and light is _YELLOW and first and first[1] is _RED)
            if sooner and not _issued(state, limit, light):
                first, falls_at = (limit, light), at
    return first


def stands(state: CaseState, kind: Kind, step: str, light: Light, turn: int) -> bool:
    """Whether this card may be issued on the case as it is, or was issued before. No calendar has a say in it.

    Every one of :func:`deadlines` stands. Whether its time has come is not asked: who wrote it has looked.
    """
    if key_of(kind, step, light, turn) in state.cards:
        return True
    return is_open(state, kind, step, turn)


def is_open(state: CaseState, kind: Kind, step: str, turn: int) -> bool:
    """Whether this very limit still runs on the case: of this step, as it was set at this turn."""
    rule = RULES[kind]
    if not rule.runs(state) or turn != rule.turn(state):
        return False
    return step == (state.step if kind is Kind.STEP else "")


_LIGHTS: Final = tuple(Light)
# An enum's member, looked up by its class, costs 0.1 µs on Python 3.11: these are compared for every message.
_YELLOW: Final = Light.YELLOW
_RED: Final = Light.RED
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_deadline: Final = quick(Deadline)


def _issued(state: CaseState, limit: Limit, light: Light) -> bool:
    """Whether this very card was issued on the case. Most cases have none."""
    return bool(state.cards) and key_of(limit.kind, limit.step, light, limit.turn) in state.cards


def _card(limit: Limit, light: Light, calendar: Calendar) -> Deadline:
    falls_at = limit.falls_at(light)
    today = day_of(falls_at)
    left = calendar.between(today, limit.due_on)
    return _deadline(
        kind=limit.kind,
        light=light,
        step=limit.step,
        turn=limit.turn,
        falls_at=falls_at,
        due_on=limit.due_on,
        days_left=left if today <= limit.due_on else min(left, -1),
        late=limit.late,
        provisional=not calendar.published(limit.due_on),
    )


def _order(card: Deadline) -> tuple[datetime, bool, str]:
    return card.falls_at, card.light is Light.RED, card.kind
