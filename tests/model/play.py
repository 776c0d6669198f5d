"""Play a walk on the exchange and on the naive office at once, and compare all that can be seen after each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from broker.core import clock as clocks
from broker.core.calendar import Calendar
from broker.core.case.case_state import CaseState
from broker.core.case.lifecycle import Role, allowed
from broker.core.case.terms import Terms, terms_of_case
from broker.core.catalogue.items import Item
from broker.core.clocks.deadlines import Deadline, Kind, Light, deadlines, key_of, next_deadline, stands
from broker.core.ids import CaseId, PartnerId
from broker.core.message import Message
from tests.model.days import day_of
from tests.model.ends import has_no_way_on
from tests.model.naive import Case
from tests.model.office import Office, Verdict
from tests.model.place import BROKER, EDITIONS, PARTNERS
from tests.model.pure import Pure
from tests.model.road import BOOK, Notice, Road
from tests.model.sheet import Word
from tests.model.walks import Card, Step

MOST_CARDS: Final = 200


class Disagreement(AssertionError):
    """The product and the naive model do not agree, or a case has no way on."""


def terms_of(state: CaseState) -> Terms:
    """The terms that the case was opened under."""
    return terms_of_case(state, BOOK[state.directory])


@dataclass(kw_only=True)
class Play:
    """One walk under way."""

    now: datetime
    size: int = 1
    road: Road | Pure = field(default_factory=Road)
    office: Office = field(default_factory=Office)
    written: set[tuple[str, str]] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)
    """Where the walk has been: statuses, cards, codes."""
    coming: dict[str, set[str]] = field(default_factory=dict)
    over: set[tuple[str, str]] = field(default_factory=set)
    """Cards that were to come and did not: what supervision wrote of them is void, and they must never come again."""

    def __post_init__(self) -> None:
        self.road.size = self.size

    def step(self, step: Step) -> None:
        """Raises :class:`Disagreement`."""
        until = self.now + step.wait
        if step.awake:
            self._let_cards_fall(until)
        self.now = until
        if step.edition is not None:
            self.office.edition = step.edition
            self.road.directory = EDITIONS[step.edition]
        if step.card is not None:
            self._write_card(step.card)
        if step.words:
            words = [replace(each, at=self.now) for each in step.words]
            self.road.take(words, self.now)
            self._agree_on(self.office.take(words))
        self._agree_on_cases()

    def _let_cards_fall(self, until: datetime) -> None:
        """Supervision at work: each card at its time, or at once if it slept when the time came."""
        for _ in range(MOST_CARDS):
            due = [
                (deadline.falls_at, state.case, deadline)
                for state in self.road.cases.values()
                for deadline in deadlines(state, *self._limits(state))
                if deadline.falls_at <= until and (state.case, deadline.key) not in self.written
            ]
            if not due:
                return
            at, case, deadline = min(due, key=lambda each: each[:2])
            self.now = max(self.now, at)
            self._write(self.road.cases[case], deadline)
            self._agree_on_cases()
        raise Disagreement("cards fall without end")

    @staticmethod
    def _limits(state: CaseState) -> tuple[Item | None, Calendar]:
        terms = terms_of(state)
        return terms.item, terms.calendar

    def _write_card(self, card: Card) -> None:
        state = self.road.cases.get(CaseId(card.case))
        if state is None:
            return
        deadline = Deadline(
            kind=Kind(card.kind),
            light=Light(card.light),
            step=card.step,
            turn=card.turn,
            falls_at=self.now,
            due_on=day_of(self.now),
            days_left=0,
            late=PartnerId(state.responsible),
            provisional=False,
        )
        self._write(state, deadline)

    def _write(self, state: CaseState, deadline: Deadline) -> None:
        self.written.add((state.case, deadline.key))
        records = self.road.card(state, deadline, self.now)
        self._agree_on(self.office.take([_heard(each, deadline, self.now) for each in records]))

    # What must be the same.

    def _agree_on(self, verdicts: Sequence[Verdict]) -> None:
        """Which messages stand and who gets them; of those that do not, that their senders are told a true reason."""
        told: dict[str, list[Notice]] = {}
        for notice in self.road.notices:
            if _by_a_partner(notice.name):
                told.setdefault(notice.name, []).append(notice)
        for verdict in verdicts:
            name = f"{verdict.word.source}/{verdict.word.id}"
            if verdict.why:
                answer = told[name].pop(0) if told.get(name) else None
                if answer is None or answer.code not in verdict.why or answer.to != verdict.word.source:
                    raise Disagreement(f"{verdict.word.type}: told {answer}, naive {sorted(verdict.why)}")
                self.seen[answer.code] += 1
            self.seen["repeated"] += verdict.repeated
        if any(told.values()):
            raise Disagreement(f"refused although it stands: {told}")
        got = Counter(self.road.arrived)
        due = Counter(
            (each.word.type, each.word.case, each.word.source, to)
            for each in verdicts
            for to in each.told
            if to in PARTNERS
        )
        if got != due:
            raise Disagreement(f"arrived {dict(got - due)} too much, {dict(due - got)} too little")

    def _agree_on_cases(self) -> None:
        real, naive = self.road.cases, self.office.cases
        if set(real) != set(naive):
            raise Disagreement(f"cases {sorted(real)}, naive {sorted(naive)}")
        for identity, state in real.items():
            self._agree_on_case(state, naive[identity])
            parts = self.office.bundles.get(identity)
            self._agree_on_what_may_be_said(state, naive[identity])
            if parts is not None and state.bundle is not None:
                here = {each.name: each.status.value for each in state.bundle.parts}
                there = {each.name: each.status for each in parts.parts}
                if here != there:
                    raise Disagreement(f"{identity}: parts {here}, naive {there}")
                self.seen.update(f"part {each}" for each in here.values())
        for state in real.values():
            why = has_no_way_on(state, real, terms_of(state), self.now)
            if why is not None:
                raise Disagreement(f"{state.case} is {state.status} and {why}")

    def _agree_on_what_may_be_said(self, state: CaseState, case: Case) -> None:
        parts = self.office.bundles.get(state.case)
        for role in (Role.OPENING, Role.RESPONSIBLE, Role.TREASURY):
            there = case.open_to(role)
            if parts is not None and parts.answers == "lead" and not parts.ended:
                there.discard("case.decided")
            if set(allowed(state, role)) != there:
                differ = sorted(there.symmetric_difference(allowed(state, role)))
                raise Disagreement(f"{state.case}: {role} may say otherwise: {differ}")

    def _agree_on_case(self, state: CaseState, case: Case) -> None:
        terms = terms_of(state)
        here, there = _seen(state, terms, self.now), _told(case, self.now)
        if here != there:
            differ = {name: (here[name], there[name]) for name in here if here[name] != there[name]}
            raise Disagreement(f"{state.case}: (product, naive) {differ}")
        self.seen.update(
            (state.status, f"fee {state.fee}", f"rating {state.rating}", f"deemed {state.deemed}")
        )
        self.seen.update(_kind_and_light(each) for each in state.cards)
        coming = {(each.key, each.falls_at) for each in deadlines(state, terms.item, terms.calendar)}
        expected = {
            (key, at.replace(microsecond=at.microsecond // 1000 * 1000)) for key, at in case.cards_to_come()
        }
        if coming != expected:
            raise Disagreement(
                f"{state.case}: cards {coming - expected} too much, {expected - coming} too little"
            )
        keys = {key for key, _ in coming}
        self.over |= {(state.case, key) for key in self.coming.get(state.case, set()) - keys - {*state.cards}}
        self.coming[state.case] = keys
        again = {key for key in keys if (state.case, key) in self.over}
        if again:
            raise Disagreement(f"{state.case}: void cards are to come again: {again}")
        first = next_deadline(state, terms.item, terms.calendar)
        if (first.falls_at if first else None) != min((at for _, at in coming), default=None):
            raise Disagreement(f"{state.case}: the next card is {first}")
        for kind in Kind:
            for step in {"", state.step}:
                for turn in {0, state.supplements, state.clock.turn if state.clock else 0, case.begun_again}:
                    for light in Light:
                        may = stands(state, kind, step, light, turn)
                        if may != case.may_be_carded(kind, step, light, turn):
                            key = key_of(kind, step, light, turn)
                            raise Disagreement(f"{state.case}: card {key} {'stands' if may else 'is void'}")


def _by_a_partner(name: str) -> bool:
    """Whether a notice is about a partner's own word, and not about a copy that the broker made of one."""
    return not name.startswith(f"{BROKER}/") and not any(f"/{letter}-" in name for letter in "pqj")


