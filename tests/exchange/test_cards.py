"""Judging cards in log order: exactly once, to both sides; what was settled meanwhile is void."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from broker.core.calendar import STATUTORY
from broker.core.case.lifecycle import Status
from broker.core.case.terms import NO_TERMS, terms_of_case
from broker.core.clocks.cards import NOTICE_DEADLINE
from broker.core.clocks.deadlines import deadlines
from broker.core.ids import BROKER, CaseId, PartnerId, part_case
from broker.core.message import from_record
from broker.core.records import Position, Record
from broker.errors import Corrupt
from broker.exchange.cards import Issued, judge_card
from broker.log.admin.topics import LEDGER
from broker.store.view import cases
from broker.supervision.cards import card_records
from broker.telemetry import METRICS
from tests.core.test_deadlines import ITEM, accepted, state
from tests.exchange.bundle_world import BORN, DIRECTORY, LEAD, LOAD, ROADS
from tests.exchange.bundle_world import World as Whole
from tests.exchange.fakes import CODEC
from tests.supervision.card_world import CASE, A, B, World

BOTH = [A, B]


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World.open(tmp_path) as made:
        yield made


async def accepted_case(world: World) -> None:
    world.say("case.submitted")
    world.say("case.accepted", B)
    await world.judge()


async def test_a_card_goes_to_both_sides_and_is_one_row(world: World) -> None:
    await accepted_case(world)
    world.at(day=6, hour=0)
    labels = {"late": B, "kind": "decision", "light": "yellow"}
    before = METRICS.get_sample_value("tongban_cards_total", labels) or 0
    await world.issue()
    assert METRICS.get_sample_value("tongban_cards_total", labels) == before + 1
    for side in BOTH:
        assert world.told(side) == ["decision yellow 0"]
    (row,) = await world.cards()
    assert (row.kind, row.light, row.due_on, row.late) == ("decision", "yellow", "2026-03-09", B)
    assert row.falls_at == row.issued_at
    assert (await world.state()).cards == ("decision:/yellow/0",)


async def test_whoever_writes_it_again_changes_nothing(world: World) -> None:
    await accepted_case(world)
    world.at(day=6, hour=0)
    for _ in range(3):
        await world.worker().look()
    assert world.written() == 6
    await world.judge()
    assert [world.told(side) for side in BOTH] == [["decision yellow 0"]] * 2
    assert len(await world.cards()) == 1


async def test_decided_before_it_was_judged_it_is_void(world: World) -> None:
    await accepted_case(world)
    world.at(day=6, hour=0)
    world.say("case.decided", B)
    await world.worker().look()  # reads the view before the decision was judged
    await world.judge()
    assert [world.told(side) for side in BOTH] == [[], []]
    assert await world.cards() == []
    assert (await world.state()).status is Status.DECIDED
    rows = await world.store.read(cases.timeline, CASE)
    assert [row.verdict for row in rows if row.type == NOTICE_DEADLINE] == ["recorded", "recorded"]


async def test_both_sides_get_it_although_the_case_was_decided_in_between(world: World) -> None:
    await accepted_case(world)
    world.at(day=6, hour=0)
    worker = world.worker()
    records = world.ledger.records[LEDGER, 0]
    await worker.look()
    second = records.pop()
    world.say("case.decided", B)
    records.append(
        Record(
            position=Position(LEDGER, 0, len(records)),
            timestamp_ms=second.timestamp_ms,
            key=second.key,
            value=second.value,
            headers=second.headers,
        )
    )
    await world.judge()
    assert [world.told(side) for side in BOTH] == [["decision yellow 0"]] * 2
    assert len(await world.cards()) == 1


async def test_red_for_acceptance_starts_the_clock_at_receipt_and_the_next_cards_follow(world: World) -> None:
    world.say("case.submitted")
    await world.judge()
    world.at(day=10, hour=0)
    await world.issue()
    assert world.told(A) == ["acceptance yellow 0", "acceptance red 0"]
    deemed = await world.state()
    assert deemed.deemed
    assert deemed.clock is not None
    assert deemed.clock.started_on == date(2026, 3, 2)
    await world.issue()
    assert world.told(B)[2:] == ["decision yellow 0", "decision red 0"]


async def test_an_extension_makes_the_cards_on_their_way_void_and_new_ones_fall_later(world: World) -> None:
    await accepted_case(world)
    world.at(day=6, hour=0)
    world.say("case.extended", B)
    await world.issue()
    assert world.told(A) == []
    world.at(day=11, hour=0)  # due Mo 9 + 3 = Th 12; yellow on We 11
    await world.issue()
    assert world.told(A) == ["decision yellow 1"]


async def test_a_repeat_in_other_bytes_is_no_second_card(world: World) -> None:
    """Another edition of the holiday table: the same card, with another due day in it."""
    await accepted_case(world)
    world.at(day=6, hour=0)
    await world.worker().look()
    before = await world.state()
    (card, _) = deadlines(before, None, STATUTORY)
    moved = card.__class__(
        **{name: getattr(card, name) for name in card.__slots__} | {"due_on": date(2026, 3, 12)}
    )
    for each in card_records(CODEC, before, moved, ledger_partitions=1):
        world.ledger.append(each)
    await world.judge()
    assert [world.told(side) for side in BOTH] == [["decision yellow 0"]] * 2
    assert len(await world.cards()) == 1


def _red_for_acceptance(world: Whole, case: CaseId) -> None:
    """Supervision writes it, to both sides."""
    state = world.cases[case]
    terms = terms_of_case(state, DIRECTORY)
    (_, red) = deadlines(state, terms.item, terms.calendar)
    for each in card_records(CODEC, state, red, ledger_partitions=1):
        world.put(replace(each, partition=None))
    world.judge()


class TestBundles:
    def test_the_lead_owes_no_acceptance_and_the_whole_counts_as_accepted_with_its_first_part(self) -> None:
        world = Whole()
        world.apply_newborn()
        world.judge()
        terms = terms_of_case(world.cases[BORN], DIRECTORY)
        assert deadlines(world.cases[BORN], terms.item, terms.calendar) == ()
        _red_for_acceptance(world, part_case(BORN, "chusheng"))
        part, whole = world.cases[part_case(BORN, "chusheng")], world.cases[BORN]
        assert part.clock is not None
        assert whole.clock is not None
        assert (part.deemed, whole.deemed, whole.cards) == (True, True, ())
        assert (whole.clock.started_at, whole.clock.days) == (part.clock.started_at, 7)
        assert [each.kind for each in deadlines(whole, terms.item, terms.calendar)] == [
            "decision",
            "decision",
        ]
        assert [each.late for each in deadlines(whole, terms.item, terms.calendar)] == [LEAD, LEAD]

    def test_of_a_joint_case_the_whole_waits_for_the_leads_own_acceptance(self) -> None:
        world = Whole()
        world.apply_transport()
        world.judge()
        terms = terms_of_case(world.cases[LOAD], DIRECTORY)
        cards = deadlines(world.cases[LOAD], terms.item, terms.calendar)
        assert [(each.kind, each.late) for each in cards] == [("acceptance", ROADS)] * 2
        _red_for_acceptance(world, LOAD)
        assert world.cases[LOAD].deemed

    def test_what_was_accepted_before_keeps_its_clock(self) -> None:
        world = Whole()
        world.apply_newborn()
        world.judge()
        world.decide("chusheng")
        before = world.cases[BORN].clock
        assert before is not None
        _red_for_acceptance(world, part_case(BORN, "luohu"))
        assert world.cases[part_case(BORN, "luohu")].deemed
        assert (world.cases[BORN].clock, world.cases[BORN].deemed) == (before, False)


def _record(of: bytes = b"") -> Record:
    return Record(
        position=Position(LEDGER, 3, 17), timestamp_ms=1_772_000_000_000, key=b"", value=of, headers=()
    )


FACTS = {
    "kind": "decision",
    "light": "red",
    "turn": 0,
    "step": None,
    "at": datetime(2026, 3, 9, 16, tzinfo=UTC),
    "due_on": date(2026, 3, 9),
    "late": None,
}


class TestJudging:
    def test_the_row_says_where_and_when(self) -> None:
        issued = judge_card(accepted(), FACTS, _record(), NO_TERMS)
        assert isinstance(issued, Issued)
        assert issued.row is not None
        assert (issued.row.ledger_partition, issued.row.ledger_offset) == (3, 17)
        assert issued.row.issued_at == 1_772_000_000_000
        assert issued.row.late == "430423", "a card that does not say is the responsible side's"

    def test_the_second_copy_has_no_row(self) -> None:
        first = judge_card(accepted(), FACTS, _record(), NO_TERMS)
        assert first is not None
        second = judge_card(first.state, FACTS, _record(), NO_TERMS)
        assert second == Issued(state=first.state, row=None)

    def test_of_no_case_or_an_ended_one_it_is_void(self) -> None:
        assert judge_card(None, FACTS, _record(), NO_TERMS) is None
        assert judge_card(state(Status.WITHDRAWN), FACTS, _record(), NO_TERMS) is None

    @pytest.mark.parametrize("facts", [{"kind": "tea"}, {"light": "green"}])
    def test_what_is_no_card_is_corrupt(self, facts: dict[str, object]) -> None:
        with pytest.raises(Corrupt, match=r"tongban\.exchange/3/17"):
            judge_card(accepted(), FACTS | facts, _record(), NO_TERMS)


class TestRecords:
    def test_the_same_to_the_byte_with_the_time_at_which_it_fell(self) -> None:
        (yellow, _) = deadlines(accepted(), ITEM, STATUTORY)
        once = card_records(CODEC, accepted(), yellow, ledger_partitions=12)
        assert once == card_records(CODEC, accepted(revision=9), yellow, ledger_partitions=12)
        messages = [
            from_record(
                Record(
                    position=Position(LEDGER, each.partition or 0, 0),
                    timestamp_ms=0,
                    key=each.key,
                    value=each.value,
                    headers=each.headers,
                )
            )
            for each in once
        ]
        assert [each.destination for each in messages] == ["451300", "430423"]
        assert len({each.id for each in messages}) == 2
        for each in messages:
            assert each.source == BROKER
            assert each.time == yellow.falls_at
            assert (each.item, each.mode, each.correlation) == ("newborn-hukou", "collected", None)
        datum = CODEC.decode(once[0].value).datum
        assert datum["detail"] == "承诺办结期限 将于 2026-03-09 届满，剩余 1 个工作日"
        assert datum["late"] == "430423"

    def test_the_broker_gets_none_and_one_who_is_both_sides_gets_one(self) -> None:
        (yellow, _) = deadlines(accepted(), ITEM, STATUTORY)
        joined = accepted(responsible=PartnerId(BROKER))
        assert len(card_records(CODEC, joined, yellow, ledger_partitions=1)) == 1
        own = accepted(responsible=PartnerId("451300"))
        assert len(card_records(CODEC, own, yellow, ledger_partitions=1)) == 1

    def test_red_for_acceptance_names_the_law(self) -> None:
        (_, red) = deadlines(state(), ITEM, STATUTORY)
        datum = CODEC.decode(card_records(CODEC, state(), red, ledger_partitions=1)[0].value).datum
        assert "行政许可法第三十二条" in str(datum["detail"])
        assert datum["days_left"] == -1
