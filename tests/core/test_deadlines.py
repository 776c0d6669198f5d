"""What falls due: the arithmetic written out, and that whatever falls also stands, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core import clock as clocks
from broker.core.bundle.bundles import BundleState
from broker.core.calendar import PUBLISHED_UNTIL, STATUTORY, calendar
from broker.core.case.case_state import CaseState, Rating, Status, evolve
from broker.core.case.terms import NO_TERMS, Terms
from broker.core.catalogue.items import Item, Step
from broker.core.clock import Clock
from broker.core.clocks.cards import issue, whole_deemed
from broker.core.clocks.deadlines import (
    Deadline,
    Kind,
    Light,
    deadlines,
    key_of,
    next_deadline,
    next_falls_at,
    stands,
)
from broker.core.ids import CaseId, PartnerId
from broker.core.message import SHANGHAI, Mode, from_epoch_ms

LAIBIN, HENGSHAN = PartnerId("451300"), PartnerId("430423")
ITEM = Item(
    code="newborn-hukou",
    name="新生儿入户",
    promised_days=5,
    steps=(Step(code="CS", name="初审", days=2), Step(code="FH", name="复核", minutes=30)),
)
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
"""Monday 2026-03-02, 12:00 in China; no holiday before 清明 (2026-04-04 to 06)."""


def state(status: Status = Status.SUBMITTED, **facts: Any) -> CaseState:
    given_ = {
        "case": CaseId("451300/1"),
        "opening": LAIBIN,
        "responsible": HENGSHAN,
        "item": ITEM.code,
        "mode": Mode.COLLECTED,
        "status": status,
        "opened_at": NOON,
        "updated_at": NOON,
    }
    return CaseState(**{**given_, **facts})


def accepted(days: int = 5, minutes: float | None = None, **facts: Any) -> CaseState:
    running = clocks.start(NOON, date(2026, 3, 2), days=days, minutes=minutes)
    return state(Status.ACCEPTED, **{"clock": running, **facts})


def lights(of: CaseState, item: Item | None = ITEM) -> list[tuple[str, str]]:
    """Key, and time in China to the minute, of all that is outstanding."""
    return [
        (each.key, each.falls_at.astimezone(SHANGHAI).strftime("%m-%d %H:%M"))
        for each in deadlines(of, item, STATUTORY)
    ]


class TestWhen:
    def test_acceptance_is_due_after_five_working_days_and_yellow_on_the_day_before_the_last(self) -> None:
        # Mo 2 is not counted: Tu 3, We 4, Th 5, Fr 6, Mo 9. On Friday one working day is left.
        assert lights(state()) == [
            ("acceptance:/yellow/0", "03-06 00:00"),
            ("acceptance:/red/0", "03-10 00:00"),
        ]

    def test_acceptance_counts_anew_from_the_supplement(self) -> None:
        supplemented = state(Status.SUPPLEMENTED, supplements=1, supplemented_at=NOON + timedelta(days=7))
        assert lights(supplemented) == [
            ("acceptance:/yellow/1", "03-13 00:00"),
            ("acceptance:/red/1", "03-17 00:00"),
        ]

    def test_a_supplement_is_due_on_the_day_asked_for_and_the_opening_side_is_late(self) -> None:
        asked = state(Status.SUPPLEMENT_REQUESTED, supplements=1, supplement_by=date(2026, 3, 11))
        assert lights(asked) == [
            ("supplement:/yellow/1", "03-10 00:00"),
            ("supplement:/red/1", "03-12 00:00"),
        ]
        assert {each.late for each in deadlines(asked, ITEM, STATUTORY)} == {LAIBIN}

    def test_a_supplement_due_on_a_sunday_is_yellow_when_one_working_day_is_left(self) -> None:
        asked = state(Status.SUPPLEMENT_REQUESTED, supplements=1, supplement_by=date(2026, 3, 15))
        (yellow, red) = deadlines(asked, ITEM, STATUTORY)
        assert yellow.falls_at == datetime(2026, 3, 11, 16, tzinfo=UTC)  # Th 12: Fr 13 alone is left
        assert yellow.days_left == 1
        assert red.falls_at == datetime(2026, 3, 15, 16, tzinfo=UTC)
        assert red.days_left == -1

    def test_the_decision_follows_the_clock(self) -> None:
        assert lights(accepted()) == [
            ("decision:/yellow/0", "03-06 00:00"),
            ("decision:/red/0", "03-10 00:00"),
        ]

    def test_over_a_holiday(self) -> None:
        # Th 2 April, 2 days: Fr 3, and Tu 7 after 清明 (4 to 6). Yellow on Friday.
        running = clocks.start(datetime(2026, 4, 2, 4, tzinfo=UTC), date(2026, 4, 2), days=2, minutes=None)
        assert lights(state(Status.ACCEPTED, clock=running)) == [
            ("decision:/yellow/0", "04-03 00:00"),
            ("decision:/red/0", "04-08 00:00"),
        ]

    def test_a_place_that_is_closed_has_a_day_more(self) -> None:
        closed = calendar({date(2026, 3, 6)})
        assert deadlines(accepted(), ITEM, closed)[-1].due_on == date(2026, 3, 10)

    def test_a_promise_of_minutes_is_yellow_after_its_share(self) -> None:
        assert lights(accepted(days=0, minutes=30.0)) == [
            ("decision:/yellow/0", "03-02 12:15"),
            ("decision:/red/0", "03-02 12:30"),
        ]
        later = replace(ITEM, yellow_share=0.8)
        assert lights(accepted(days=0, minutes=30.0), later)[0] == ("decision:/yellow/0", "03-02 12:24")

    def test_a_promise_for_the_same_day_is_yellow_when_half_of_what_is_left_of_the_day_has_gone(self) -> None:
        same_day = accepted(days=0)
        assert lights(same_day) == [
            ("decision:/yellow/0", "03-02 18:00"),
            ("decision:/red/0", "03-03 00:00"),
        ]

    def test_how_early_it_is_yellow_is_the_items(self) -> None:
        assert lights(accepted(), replace(ITEM, yellow_days=0))[0][1] == "03-09 00:00"
        assert lights(accepted(), replace(ITEM, yellow_days=3))[0][1] == "03-04 00:00"
        assert lights(accepted(), None)[0][1] == "03-06 00:00"

    def test_a_step_has_a_limit_of_its_own(self) -> None:
        first = accepted(step="CS", step_since=NOON)
        assert ("step:CS/yellow/0", "03-03 00:00") in lights(first)
        assert ("step:CS/red/0", "03-05 00:00") in lights(first)
        second = accepted(step="FH", step_since=NOON)
        assert lights(second)[:2] == [("step:FH/yellow/0", "03-02 12:15"), ("step:FH/red/0", "03-02 12:30")]

    def test_a_step_that_the_item_does_not_limit_has_no_card(self) -> None:
        assert all("step" not in key for key, _ in lights(accepted(step="XX", step_since=NOON)))

    def test_a_paused_case_has_no_deadline(self) -> None:
        of = accepted(step="CS", step_since=NOON)
        assert of.clock is not None
        paused = evolve(of, {"status": Status.PAUSED, "clock": clocks.pause(of.clock, NOON)})
        assert lights(paused) == []

    def test_going_on_is_another_turn(self) -> None:
        of = accepted()
        assert of.clock is not None
        paused = clocks.pause(of.clock, NOON + timedelta(days=1))
        resumed = clocks.resume(paused, NOON + timedelta(days=3), STATUTORY)
        again = evolve(of, {"status": Status.IN_REVIEW, "clock": resumed})
        assert lights(again) == [("decision:/yellow/2", "03-10 00:00"), ("decision:/red/2", "03-12 00:00")]

    def test_the_result_is_due_ten_working_days_after_a_grant_and_never_after_a_denial(self) -> None:
        granted = state(Status.DECIDED, granted=True, decided_at=NOON)
        assert lights(granted) == [("issue:/yellow/0", "03-13 00:00"), ("issue:/red/0", "03-17 00:00")]
        assert lights(evolve(granted, {"granted": False})) == []
        assert lights(evolve(granted, {"status": Status.ISSUED})) == []

    @pytest.mark.parametrize("rating", [Rating.POOR, Rating.APPEALED])
    def test_a_bad_rating_is_put_right_within_fifteen_working_days(self, rating: Rating) -> None:
        rated = state(Status.DELIVERED, rating=rating, rectify_from=date(2026, 3, 2), rated_at=NOON)
        assert lights(rated) == [
            ("rectification:/yellow/0", "03-20 00:00"),
            ("rectification:/red/0", "03-24 00:00"),
        ]
        assert lights(evolve(rated, {"rating": Rating.RECTIFIED})) == []

    def test_a_complaint_without_an_item_has_a_clock(self) -> None:
        filed = state(Status.FILED, item="", mode="", answer_by=date(2026, 3, 9))
        assert lights(filed, None) == [
            ("complaint:/yellow/0", "03-06 00:00"),
            ("complaint:/red/0", "03-10 00:00"),
        ]

    @pytest.mark.parametrize("day", [date(9999, 12, 31), date(2051, 1, 1), date(1, 1, 1), date(2050, 12, 31)])
    def test_a_day_that_no_calendar_knows_never_stops_a_case(self, day: date) -> None:
        assert lights(state(Status.FILED, answer_by=day), None) == []
        assert next_deadline(state(Status.FILED, answer_by=day), None, STATUTORY) is None

    def test_a_year_without_published_holidays_is_told(self) -> None:
        after = PUBLISHED_UNTIL + timedelta(days=60)
        assert deadlines(state(Status.FILED, answer_by=after), None, STATUTORY)[0].provisional
        assert not deadlines(accepted(), ITEM, STATUTORY)[0].provisional

    def test_ends_have_no_deadline(self) -> None:
        for status in (Status.REFUSED, Status.WITHDRAWN, Status.DELIVERED, Status.ANSWERED):
            assert lights(evolve(accepted(step="CS", step_since=NOON), {"status": status})) == []


class TestStands:
    def test_an_issued_card_stands_and_does_not_fall_again(self) -> None:
        key = key_of(Kind.DECISION, "", Light.YELLOW, 0)
        shown = accepted(cards=(key,))
        assert [each for each, _ in lights(shown)] == ["decision:/red/0"]
        decided = evolve(shown, {"status": Status.DECIDED})
        assert stands(decided, Kind.DECISION, "", Light.YELLOW, 0)
        assert not stands(decided, Kind.DECISION, "", Light.RED, 0)

    def test_a_card_of_an_earlier_turn_is_void(self) -> None:
        of = accepted()
        assert of.clock is not None
        extended = evolve(of, {"clock": clocks.extend(of.clock, 3)})
        assert not stands(extended, Kind.DECISION, "", Light.RED, 0)
        assert stands(extended, Kind.DECISION, "", Light.RED, 1)

    def test_an_extension_of_the_case_is_none_of_the_step(self) -> None:
        of = accepted(step="CS", step_since=NOON, cards=(key_of(Kind.STEP, "CS", Light.YELLOW, 0),))
        assert of.clock is not None
        extended = evolve(of, {"clock": clocks.extend(of.clock, 3)})
        assert stands(extended, Kind.STEP, "CS", Light.RED, 0)
        assert not stands(extended, Kind.STEP, "CS", Light.YELLOW, 1)
        assert [key for key, _ in lights(extended) if key.startswith("step")] == ["step:CS/red/0"]

    def test_a_step_that_was_begun_again_has_its_own_cards_and_those_of_before_are_void(self) -> None:
        of = accepted(step="CS", step_since=NOON, cards=(key_of(Kind.STEP, "CS", Light.YELLOW, 0),))
        again = evolve(of, {"step_since": NOON + timedelta(days=7), "step_turn": 2})
        assert not stands(again, Kind.STEP, "CS", Light.RED, 0)
        assert [each for each in lights(again) if each[0].startswith("step")] == [
            ("step:CS/yellow/2", "03-10 00:00"),
            ("step:CS/red/2", "03-12 00:00"),
        ]

    def test_a_step_that_is_not_under_way_is_void(self) -> None:
        assert not stands(accepted(step="FH", step_since=NOON), Kind.STEP, "CS", Light.RED, 0)
        assert not stands(accepted(), Kind.STEP, "", Light.RED, 0)
        assert not stands(accepted(), Kind.DECISION, "CS", Light.RED, 0)


class TestBundles:
    ITEM = replace(ITEM, code="yijianshi")

    @staticmethod
    def whole(answer: Literal["broker", "lead"], of: CaseState) -> CaseState:
        return evolve(of, {"bundle": BundleState(code="yijianshi", answer=answer, parts=())})

    def test_where_the_broker_answers_nobody_owes_the_whole_an_acceptance_a_step_or_a_result(self) -> None:
        begun = accepted(step="CS", step_since=NOON)
        decided = state(Status.DECIDED, granted=True, decided_at=NOON)
        for of, kind in ((state(), Kind.ACCEPTANCE), (begun, Kind.STEP), (decided, Kind.ISSUE)):
            joined = self.whole("broker", of)
            assert kind not in {each.kind for each in deadlines(joined, self.ITEM, STATUTORY)}
            assert not stands(joined, kind, of.step, Light.RED, 0)
            lead = self.whole("lead", of)
            assert lights(lead, self.ITEM) == lights(of, self.ITEM)

    def test_the_promise_of_the_whole_is_the_leads(self) -> None:
        cards = deadlines(self.whole("broker", accepted()), self.ITEM, STATUTORY)
        assert {(each.kind, each.late) for each in cards} == {(Kind.DECISION, HENGSHAN)}

    def test_the_whole_counts_as_accepted_with_its_first_part(self) -> None:
        terms = Terms(item=self.ITEM, promised_days=9)
        whole, part = self.whole("broker", state()), accepted(deemed=True)
        counted = whole_deemed(whole, part, now=NOON + timedelta(days=9), terms=terms)
        assert counted is not None
        assert counted.deemed
        assert counted.status is Status.SUBMITTED
        assert counted.clock == clocks.start(NOON, date(2026, 3, 2), days=9, minutes=None)
        for other in (
            state(),
            self.whole("lead", state()),
            counted,
            evolve(whole, {"status": Status.WITHDRAWN}),
        ):
            assert whole_deemed(other, part, now=NOON, terms=terms) is None
        assert whole_deemed(whole, state(), now=NOON, terms=terms) is None


class TestDeemed:
    TERMS = Terms(item=ITEM, promised_days=5)

    def test_red_for_acceptance_starts_the_clock_on_the_day_of_receipt(self) -> None:
        late = NOON + timedelta(days=9)
        after = issue(state(), Kind.ACCEPTANCE, "", Light.RED, 0, now=late, terms=self.TERMS)
        assert after is not None
        assert after.deemed
        assert after.status is Status.SUBMITTED
        assert after.clock == clocks.start(NOON, date(2026, 3, 2), days=5, minutes=None)
        assert (after.step, after.step_since) == ("CS", late), "a step that nobody could begin is not late"
        assert after.cards == ("acceptance:/red/0",)
        assert [key for key, _ in lights(after) if key.startswith("decision")] == [
            "decision:/yellow/0",
            "decision:/red/0",
        ]

    def test_yellow_changes_nothing_but_the_cards(self) -> None:
        after = issue(state(), Kind.ACCEPTANCE, "", Light.YELLOW, 0, now=NOON, terms=self.TERMS)
        assert after == evolve(state(), {"cards": ("acceptance:/yellow/0",)})

    def test_the_other_sides_copy_changes_nothing(self) -> None:
        once = issue(state(), Kind.ACCEPTANCE, "", Light.RED, 0, now=NOON, terms=self.TERMS)
        assert once is not None
        assert issue(once, Kind.ACCEPTANCE, "", Light.RED, 0, now=NOON, terms=self.TERMS) is once

    def test_a_card_for_what_was_accepted_meanwhile_is_void(self) -> None:
        assert issue(accepted(), Kind.ACCEPTANCE, "", Light.RED, 0, now=NOON, terms=NO_TERMS) is None


_moments = st.integers(1_704_067_200_000, 1_798_675_200_000).map(from_epoch_ms)  # 2024 to 2026
_days = st.dates(date(2024, 1, 1), date(2026, 12, 31))


@st.composite
def _clocks(draw: st.DrawFn) -> Clock:
    at = draw(_moments)
    minutes = draw(st.none() | st.floats(0.1, 600))
    made = clocks.start(
        at, at.astimezone(SHANGHAI).date(), days=0 if minutes else draw(st.integers(0, 60)), minutes=minutes
    )
    for _ in range(draw(st.integers(0, 2))):
        at += timedelta(hours=draw(st.integers(1, 200)))
        made = clocks.pause(made, at)
        at += timedelta(hours=draw(st.integers(1, 200)))
        made = clocks.resume(made, at, STATUTORY)
    return clocks.extend(made, 3) if draw(st.booleans()) else made


_states = st.builds(
    state,
    st.sampled_from(Status),
    opened_at=_moments,
    supplements=st.integers(0, 1),
    supplement_by=st.none() | _days,
    supplement_asked_at=st.none() | _moments,
    clock=st.none() | _clocks(),
    step=st.sampled_from(["", "CS", "FH", "XX"]),
    step_since=st.none() | _moments,
    granted=st.sampled_from([None, True, False]),
    decided_at=st.none() | _moments,
    rating=st.sampled_from(Rating),
    rectify_from=st.none() | _days,
    rated_at=st.none() | _moments,
    answer_by=st.none() | _days,
)
_items = st.none() | st.builds(
    lambda accept, yellow: replace(ITEM, accept_days=accept, yellow_days=yellow),
    st.integers(0, 10),
    st.integers(0, 5),
)


@given(_states, _items)
def test_whatever_falls_stands_and_falls_once(of: CaseState, item: Item | None) -> None:
    outstanding = deadlines(of, item, STATUTORY)
    assert next_deadline(of, item, STATUTORY) == (outstanding[0] if outstanding else None)
    assert next_falls_at(of, item, STATUTORY) == (outstanding[0].falls_at if outstanding else None)
    assert len({each.key for each in outstanding}) == len(outstanding)
    for each in outstanding:
        assert stands(of, each.kind, each.step, each.light, each.turn)
        shown = evolve(of, {"cards": (each.key,)})
        assert stands(shown, each.kind, each.step, each.light, each.turn)
        assert deadlines(shown, item, STATUTORY) == tuple(o for o in outstanding if o.key != each.key)


@given(_states, _items)
def test_yellow_comes_first_and_times_are_whole_milliseconds(of: CaseState, item: Item | None) -> None:
    by_limit: dict[tuple[str, str], list[Deadline]] = {}
    for each in deadlines(of, item, STATUTORY):
        assert each.falls_at.microsecond % 1000 == 0
        assert each.falls_at.tzinfo is UTC
        by_limit.setdefault((each.kind, each.step), []).append(each)
    for yellow, red in by_limit.values():
        assert (yellow.light, red.light) == (Light.YELLOW, Light.RED)
        assert yellow.falls_at <= red.falls_at
        assert yellow.due_on == red.due_on


@given(_days, st.integers(0, 8), st.integers(0, 30))
def test_yellow_is_the_first_day_with_so_few_working_days_left(day: date, yellow: int, days: int) -> None:
    """Against a count day by day."""
    item = replace(ITEM, accept_days=days, yellow_days=yellow)
    at = datetime(day.year, day.month, day.day, 12, tzinfo=SHANGHAI).astimezone(UTC)
    card, red = deadlines(state(opened_at=at), item, STATUTORY)
    expected, left = day, sum(_works(day, n) for n in range(1, (red.due_on - day).days + 1))
    while left > yellow:
        expected += timedelta(days=1)
        left -= STATUTORY.is_working(expected)
    midnight = datetime(expected.year, expected.month, expected.day, tzinfo=SHANGHAI)
    if midnight > at:
        assert left == card.days_left
        assert card.falls_at == midnight
    else:  # so few are left from the beginning: half of the time goes first
        assert card.falls_at == at + (red.falls_at - at) / 2


def _works(day: date, ahead: int) -> bool:
    return STATUTORY.is_working(day + timedelta(days=ahead))
