"""A card that is issued: what it does to its case. Judged in log order, so that each is issued exactly once.

Pure, and without a calendar: the same record on the same case is always the same card.
Source: issue 5, 5; 行政许可法 (2019) 32 (who does not accept in time has accepted since the day of receipt).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from broker.core.case import effects
from broker.core.case.case_state import CaseState, Status, evolve
from broker.core.case.terms import Terms
from broker.core.clocks.deadlines import Kind, Light, key_of, stands
from broker.core.clocks.limits import day_of, is_joined, received_at

NOTICE_DEADLINE: Final = "notice.deadline"


def issue(
    state: CaseState, kind: Kind, step: str, light: Light, turn: int, *, now: datetime, terms: Terms
) -> CaseState | None:
    """The case after this card; None: the card is void, what it warns of has been settled or set anew meanwhile.

    The state itself, unchanged: the card was issued before, and this is the other side's copy. ``now`` is the
    ledger's time of the record, ``terms`` those of the case. A red card for acceptance makes the case count as
    accepted since the day of receipt: its clock starts there, and with it the first step.
    """
    if not stands(state, kind, step, light, turn):
        return None
    key = key_of(kind, step, light, turn)
    if key in state.cards:
        return state
    changes: dict[str, object] = {"cards": (*state.cards, key), "updated_at": now}
    if kind is Kind.ACCEPTANCE and light is Light.RED:
        since = received_at(state)
        changes |= {"deemed": True, **effects.started(since, day_of(since), {}, terms)}
        if "step" in changes:
            changes["step_since"] = now  # nobody could have begun it before
    return evolve(state, changes)


def whole_deemed(whole: CaseState, part: CaseState, *, now: datetime, terms: Terms) -> CaseState | None:
    """The whole of a part that counts as accepted since its receipt; None: it stays as it is.

    Where the broker answers for the parts, the first part accepted is the acceptance of the whole: it then counts as
    accepted since the same moment. ``now`` and ``terms`` (those of the whole) as in :func:`issue`.
    """
    waits = whole.clock is None and whole.status is Status.SUBMITTED
    if part.clock is None or not waits or not is_joined(whole):
        return None
    running = effects.started(part.clock.started_at, part.clock.started_on, {}, terms)
    return evolve(whole, {"deemed": True, "updated_at": now, **running})