def _kind_and_light(card: str) -> str:
    return f"{card.partition(':')[0]}/{card.split('/')[-2]}"


def _seen(state: CaseState, terms: Terms, now: datetime) -> dict[str, object]:
    clock = state.clock
    return {
        "status": state.status.value,
        "fee": state.fee.value,
        "rating": state.rating.value,
        "supplements": state.supplements,
        "accepted_at": state.accepted_at,
        "decided_at": state.decided_at,
        "ended_at": state.ended_at,
        "deemed": state.deemed,
        "granted": state.granted,
        "step": state.step,
        "courier": state.courier,
        "cards": sorted(state.cards),
        "turn": clock.turn if clock else None,
        "due_on": clocks.due_on(clock, terms.calendar, now) if clock else None,
        "due_at": clocks.due_at(clock, terms.calendar, now) if clock else None,
        "left": clocks.remaining(clock, terms.calendar, now) if clock and clock.minutes is None else None,
    }


def _told(case: Case, now: datetime) -> dict[str, object]:
    promise = case.promise
    return {
        "status": case.status,
        "fee": case.fee,
        "rating": case.rating,
        "supplements": case.supplements,
        "accepted_at": case.accepted_at,
        "decided_at": case.decided_at,
        "ended_at": case.ended_at,
        "deemed": case.deemed,
        "granted": case.granted,
        "step": case.step,
        "courier": case.courier,
        "cards": sorted(case.cards),
        "turn": promise.turn if promise else None,
        "due_on": promise.due_on(now) if promise else None,
        "due_at": promise.due_at(now) if promise else None,
        "left": promise.left(now) if promise and promise.minutes is None else None,
    }


def _heard(message: Message, deadline: Deadline, now: datetime) -> Word:
    return Word(
        id=message.id,
        type=message.type,
        source=message.source,
        to=message.destination,
        case=message.case,
        at=now,
        facts={"kind": deadline.kind, "light": deadline.light, "step": deadline.step, "turn": deadline.turn},
    )
