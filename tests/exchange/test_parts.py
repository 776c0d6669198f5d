"""Bundles through the exchange: parts open, are held, and say how far they are. Real codec, real judging."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.core.case.lifecycle import Status
from broker.core.events import compartment_aad, structured_event
from broker.core.ids import BROKER, MessageId, Party, key_case, part_case
from broker.core.message import MessageClass, from_record, value_digest
from broker.core.receipts import Outcome
from broker.core.records import Position, Record
from broker.errors import Corrupt
from broker.log.admin import topics
from broker.log.values.compartment import open_value, seal_value
from tests.exchange.bundle_steps import CHAIN, applied, copies
from tests.exchange.bundle_world import AUTHORITIES, BORN, DATA, HALL, LEAD, NOW, PARTITION, World, decided
from tests.exchange.desk_samples import ended
from tests.exchange.fakes import CODEC

PAPERS: dict[str, object] = {
    "applicant": None,
    "agent": None,
    "documents": [],
    "form": {"证照编号": "无此编号"},
}
"""What an authority seals with its answer: its certificate's form fields."""
ANSWERS: dict[str, dict[str, object]] = {
    "case.decided": decided("denied"),
    "case.refused": DATA["case.refused"],
    "case.result-issued": {"issued_at": NOW},
}


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


def test_how_far_an_authority_is_the_broker_tells_and_its_answers_it_brings(world: World) -> None:
    applied(world)
    part = part_case(BORN, "chusheng")
    world.by("chusheng", "case.accepted")
    world.by("chusheng", "case.step-completed", data={"completed_at": NOW, "step": "1", "step_name": "审核"})
    world.by("chusheng", "case.decided", data=decided())
    world.judge()
    world.issue("chusheng")
    own = [type_ for type_, case in world.got(HALL) if case == part]
    assert own == ["case.decided", "case.result-issued"], "its answers, once each"
    rows = {(row.type, row.case_id): row.verdict for row in world.rows}
    for told_by_the_broker in ("case.accepted", "case.step-completed"):
        assert rows[told_by_the_broker, part] == "recorded", "of that nobody is owed a receipt"
    for brought in ("case.decided", "case.result-issued"):
        assert rows[brought, part] == "applied", "its authority is owed a receipt"
    assert rows["case.accepted", BORN] == "applied"


@pytest.mark.parametrize("type_", ["case.decided", "case.refused", "case.result-issued"])
def test_what_an_authority_seals_in_its_answer_is_opened_by_the_hall_alone(world: World, type_: str) -> None:
    """The exchange has no key: the authority's own record is brought, under the key of the whole."""
    key, nonce = bytes(32), bytes(12)
    applied(world)
    if type_ == "case.result-issued":
        world.decide("chusheng")
    elif type_ == "case.decided":
        world.by("chusheng", "case.accepted")
        world.judge()
    plain = World().by("chusheng", type_, data={**ANSWERS[type_], "sealed": PAPERS})
    said = replace(plain, id=MessageId("m-sealed"))
    sealed = seal_value(CODEC, plain.value, b"{}", key=key, nonce=nonce, aad=compartment_aad(said))
    world.put_message(replace(said, value=sealed))
    world.judge()
    (got,) = [each for each in world.outbox[HALL] if each.id == said.id]
    assert (got.source, got.case, got.value, got.signature) == (
        Party(AUTHORITIES["chusheng"]),
        part_case(BORN, "chusheng"),
        sealed,
        said.signature,
    ), "byte for byte what its authority signed"
    assert key_case(got.case) == BORN, "the key of the whole opens it"
    opened = CODEC.decode(open_value(CODEC, got.value, key=key, aad=compartment_aad(got)).value).datum
    assert opened["sealed"] == PAPERS
    assert structured_event(got, None)["parent"] == BORN
    assert all(each.source != BROKER or each.case == BORN for each in world.outbox[HALL])


def test_its_result_is_at_the_hall_before_the_result_of_the_whole(world: World) -> None:
    applied(world)
    world.by("chusheng", "case.accepted")
    world.by("chusheng", "case.decided", data=decided())
    world.judge()
    for name in ("jiezhong", "luohu"):
        world.by(name, "case.refused")
        world.judge()
    world.issue("chusheng")
    issued = [case for type_, case in world.got(HALL) if type_ == "case.result-issued"]
    assert issued == [part_case(BORN, "chusheng"), BORN]


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
