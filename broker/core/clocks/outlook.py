"""How a case stands against its time limits at an instant: due date, what is left, what falls next.

Source: issue 5, 4; 行政许可法 (2019) 42, 45.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from broker.core import clock
from broker.core.case.case_state import CaseState
from broker.core.case.terms import Terms
from broker.core.clocks.deadlines import Deadline, next_deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """``left`` are working days, or minutes where the promise is in minutes; negative: late by as many.

    ``due_on`` is a day of Asia/Shanghai, ``due_at`` the instant from which the case is late. Both are as if a
    pause under way ended now. ``provisional``: that year's holidays are not published yet. ``late``: by the
    decision, by the end of a case that has none, or by now. ``next``: the deadline that falls next and has no card yet.
    """

    due_on: date
    due_at: datetime
    left: float
    in_minutes: bool
    paused: bool
    provisional: bool
    late: bool
    next: Deadline | None

    def to_facts(self) -> dict[str, object]:
        """For people and partners: days as ISO text."""
        facts: dict[str, object] = {
            "due_on": self.due_on.isoformat(),
            "due_at": self.due_at.isoformat(),
            "left": self.left,
            "unit": "minutes" if self.in_minutes else "working-days",
            "paused": self.paused,
            "late": self.late,
        }
        if self.provisional:
            facts["provisional"] = True
        if self.next is not None:
            facts["next"] = card_facts(self.next)
        return facts


def card_facts(card: Deadline) -> dict[str, object]:
    """A card to come, for people and partners: which limit, when it falls, the limit's last day, at whose side."""
    facts: dict[str, object] = {
        "kind": card.kind.value,
        "light": card.light.value,
        "at": card.falls_at.isoformat(),
        "due_on": card.due_on.isoformat(),
        "late": card.late,
    }
    if card.step:
        facts["step"] = card.step
    return facts


def outlook(state: CaseState, terms: Terms, now: datetime) -> Outlook | None:
    """How the case stands at ``now`` (aware). None: its clock has not started."""
    running, calendar = state.clock, terms.calendar
    if running is None:
        return None
    until = state.decided_at or state.ended_at or now
    due_on = clock.due_on(running, calendar, until)
    due_at = clock.due_at(running, calendar, until)
    return Outlook(
        due_on=due_on,
        due_at=due_at,
        left=clock.remaining(running, calendar, until),
        in_minutes=running.minutes is not None,
        paused=running.paused_at is not None,
        provisional=not calendar.published(due_on),
        late=until >= due_at,
        next=next_deadline(state, terms.item, calendar),
    )
