"""The table and an independent naive model never disagree, and no walk leaves a case without a way on (issue 5, 2)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from broker.core.calendar import STATUTORY, calendar
from broker.core.case.case_state import Status
from broker.core.case.lifecycle import MESSAGE_TYPES, Advanced, advance
from broker.core.clocks.deadlines import Kind, Light
from broker.core.ids import CaseId
from broker.core.problems import Refusal
from tests.model import days
from tests.model.days import DAY, works
from tests.model.facts import good, hostile
from tests.model.mutants import MUTANTS
from tests.model.office import OPENS, ROAD, SAID_BY_PARTNERS, Office
from tests.model.place import BROKER, CLOSED, HALL, STRANGER, THINGS, TOWN, TREASURY, WHOLES
from tests.model.play import Play
from tests.model.pure import Pure
from tests.model.road import message_of
from tests.model.runs import QUICK, of_seed, smallest, walk
from tests.model.sheet import Word
from tests.model.walks import ONE, WAITS, Card, Step
from tests.mutants import HERE, Mutant


def test_the_naive_calendar_is_the_librarys() -> None:
    day, there = date(2026, 1, 1), calendar(CLOSED)
    while day < date(2027, 12, 31):
        assert works(day) == STATUTORY.is_working(day), day
        assert works(day, CLOSED) == there.is_working(day), day
        day += DAY


def test_walks_of_everybody_saying_everything_at_any_time() -> None:
    seen: Counter[str] = Counter()
    for seed in range(QUICK):
        done, play = of_seed(seed)
        assert not done.fault, f"seed {seed}: {smallest(done)}"
        seen += play.seen
    # A walk that goes nowhere finds nothing: these went everywhere.
    expected = {
        *map(str, Status),
        *(f"{kind}/{light}" for kind in Kind for light in Light),
        *("fee requested", "fee paid", "rating rated", "rating poor", "rating rectified", "rating appealed"),
        *(
            "part held",
            "part open",
            "part granted",
            "part denied",
            "part refused",
            "part withdrawn",
            "part void",
        ),
        *("deemed True", "repeated", "message-id-reused", "expired", "agreement-missing", "item-unknown"),
        *(
            "partner-unknown",
            "type-unknown",
            "case-unknown",
            "case-exists",
            "party-not-involved",
            "parts-open",
        ),
        *("transition-illegal", "collector-decides", "charged-twice", "fee-unpaid", "fee-mismatch"),
        *("cash-refused", "courier-mismatch", "callback-missing", "extension-too-long"),
        *("event-invalid", "complaint-unaddressed"),
    }
    assert expected - set(seen) == set()


def test_a_walk_is_the_same_each_time() -> None:
    (one, play), (other, again) = walk(3), walk(3)
    assert one == other
    assert play.road.cases == again.road.cases


def test_a_walk_that_shows_a_fault_is_shortened_to_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(days, "OFF", frozenset())  # a naive model without holidays is wrong
    found = next(done for done, _ in map(walk, range(60)) if done.fault)
    short = smallest(found)
    assert len(short.steps) <= 3
    assert short.fault
    assert short.fault in str(short)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_still_finds_its_place(mutant: Mutant) -> None:
    assert (HERE / mutant.file).read_text(encoding="utf-8").count(mutant.before) == 1


class Life(RuleBasedStateMachine):
    """One case, by ``advance`` alone: Hypothesis chooses, and shortens what it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.play = Play(now=datetime(2026, 1, 3, tzinfo=UTC), road=Pure(), office=Office(strict=False))
        self.said = 0
        self.item = self.mode = ""

    @initialize(
        day=st.integers(0, 330),
        item=st.sampled_from(sorted(set(THINGS) - set(WHOLES))),
        mode=st.sampled_from(["online", "collected", "joint"]),
        seed=st.integers(0, 40),
    )
    def begins(self, day: int, item: str, mode: str, seed: int) -> None:
        self.play.now += timedelta(days=day, minutes=seed * 37)
        self.item, self.mode = item, mode
        self.says("case.submitted", HALL, TOWN, seed)

    @rule(wait=st.sampled_from(sorted(set(WAITS))), awake=st.booleans())
    def time_passes(self, wait: timedelta, awake: bool) -> None:
        self.play.step(Step(wait=wait, awake=awake))

    @rule(type_=st.sampled_from(sorted(SAID_BY_PARTNERS)), responsible=st.booleans(), seed=st.integers(0, 40))
    def one_of_them_says(self, type_: str, responsible: bool, seed: int) -> None:
        self.says(type_, *((TOWN, HALL) if responsible else (HALL, TOWN)), seed)

    @rule(
        type_=st.sampled_from(
            [*sorted(SAID_BY_PARTNERS), "operator.noted", "notice.deadline", "case.invented"]
        ),
        source=st.sampled_from([STRANGER, TREASURY, HALL, TOWN]),
        to=st.sampled_from([HALL, TOWN, STRANGER]),
    )
    def anybody_says(self, type_: str, source: str, to: str) -> None:
        self.says(type_, source, to, 0)

    @rule(
        kind=st.sampled_from(sorted(Kind)),
        light=st.sampled_from(sorted(Light)),
        step=st.sampled_from(["", "SC", "FH"]),
        turn=st.integers(0, 3),
    )
    def a_card_is_written(self, kind: str, light: str, step: str, turn: int) -> None:
        self.play.step(Step(card=Card(case=ONE, kind=kind, step=step, light=light, turn=turn)))

    @rule(type_=st.sampled_from(sorted(MESSAGE_TYPES)))
    def the_broker_says(self, type_: str) -> None:
        """Its words on the road move no case, and what is a partner's to say it never says."""
        state = self.play.road.cases.get(CaseId(ONE))
        message = replace(message_of(self.word("case.urged", BROKER, HALL, {})), type=type_)
        answer = advance(state, message, self.play.now)
        if type_.partition(".")[0] in ROAD:
            assert isinstance(answer, Advanced)
            assert answer.state is state
        else:
            assert isinstance(answer, Refusal)
            assert answer.code == "transition-illegal"

    def says(self, type_: str, source: str, to: str, seed: int) -> None:
        now = self.play.now
        facts = good(type_, self.play.office.cases.get(ONE), now)
        if seed % 2:
            facts = hostile(type_, facts, now, Random(seed))
        if type_ == "case.submitted":
            facts["mode"] = self.mode
        self.play.step(Step(words=(self.word(type_, source, to, facts),)))

    def word(self, type_: str, source: str, to: str, facts: dict[str, object]) -> Word:
        self.said += 1
        opens = type_ in OPENS
        return Word(
            id=f"m-{self.said}",
            type=type_,
            source=source,
            to=to,
            case=ONE,
            at=self.play.now,
            facts=facts or good(type_, None, self.play.now),
            item=self.item if opens else None,
            mode=self.mode if opens else None,
        )


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, derandomize=True)
