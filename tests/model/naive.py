"""The life of one case, told once more by hand: from the contract and the domain's facts, not from the code's tables.

Plain texts, ifs and elses. :meth:`Case.objections` answers with every reason that there is against a word, in no
order: the product must refuse exactly when there is one, and by a code that is among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import cast

from tests.model.days import after, day_of
from tests.model.falling import Falling
from tests.model.place import CLOSED, COMPLAINT_DAYS, TOWN, TREASURY
from tests.model.sheet import Word

BEFORE_DECISION = ("submitted", "supplement_requested", "supplemented", "accepted", "in_review", "paused")
DECIDED = ("decided", "issued", "delivered")
ENDED = ("refused", "delivered", "withdrawn", "answered")
TALK = ("case.urged", "case.consulted", "case.answered")
TAKEN_IN: dict[str, tuple[str, ...]] = {
    "case.supplement-requested": ("submitted",),  # once: not from supplemented
    "case.supplemented": ("supplement_requested",),
    "case.accepted": ("submitted", "supplemented"),
    "case.refused": ("submitted", "supplemented"),
    "case.step-completed": ("accepted", "in_review"),
    "case.paused": ("accepted", "in_review"),
    "case.resumed": ("paused",),
    "case.extended": ("accepted", "in_review", "paused"),
    "case.decided": ("accepted", "in_review"),
    "case.result-issued": ("decided",),
    "case.delivered": ("issued",),
    "case.withdrawn": BEFORE_DECISION,
    "case.rated": DECIDED,
    "case.rectified": DECIDED,
    "case.rating-appealed": DECIDED,
    "fee.requested": (*BEFORE_DECISION, "decided", "issued"),
    "fee.paid": (*BEFORE_DECISION, *DECIDED, "refused", "withdrawn"),
    "complaint.answered": ("filed",),
}
"""The contract's table, "from", copied by hand."""
OF_THE_RESPONSIBLE = (
    *("case.supplement-requested", "case.accepted", "case.refused", "case.step-completed", "case.paused"),
    *("case.resumed", "case.extended", "case.decided", "case.result-issued", "case.delivered"),
    *("case.rectified", "case.rating-appealed", "fee.requested", "complaint.answered", *TALK),
)
OF_THE_OPENING = (
    *("case.supplemented", "case.delivered", "case.withdrawn", "case.rated", "fee.paid", *TALK),
)


