"""Bundles withdrawn as a whole: before, between and after what the parts' authorities say."""

from __future__ import annotations

from broker.core.case.lifecycle import Status
from broker.core.ids import part_case
from tests.exchange.bundle_steps import applied, copies
from tests.exchange.bundle_world import BORN, HALL, LEAD, LOAD, ROADS, World, decided


def test_the_whole_is_withdrawn_with_every_open_part(world: World) -> None:
    applied(world)
    withdrawal = world.say("case.withdrawn", HALL, LEAD, BORN)
    world.judge()
    assert world.cases[BORN].status is Status.WITHDRAWN
    part = world.part("chusheng")
    assert (part.status, part.part_of) == (Status.WITHDRAWN, BORN)
    copy = copies(world)[-1]
    assert (copy.type, copy.part_of, copy.value) == ("case.withdrawn", withdrawal.name, withdrawal.value)
    assert ("case.withdrawn", part.case) in world.got("430400-weijian")
    assert world.refusals() == []


def test_what_was_granted_before_the_withdrawal_stays_and_the_rest_is_told(world: World) -> None:
    applied(world)
    world.decide("chusheng")
    world.by("luohu", "case.accepted")
    world.say("case.withdrawn", HALL, LEAD, BORN)
    world.judge()
    assert world.cases[BORN].status is Status.DECIDED
    assert world.part("luohu").status is Status.WITHDRAWN
    assert world.part("jiezhong").status is Status.WITHDRAWN
    (answer,) = world.facts("case.decided")
    assert answer["outcome"] == "granted"
    assert "新生儿落户登记：已撤回" in str(answer["reason"])
    world.issue("chusheng")
    assert world.cases[BORN].status is Status.ISSUED
    assert world.refusals() == []


def test_a_decision_between_the_withdrawal_and_its_copy_comes_too_late(world: World) -> None:
    applied(world)
    world.by("chusheng", "case.accepted")
    world.judge()
    world.say("case.withdrawn", HALL, LEAD, BORN)
    world.by("chusheng", "case.urged")
    world.by("chusheng", "case.decided", data=decided())
    world.judge()
    assert world.refusals() == [("case.decided", "transition-illegal")]
    assert (world.cases[BORN].status, world.part("chusheng").status) == (Status.WITHDRAWN, Status.WITHDRAWN)
    assert ("case.withdrawn", part_case(BORN, "chusheng")) in world.got("430400-weijian")


def test_a_withdrawal_while_the_answer_is_on_its_way_comes_too_late(world: World) -> None:
    applied(world)
    world.by("chusheng", "case.accepted")
    world.by("chusheng", "case.decided", data=decided("denied"))
    world.say("case.withdrawn", HALL, LEAD, BORN)
    world.judge()
    assert (world.cases[BORN].status, world.cases[BORN].granted) == (Status.ISSUED, False)
    assert world.heard_by_the_hall()[-2:] == ["case.decided", "case.result-issued"]
    assert world.refusals() == []


def test_a_withdrawal_while_the_acceptance_is_on_its_way_stands(world: World) -> None:
    applied(world)
    world.by("chusheng", "case.accepted")
    world.say("case.withdrawn", HALL, LEAD, BORN)
    world.judge()
    assert world.cases[BORN].status is Status.WITHDRAWN
    assert world.heard_by_the_hall() == [], "of a case that was withdrawn nothing more is said"


def test_withdrawn_in_the_same_breath_the_part_is_opened_and_withdrawn(world: World) -> None:
    world.apply_newborn()
    world.say("case.withdrawn", HALL, LEAD, BORN)
    world.judge()
    assert world.cases[BORN].status is Status.WITHDRAWN
    assert world.part("chusheng").status is Status.WITHDRAWN
    assert [type_ for type_, case in world.got("430400-weijian") if case != BORN] == [
        "case.submitted",
        "case.withdrawn",
    ]
    assert world.refusals() == []


def test_a_joint_case_withdrawn_before_the_lead_accepts_opens_nothing(world: World) -> None:
    world.apply_transport()
    world.say("case.withdrawn", HALL, ROADS, LOAD)
    world.judge()
    assert set(world.statuses(LOAD).values()) == {"void"}
    assert copies(world) == []
