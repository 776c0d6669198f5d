"""What an allowed message makes of its case beyond the table's states: clock, step, fee, rating, numbers.

One function per message type, each giving the fields that change. ``now`` is the ledger's time of the record;
the days that partners state (``accepted_on``) are theirs, and never later than the ledger's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, cast

from broker.core import clock
from broker.core.case.case_state import CaseState, Rating
from broker.core.case.guards import Facts
from broker.core.case.terms import Terms
from broker.core.ids import CaseId
from broker.core.message import Message
from broker.core.quick import quick
from broker.core.times import china_day

Changes = dict[str, object]

MOST_DAYS: Final = 1000
"""Working days of the longest promise that a schema or an item of the directory can state."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message on one case: what effects are given. ``now``: the ledger's time of its record."""

    state: CaseState
    message: Message
    facts: Facts
    terms: Terms
    now: datetime


make_said: Final = quick(Said)
Effect = Callable[[Said], Changes]


def opened(message: Message, facts: Facts, terms: Terms, now: datetime) -> Changes:
    """What the message that opens a case says of it."""
    changes: Changes = {}
    if facts.get("item_class"):
        changes["item_class"] = facts["item_class"]
    if facts.get("agent"):
        acting = cast("Mapping[str, object] | None", facts.get("acting"))
        changes["agent"] = str(acting["authority"]) if acting else "unstated"
    if message.type == "complaint.filed":
        about = facts.get("about_case")
        if about is not None:
            changes["about"] = CaseId(cast("str", about))
        day = china_day(now)
        changes["answer_by"] = facts.get("answer_by") or terms.calendar.add(day, terms.complaint_days)
    return changes


def started(at: datetime, on: date, facts: Facts, terms: Terms) -> Changes:
    """The clock starts: the narrower of what was promised for the item and what the acceptance promises."""
    days = terms.promised_days
    stated = facts.get("promised_days")
    if isinstance(stated, int) and stated >= 0 and (days is None or stated < days):
        days = stated
    steps = terms.item.steps if terms.item is not None else ()
    days = 0 if days is None else min(MOST_DAYS, days)
    changes: Changes = {"clock": clock.start(at, on, days=days, minutes=terms.minutes)}
    if steps:
        changes["step"], changes["step_since"] = steps[0].code, at
    return changes


def _supplement_requested(said: Said) -> Changes:
    return {
        "supplements": said.state.supplements + 1,
        "supplement_asked_at": said.now,
        "supplement_by": said.facts.get("deadline"),
    }


def _supplemented(said: Said) -> Changes:
    return {"supplement_by": None, "supplemented_at": said.now}


def _accepted(said: Said) -> Changes:
    state, facts, now = said.state, said.facts, said.now
    changes: Changes = {"accepted_at": now, "supplement_by": None}
    number = facts.get("responsible_number")
    if number is not None:
        changes["number"] = number
    if state.clock is None:  # one that counts as accepted since its receipt runs already
        on = china_day(now)
        stated = cast("date | None", facts.get("accepted_on"))
        if stated is not None and stated < on:
            on = max(stated, china_day(state.opened_at))
        changes |= started(now, on, facts, said.terms)
    return changes


def _step_completed(said: Said) -> Changes:
    item = said.terms.item
    if item is None or not item.steps:
        return {}
    done = said.facts.get("step")
    if done is not None and item.step(str(done)) is None:
        return {}  # a step that the directory does not list ends none that it does
    following = item.step_after(str(done or said.state.step))
    if following is None:
        return {"step": "", "step_since": None}
    return {"step": following.code, **_step_begun(said)}


def _paused(said: Said) -> Changes:
    return {"clock": clock.pause(said.state.clock, said.now)} if said.state.clock else {}


def _resumed(said: Said) -> Changes:
    paused = said.state.clock
    if paused is None:
        return {}
    changes: Changes = {"clock": clock.resume(paused, said.now, said.terms.calendar)}
    if said.state.step:
        changes |= _step_begun(said)
    return changes


def _step_begun(said: Said) -> Changes:
    """A step begins, or begins anew: with its whole limit, and with cards of its own."""
    return {"step_since": said.now, "step_turn": said.state.step_turn + 1}


def _extended(said: Said) -> Changes:
    extra = said.facts.get("extra_days")
    if said.state.clock is None or not isinstance(extra, int):
        return {}
    return {"clock": clock.extend(said.state.clock, extra)}


def _decided(said: Said) -> Changes:
    changes: Changes = {"decided_at": said.now, "step": "", "step_since": None}
    if "outcome" in said.facts:
        changes["granted"] = said.facts["outcome"] == "granted"
    stated = said.facts.get("decided_at")
    if isinstance(stated, datetime) and (day := china_day(stated)) != china_day(said.now):
        changes["decided_on"] = day
    return changes


def _issued(said: Said) -> Changes:
    return {"issued_at": said.now, "courier": said.facts.get("courier_number")}


def _rated(said: Said) -> Changes:
    score = cast("int | None", said.facts.get("score"))
    changes: Changes = {"score": score, "rated_at": said.now}
    if score is not None and score <= POOR_SCORE:
        changes |= {"rating": Rating.POOR, "rectify_from": china_day(said.now)}
    return changes


def _fee_requested(said: Said) -> Changes:
    return {
        "fee_request": said.message.name,
        "fee_notice": said.facts.get("notice_number"),
        "fee_fen": said.facts.get("amount_fen", 0),
    }


POOR_SCORE: Final = 2
"""不满意 and below: a correction is opened."""

EFFECTS: Final[Mapping[str, Effect]] = {
    "case.supplement-requested": _supplement_requested,
    "case.supplemented": _supplemented,
    "case.accepted": _accepted,
    "case.step-completed": _step_completed,
    "case.paused": _paused,
    "case.resumed": _resumed,
    "case.extended": _extended,
    "case.decided": _decided,
    "case.result-issued": _issued,
    "case.rated": _rated,
    "fee.requested": _fee_requested,
}
