"""Bundles answered: what of the parts makes which answer of the whole, a newborn's and along a route."""

from __future__ import annotations

from collections import Counter

from broker.core.case.lifecycle import Status
from broker.core.ids import part_case
from broker.exchange.joined_words import MOST_DOCUMENTS
from tests.exchange.bundle_steps import CHAIN, applied, copies
from tests.exchange.bundle_world import AUTHORITIES, BORN, HALL, LEAD, LOAD, NOW, ROADS, ROUTE, World, decided


def test_a_partial_refusal_is_granted_and_names_what_was_not(world: World) -> None:
    applied(world)
    world.decide("chusheng")
    world.by("luohu", "case.accepted")
    world.by("luohu", "case.decided", data=decided("denied", "父母户口均不在本地"))
    world.by("jiezhong", "case.refused")
    world.judge()
    assert world.statuses() == {
        "chusheng": "granted",
        "jiezhong": "refused",
        "luohu": "denied",
        "canbao": "void",
        "jiaofei": "void",
        "shebaoka": "void",
    }
    (answer,) = world.facts("case.decided")
    assert answer["outcome"] == "granted"
    assert answer["reason"] == (
        "预防接种证：不予受理（材料不属本机关）；新生儿落户登记：不予（父母户口均不在本地）；"
        "城乡居民医保参保登记：前置未通过；医保缴费：前置未通过；社保卡申领：前置未通过"
    )
    results = {each["step"]: each["result"] for each in world.facts("case.step-completed")}
    assert results == {
        "chusheng": "准予",
        "luohu": "不予",
        "canbao": "前置未通过",
        "jiaofei": "前置未通过",
        "shebaoka": "前置未通过",
        "jiezhong": "不予受理",
    }
    world.issue("chusheng", licence="出生医学证明")
    assert world.cases[BORN].status is Status.ISSUED
    (result,) = world.facts("case.result-issued")
    assert (result["licence_name"], result["licence_number"]) == ("出生医学证明", "chusheng-1")
    assert result["note"] is None
    assert world.refusals() == []


def test_the_first_item_refused_refuses_the_whole(world: World) -> None:
    applied(world)
    world.by("chusheng", "case.refused")
    world.judge()
    assert world.cases[BORN].status is Status.REFUSED
    (refused,) = world.facts("case.refused")
    assert refused["legal_basis"] == "行政许可法第三十二条"
    assert str(refused["reason"]).startswith(
        "出生医学证明：不予受理（材料不属本机关）；预防接种证：前置未通过"
    )
    assert world.heard_by_the_hall() == ["case.refused"]


def test_the_first_item_denied_denies_the_whole(world: World) -> None:
    applied(world)
    world.decide("chusheng", "denied")
    assert world.heard_by_the_hall()[-2:] == ["case.decided", "case.result-issued"], (
        "to be delivered, and ended"
    )
    assert (world.cases[BORN].status, world.cases[BORN].granted) == (Status.ISSUED, False)
    (answer,) = world.facts("case.decided")
    assert answer["outcome"] == "denied"
    assert world.refusals() == []


def test_a_part_withdrawn_by_itself_ends_like_any_other(world: World) -> None:
    applied(world)
    world.say("case.withdrawn", HALL, AUTHORITIES["chusheng"], part_case(BORN, "chusheng"))
    world.judge()
    assert world.cases[BORN].status is Status.WITHDRAWN
    assert world.heard_by_the_hall() == ["case.withdrawn"]
    assert world.refusals() == []


def test_the_lead_does_not_answer_for_the_broker(world: World) -> None:
    applied(world)
    world.say("case.accepted", LEAD, HALL, BORN)
    world.say("case.decided", LEAD, HALL, BORN, decided())
    world.judge()
    assert [type_ for type_, _ in world.refusals()] == ["case.accepted", "case.decided"]
    assert world.cases[BORN].status is Status.SUBMITTED


def test_more_documents_than_one_message_holds_are_counted(world: World) -> None:
    applied(world)
    for name in CHAIN:
        world.decide(name)
    document = {"title": "x", "media_type": "application/pdf", "sha256": "0" * 64, "size": 1}
    for name in CHAIN:
        world.by(name, "case.result-issued", data={"issued_at": NOW, "documents": [document] * 40})
    world.judge()
    (result,) = world.facts("case.result-issued")
    documents = result["documents"]
    assert isinstance(documents, list)
    assert len(documents) == MOST_DOCUMENTS
    assert "40" in str(result["note"])


# Oversize transport along a route.


def test_the_lead_accepts_then_the_route_decides_then_the_lead(world: World) -> None:
    world.apply_transport()
    world.judge()
    assert set(world.statuses(LOAD).values()) == {"held"}
    assert world.got(ROUTE[1]) == []
    world.say("case.accepted", ROADS, HALL, LOAD)
    world.judge()
    assert set(world.statuses(LOAD).values()) == {"open"}
    assert [world.part(each, LOAD).item_class for each in ROUTE] == ["II"] * 3
    world.decide(ROUTE[2], of=LOAD)
    world.say("case.decided", ROADS, HALL, LOAD, decided())
    world.judge()
    assert world.refusals() == [("case.decided", "parts-open")]
    world.decide(ROUTE[1], of=LOAD)
    world.decide(ROUTE[0], of=LOAD)
    world.say("case.decided", ROADS, HALL, LOAD, decided())
    world.judge()
    assert world.cases[LOAD].status is Status.DECIDED
    assert [each["step"] for each in world.facts("case.step-completed")] == [ROUTE[2], ROUTE[1], ROUTE[0]]
    assert len(world.facts("case.step-completed", ROADS)) == 3
    assert Counter(world.heard_by_the_hall(LOAD))["case.decided"] == 0, "the lead decides, not the broker"


def test_the_lead_cannot_grant_what_one_on_the_route_denied(world: World) -> None:
    world.apply_transport()
    world.say("case.accepted", ROADS, HALL, LOAD)
    world.judge()
    for each, outcome in zip(ROUTE, ("granted", "denied", "granted"), strict=True):
        world.decide(each, outcome, of=LOAD)
    world.say("case.decided", ROADS, HALL, LOAD, decided())
    world.judge()
    assert world.refusals() == [("case.decided", "parts-open")]
    world.say("case.decided", ROADS, HALL, LOAD, decided("denied"))
    world.judge()
    assert world.cases[LOAD].granted is False


def test_a_route_through_an_unknown_place_is_refused_whole(world: World) -> None:
    world.apply_transport([*ROUTE, "999999"])
    world.judge()
    assert world.refusals() == [("case.submitted", "partner-unknown")]
    assert world.cases == {}
    assert copies(world) == []
