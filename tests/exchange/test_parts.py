"""Bundles through the exchange: parts open, are held, withdrawn; their answers become one. Real codec, real judging."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.bundle.bundles import PartStatus
from broker.core.case.lifecycle import Status
from broker.core.events import compartment_aad
from broker.core.ids import BROKER, Party, opening_partner, part_case
from broker.core.message import Message, MessageClass, from_record, value_digest
from broker.core.receipts import Outcome
from broker.core.records import Position, Record
from broker.errors import Corrupt
from broker.exchange.applying import directory_records
from broker.exchange.joined_words import MOST_DOCUMENTS
from broker.exchange.rejudging import take_in
from broker.log import topics
from broker.log.compartment import open_value, seal_value
from broker.store import cases, ledger_view
from broker.store.engine import Store
from tests.exchange.bundle_world import (
    AUTHORITIES,
    BORN,
    DATA,
    DOCUMENTS,
    HALL,
    LEAD,
    LOAD,
    NOW,
    PARTITION,
    ROADS,
    ROUTE,
    World,
    decided,
)
from tests.exchange.desk_samples import ended
from tests.exchange.fakes import CODEC, Ledger
from tests.exchange.test_stage import World as StageWorld

CHAIN = ("chusheng", "jiezhong", "luohu", "canbao", "jiaofei", "shebaoka")


@pytest.fixture
def world() -> World:
    return World()


def applied(world: World) -> World:
    world.apply_newborn()
    world.judge()
    return world


def copies(world: World) -> list[Message]:
    return [message for record in world.ledger if (message := from_record(record)).part_of is not None]


# A newborn's six items.


def test_a_submission_opens_what_waits_for_nothing_and_holds_the_rest(world: World) -> None:
    applied(world)
    assert world.statuses() == {"chusheng": "open"} | dict.fromkeys(CHAIN[1:], "held")
    assert world.got("430400-weijian") == [
        ("case.submitted", BORN),
        ("case.submitted", part_case(BORN, "chusheng")),
    ]
    part = world.part("chusheng")
    assert (part.opening, part.responsible, part.item, part.part_of, part.bundle) == (
        HALL,
        "430400-weijian",
        "chusheng-yixue-zhengming",
        BORN,
        None,
    )
    assert world.refusals() == []


def test_the_copy_is_the_submission_itself_for_the_parts_authority(world: World) -> None:
    submission = world.apply_newborn()
    world.judge()
    (copy,) = copies(world)
    assert copy.id.startswith("p-")
    assert (copy.source, copy.destination) == (Party(HALL), Party("430400-weijian"))
    assert (copy.case, copy.item) == (part_case(BORN, "chusheng"), "chusheng-yixue-zhengming")
    assert (copy.value, copy.digest) == (submission.value, submission.digest)
    assert (copy.part_of, copy.correlation) == (submission.name, submission.name)
    assert (copy.signature, copy.signed, copy.trusted_channel) == (None, None, False)
    assert copy.source_position == Position(topics.LEDGER, PARTITION, 0)
    record = world.ledger[1]
    assert record.key == BORN.encode()
    assert world.outputs[0].partition == PARTITION


def test_its_papers_open_with_the_parents_key_at_the_parts_authority(world: World) -> None:
    key, nonce = bytes(32), bytes(12)
    submission = World().apply_newborn()
    sealed = seal_value(CODEC, submission.value, b"{}", key=key, nonce=nonce, aad=compartment_aad(submission))
    world.put_message(replace(submission, value=sealed))
    world.judge()
    (copy,) = copies(world)
    got = next(each for each in world.outbox["430400-weijian"] if each.case == copy.case)
    assert open_value(CODEC, got.value, key=key, aad=compartment_aad(got)).value == submission.value
    with pytest.raises(Corrupt):
        open_value(CODEC, got.value, key=key, aad=compartment_aad(replace(got, part_of=None)))


def test_a_submission_that_expires_opens_its_parts_all_the_same(world: World) -> None:
    submission = World().apply_newborn()
    world.put_message(replace(submission, expires=NOW.replace(year=2027), sequence="7"))
    world.judge()
    world.decide("chusheng")
    assert {(each.expires, each.sequence) for each in copies(world)} == {(None, None)}


def test_the_whole_way_one_number_one_form_one_answer(world: World) -> None:
    applied(world)
    for name in CHAIN:
        world.decide(name)
    assert world.cases[BORN].status is Status.DECIDED
    assert world.cases[BORN].granted is True
    for name in CHAIN:
        courier = {"luohu": "1069", "jiaofei": "1070"}.get(name)
        world.issue(
            name, courier=courier, licence={"chusheng": "出生医学证明", "jiezhong": "接种证"}.get(name)
        )
    assert world.cases[BORN].status is Status.ISSUED
    assert world.heard_by_the_hall() == [
        "case.accepted",
        *["case.step-completed"] * 6,
        "case.decided",
        "case.result-issued",
    ]
    assert world.refusals() == []
    (accepted,) = world.facts("case.accepted")
    assert (accepted["promised_days"], accepted["department"]) == (7, "430400-weijian 窗口")
    steps = world.facts("case.step-completed")
    assert [each["step"] for each in steps] == list(CHAIN)
    assert (steps[2]["step_name"], steps[2]["department"], steps[2]["result"]) == (
        "新生儿落户登记",
        "430400-gongan 窗口",
        "准予",
    )
    (answer,) = world.facts("case.decided")
    assert (answer["outcome"], answer["reason"]) == ("granted", None)
    (result,) = world.facts("case.result-issued")
    documents = result["documents"]
    assert isinstance(documents, list)
    assert [each["title"] for each in documents] == [f"{name} 文书" for name in CHAIN]
    assert (result["courier_company"], result["courier_number"]) == ("邮政", "1070")
    assert (result["licence_number"], result["note"]) == (None, "出生医学证明 chusheng-1；接种证 jiezhong-1")
    world.say("case.delivered", HALL, LEAD, BORN, {"delivered_at": NOW, "method": "courier"})
    world.judge()
    assert world.cases[BORN].status is Status.DELIVERED


def test_what_an_authority_decides_is_not_brought_to_the_hall_and_nobody_is_owed_it(world: World) -> None:
    applied(world)
    world.decide("chusheng")
    assert all(case == BORN for _, case in world.got(HALL))
    rows = {(row.type, row.case_id): row.verdict for row in world.rows}
    assert rows["case.accepted", part_case(BORN, "chusheng")] == "recorded"
    assert rows["case.decided", part_case(BORN, "chusheng")] == "recorded"
    assert rows["case.accepted", BORN] == "applied"


def test_what_an_authority_asks_goes_between_it_and_the_hall(world: World) -> None:
    applied(world)
    part = part_case(BORN, "chusheng")
    world.by("chusheng", "case.supplement-requested")
    world.judge()
    assert world.got(HALL) == [("case.supplement-requested", part)]
    assert world.cases[BORN].status is Status.SUBMITTED
    assert world.outbox[HALL][0].part_of is None


def test_joined_words_name_the_submission_and_stand_where_they_come_from(world: World) -> None:
    submission = world.apply_newborn()
    world.judge()
    world.by("chusheng", "case.accepted")
    world.judge()
    (said,) = world.outbox[HALL]
    assert (said.source, said.message_class, said.correlation) == (
        BROKER,
        MessageClass.RESPONSE,
        submission.name,
    )
    assert said.item == "xinshenger-yijianshi"
    assert said.digest == value_digest(said.value)


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


# Withdrawal of the whole.


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


# Receipts of copies.


@pytest.mark.parametrize(
    ("outcome", "told"),
    [(Outcome.DELIVERED, []), (Outcome.UNDELIVERABLE, ["notice.undeliverable"])],
)
def test_of_a_copy_the_hall_is_told_only_when_it_does_not_arrive(
    world: World, outcome: Outcome, told: list[str]
) -> None:
    applied(world)
    (copy,) = copies(world)
    said = ended(copy, outcome)
    place = Position(topics.LEDGER, PARTITION, 0)
    record = Record(position=place, timestamp_ms=0, key=said.key, value=said.value, headers=said.headers)
    world.put_message(replace(from_record(record), part_of=copy.part_of))  # as delivery writes it
    world.judge()
    assert [type_ for type_, _ in world.got(HALL)] == told


# Faults.


def test_a_batch_judged_twice_makes_the_same_ids_and_bytes() -> None:
    once, twice = World(), World(twice=True)
    for world in (once, twice):
        applied(world)
        world.decide("chusheng")
        world.decide("luohu", "denied")
        world.say("case.withdrawn", HALL, LEAD, BORN)
        world.judge()
    made: dict[str, set[tuple[object, ...]]] = {}
    for record in twice.ledger:
        made.setdefault(from_record(record).name, set()).add((record.key, record.value, record.headers))
    assert {name for name, forms in made.items() if len(forms) > 1} == set()
    assert made.keys() == {from_record(record).name for record in once.ledger}
    assert len(twice.ledger) > len(once.ledger), "repeats are on the ledger and change nothing"
    assert once.statuses() == twice.statuses()
    assert {k: v.status for k, v in once.cases.items()} == {k: v.status for k, v in twice.cases.items()}
    assert once.outbox.keys() == twice.outbox.keys()
    assert twice.refusals() == once.refusals()


def test_without_the_submissions_record_parts_stay_held_and_it_is_told(world: World) -> None:
    applied(world)
    world.lost = {Position(topics.LEDGER, PARTITION, 0)}
    with structlog.testing.capture_logs() as events:
        world.decide("chusheng")
    told = {(each["event"], each["count"]) for each in events if each["log_level"] == "error"}
    assert told == {("parts_not_opened", 2)}
    assert world.statuses()["luohu"] == "held"
    assert world.statuses()["chusheng"] == "granted"


# Whatever order.


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.sampled_from([1, 2, 7, 1000]), twice=st.booleans())
def test_however_the_parts_end_the_case_ends_once_at_the_hall(
    data: st.DataObject, size: int, twice: bool
) -> None:
    world = World(size=size, twice=twice)
    applied(world)
    withdraw_at = data.draw(st.none() | st.integers(0, 6))
    for turn in range(7):
        still = [each.name for each in world.bundle().parts if each.status is PartStatus.OPEN]
        before = data.draw(st.booleans()) if withdraw_at == turn else None
        if before is True:
            world.say("case.withdrawn", HALL, LEAD, BORN)
        if still:
            _end_one(world, data, data.draw(st.sampled_from(still)))
        if before is False:  # what the end above makes the broker say comes after the withdrawal
            world.say("case.withdrawn", HALL, LEAD, BORN)
        world.judge()
    for name in CHAIN:
        if world.statuses()[name] == "granted":
            world.issue(name)
    parent = world.cases[BORN]
    ends = Counter(world.heard_by_the_hall())
    endings = ends["case.decided"] + ends["case.refused"] + ends["case.withdrawn"]
    granted = "granted" in world.statuses().values()
    assert not {"held", "open"} & set(world.statuses().values())
    if parent.status is Status.WITHDRAWN and not ends["case.withdrawn"]:
        assert (endings, granted) == (0, False), "withdrawn by the hall itself"
    else:
        assert endings == 1
    assert ends["case.result-issued"] == ends["case.decided"]
    assert (parent.status is Status.ISSUED) == bool(ends["case.decided"])
    for name, status in world.statuses().items():
        opened = [
            each for each in copies(world) if each.case.endswith(f"~{name}") and each.type == "case.submitted"
        ]
        assert len({each.id for each in opened}) == (status != "void")
        if opened:
            expected = {
                "granted": Status.ISSUED,
                "denied": Status.DECIDED,
                "refused": Status.REFUSED,
                "withdrawn": Status.WITHDRAWN,
            }
            assert world.part(name).status is expected[status]
    on_one_partition = {record.key for record in world.ledger}
    assert on_one_partition == {BORN.encode()}
    assert all(opening_partner(each.case) == HALL for each in copies(world))


def _end_one(world: World, data: st.DataObject, name: str) -> None:
    how = data.draw(st.sampled_from(["granted", "denied", "refused", "withdrawn"]))
    if how == "refused":
        world.by(name, "case.refused")
    elif how == "withdrawn":
        world.say("case.withdrawn", HALL, AUTHORITIES[name], part_case(BORN, name), DATA["case.withdrawn"])
    else:
        world.by(name, "case.accepted")
        world.by(name, "case.decided", data=decided(how))


# In the stage itself, on a store.


@pytest.mark.parametrize(("size", "chunk"), [(1, 1), (1, 100), (3, 7), (1000, 2)])
async def test_the_stage_and_a_rebuild_come_to_the_same_bundle(tmp_path: Path, size: int, chunk: int) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'view.db'}")
    stage = StageWorld(store)
    stage.ledger = Ledger()
    (applied_directory,) = directory_records(
        CODEC, DOCUMENTS, by="test", reason="test", now=NOW, ledger_partitions=1
    )
    stage.ledger.append(applied_directory)
    script = World()
    steps = [
        [script.apply_newborn()],
        [script.by("chusheng", "case.accepted"), script.by("chusheng", "case.decided", data=decided())],
        [script.by("luohu", "case.accepted"), script.by("luohu", "case.decided", data=decided("denied"))],
        [script.say("case.withdrawn", HALL, LEAD, BORN)],
    ]
    for step in steps:
        for message in step:
            stage.ledger.put(message)
        async with stage.at_work(batch=size):
            await stage.caught_up()
    names = [BORN, *(part_case(BORN, name) for name in ("chusheng", "jiezhong", "luohu"))]
    before = [await store.read(cases.case_state, name) for name in names]
    assert [each.status for each in before if each] == [
        Status.DECIDED,
        Status.DECIDED,
        Status.WITHDRAWN,
        Status.DECIDED,
    ]

    await store.call(ledger_view.clear_view)
    records = stage.ledger.records[topics.LEDGER, 0]
    for start in range(0, len(records), chunk):
        some = records[start : start + chunk]
        await take_in(store, CODEC, some, read_at=stage.ledger.read_at, outbox_partitions=1)
    assert [await store.read(cases.case_state, name) for name in names] == before
    await store.close()