@dataclass
class Case(Falling):
    """One case: what may be said on it, and what becomes of it then."""

    def objections(self, word: Word) -> set[str]:
        """Every code by which this word may be refused; none: it stands."""
        role = self.role_of(word.source)
        if not role:
            return {"party-not-involved"}  # a stranger learns nothing else
        why = self._who(word, role) | self._when(word)
        if word.to != (self.opening if role == "responsible" else self.responsible):
            why.add("party-not-involved")
        return why | self._what(word)

    def _who(self, word: Word, role: str) -> set[str]:
        if role == "responsible":
            joined = (
                *(
                    "case.accepted",
                    "case.refused",
                    "case.step-completed",
                    "case.decided",
                    "case.result-issued",
                ),
                *("case.supplement-requested", "case.paused", "fee.requested"),
            )
            if self.by_broker and word.type in joined:
                return {"transition-illegal"}
            return set() if word.type in OF_THE_RESPONSIBLE else {"transition-illegal"}
        if role == "treasury":
            return set() if word.type == "fee.paid" else {"transition-illegal"}
        if word.type in OF_THE_OPENING:
            return set()
        if self.mode == "collected" and word.type in OF_THE_RESPONSIBLE:
            return {"collector-decides"}
        return {"transition-illegal"}

    def _when(self, word: Word) -> set[str]:
        """Whether the case, its fee and its rating have come to where this may be said."""
        kind, why = word.type, set()
        if not self.takes(kind):
            why.add("transition-illegal")
        if kind == "fee.requested" and self.fee != "none":
            why.add("charged-twice")
        if kind == "fee.paid" and self.fee != "requested":
            why.add("transition-illegal")
        rated = {
            "case.rated": ("none",),
            "case.rectified": ("poor", "appealed"),
            "case.rating-appealed": ("poor",),
        }
        if self.rating not in rated.get(kind, (self.rating,)):
            why.add("transition-illegal")
        if kind in ("case.supplement-requested", "case.refused") and self.deemed:
            why.add("transition-illegal")  # it has accepted by law: it can refuse or ask nothing any more
        return why

    def open_to(self, role: str) -> set[str]:
        """What this side may say now: against which nothing could be held but what it says."""
        source = {"opening": self.opening, "responsible": self.responsible, "treasury": TREASURY}[role]
        words = {
            kind: Word(id="", type=kind, source=source, to="", case=self.id, at=self.opened_at, facts={})
            for kind in (*OF_THE_OPENING, *OF_THE_RESPONSIBLE)
        }
        may = {kind for kind, word in words.items() if not self._who(word, role) | self._when(word)}
        if self.promise is not None and self.promise.extended >= (15 if self.mode == "joint" else 10):
            may.discard("case.extended")
        if self.fee == "requested":
            may.discard("case.result-issued")
        return may

    def takes(self, kind: str) -> bool:
        """Whether a case that stands where this one does takes such a word."""
        return kind in TALK or self.status in TAKEN_IN.get(kind, ())

    def _what(self, word: Word) -> set[str]:
        """What the law and good order demand of the word itself."""
        facts, why = word.facts, set()
        if word.type == "case.extended" and self.promise is not None:
            most = 15 if self.mode == "joint" else 10
            if self.promise.extended + cast("int", facts["extra_days"]) > most:
                why.add("extension-too-long")
        if word.type == "case.result-issued" and self.fee == "requested":
            why.add("fee-unpaid")
        if word.type == "fee.paid":
            if facts.get("channel") in ("现金", "cash"):
                why.add("cash-refused")
            if (facts["notice_number"], facts["amount_fen"]) != (self.fee_notice, self.fee_fen):
                why.add("fee-mismatch")
            if word.answers not in (None, self.fee_name):
                why.add("fee-mismatch")
        told = facts.get("courier_number")
        if word.type == "case.delivered" and told and self.courier and told != self.courier:
            why.add("courier-mismatch")
        if word.type == "case.rectified" and not facts["called_back"]:
            why.add("callback-missing")
        return why

    def hear(self, word: Word) -> None:
        """What a word that stands makes of the case."""
        kind, facts, at = word.type, word.facts, word.at
        if kind == "case.supplement-requested":
            self.status, self.supplements, self.asked_at = "supplement_requested", self.supplements + 1, at
            self.supplement_by = cast("date", facts["deadline"])
        elif kind == "case.supplemented":
            self.status, self.supplemented_at, self.supplement_by = "supplemented", at, None
        elif kind == "case.accepted":
            self.status, self.accepted_at, self.supplement_by = "accepted", at, None
            if self.promise is None:
                on = max(min(cast("date", facts["accepted_on"]), day_of(at)), day_of(self.opened_at))
                self.start(at, on, cast("int", facts["promised_days"]))
        elif kind == "case.refused":
            self.status, self.ended_at = "refused", at
        elif kind == "case.step-completed":
            self.status = "in_review"
            self._step_done(str(facts["step"]), at)
        elif kind == "case.paused":
            self.status = "paused"
            assert self.promise is not None
            self.promise.pause(at)
        elif kind == "case.resumed":
            self.status = "in_review"
            assert self.promise is not None
            self.promise.resume(at)
            if self.step:
                self.step_since, self.begun_again = at, self.begun_again + 1
        elif kind == "case.extended":
            assert self.promise is not None
            self.promise.extend(cast("int", facts["extra_days"]))
        elif kind == "case.decided":
            self.status, self.decided_at, self.granted = "decided", at, facts["outcome"] == "granted"
            self.step, self.step_since = "", None
        else:
            self._hear_late(word)

    def _hear_late(self, word: Word) -> None:
        kind, facts, at = word.type, word.facts, word.at
        if kind == "case.result-issued":
            self.status, self.courier = "issued", cast("str | None", facts.get("courier_number"))
        elif kind == "case.delivered":
            self.status, self.ended_at = "delivered", at
        elif kind == "case.withdrawn":
            self.status, self.ended_at = "withdrawn", at
        elif kind == "case.rated":
            self.rating = "poor" if cast("int", facts["score"]) <= 2 else "rated"
            self.rated_at = at
        elif kind == "case.rectified":
            self.rating = "rectified"
        elif kind == "case.rating-appealed":
            self.rating = "appealed"
        elif kind == "fee.requested":
            self.fee, self.fee_name = "requested", f"{word.source}/{word.id}"
            self.fee_notice, self.fee_fen = str(facts["notice_number"]), cast("int", facts["amount_fen"])
        elif kind == "fee.paid":
            self.fee = "paid"
        elif kind == "complaint.answered":
            self.status, self.ended_at = "answered", at

    def _step_done(self, step: str, at: datetime) -> None:
        """The step after the one that is done is under way; what is no step of the item moves none."""
        codes = [code for code, _ in self.thing.steps] if self.thing else []
        if step not in codes:
            return
        place = codes.index(step) + 1
        if place < len(codes):
            self.step, self.step_since, self.begun_again = codes[place], at, self.begun_again + 1
        else:
            self.step, self.step_since = "", None


def complaint_due(word: Word) -> date:
    """The day for the answer: as the complaint says, else within the partner's own working days."""
    stated = cast("date | None", word.facts.get("answer_by"))
    days = COMPLAINT_DAYS if word.to == TOWN else 15
    return stated or after(day_of(word.at), days, CLOSED if word.to == TOWN else ())
