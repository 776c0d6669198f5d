"""What the naive model holds: a word as somebody says it, and a case as a clerk's card would show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from tests.model.days import Promise
from tests.model.place import AGREED, CLOSED, HALL, OTHER_DAYS, THINGS, TOWN, TREASURY, Thing


@dataclass(frozen=True, kw_only=True)
class Word:
    """What somebody says, and when. ``answers``: the message that it answers, as ``<source>/<id>``."""

    id: str
    type: str
    source: str
    to: str
    case: str
    at: datetime
    facts: Mapping[str, object]
    item: str | None = None
    mode: str | None = None
    answers: str | None = None
    expires: datetime | None = None

    @property
    def content(self) -> str:
        """All that makes it this message and no other, but its id and time of arrival."""
        facts = sorted((name, str(value)) for name, value in self.facts.items())
        return repr((self.type, self.source, self.to, self.case, facts, self.item, self.mode, self.answers))


@dataclass
class Sheet:
    """One case as a clerk's card would show it. ``by_broker``: the broker answers for its parts."""

    id: str
    opening: str
    responsible: str
    item: str
    mode: str
    klass: str
    edition: int
    opened_at: datetime
    status: str = "submitted"
    by_broker: bool = False
    fee: str = "none"
    fee_name: str = ""
    fee_notice: str = ""
    fee_fen: int = 0
    rating: str = "none"
    supplements: int = 0
    asked_at: datetime | None = None
    supplement_by: date | None = None
    supplemented_at: datetime | None = None
    accepted_at: datetime | None = None
    decided_at: datetime | None = None
    ended_at: datetime | None = None
    granted: bool | None = None
    deemed: bool = False
    promise: Promise | None = None
    step: str = ""
    step_since: datetime | None = None
    begun_again: int = 0
    """How often a step was begun after the first one."""
    courier: str | None = None
    rated_at: datetime | None = None
    answer_by: date | None = None
    cards: list[str] = field(default_factory=list)

    @property
    def thing(self) -> Thing | None:
        return THINGS.get(self.item)

    @property
    def closed(self) -> frozenset[date]:
        return CLOSED if self.responsible == TOWN else frozenset()

    @property
    def received_at(self) -> datetime:
        return self.supplemented_at or self.opened_at

    def role_of(self, source: str) -> str:
        if source == self.opening:
            return "opening"
        if source == self.responsible:
            return "responsible"
        return "treasury" if source == TREASURY and self.responsible == TOWN else ""

    def start(self, at: datetime, on: date, stated: int | None) -> None:
        """The clock starts, for the narrower of what the directory and the acceptance promise; and the first step."""
        thing = self.thing
        assert thing is not None
        days, minutes = thing.days, thing.minutes
        if self.klass in thing.classes:
            days, minutes = thing.classes[self.klass]
        elif self.item in AGREED and {self.opening, self.responsible} == {HALL, TOWN} and self.edition == 0:
            days = AGREED[self.item]
        elif self.item == "putong" and self.edition == 1:
            days = OTHER_DAYS
        if stated is not None:
            days = min(days, stated)
        self.promise = Promise(
            started_at=at,
            started_on=on,
            days=0 if minutes is not None else days,
            minutes=minutes,
            closed=self.closed,
        )
        if thing.steps:
            self.step, self.step_since = thing.steps[0][0], at
