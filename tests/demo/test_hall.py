"""The hall: one transaction per event, once, whatever comes again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from deploy.demo.forms import application
from deploy.demo.hall import Hall, Repeated, Taken, Ticket, Word
from deploy.demo.ledger import read_cases, read_effects, read_sent, read_steps
from deploy.demo.letters import JsonEvents, Letter
from deploy.demo.office import Procedure, Rejection
from tests.demo.doubles import APPLICANT, AT, a_case, a_hall, a_ledger, a_wish, an_event, an_office


def test_an_application_has_its_effect_and_its_answer_together(tmp_path: Path) -> None:
    hall = a_hall(a_ledger(tmp_path))
    assert hall.take(an_event(), webhook_id="451300_m-submitted", attempt=3) == Taken(reference="HS1-0001")
    path = tmp_path / "ledger.db"
    effect = read_effects(path)[0]
    assert (effect.attempt, effect.reference, effect.event) == (3, "HS1-0001", an_event().verbatim)
    assert [case.stage for case in read_cases(path)] == ["supplement-requested"]
    assert [sent.id for sent in read_sent(path)] == ["HS1-0001-supplement-requested"]
    assert [(step.code, step.said) for step in read_steps(path)] == [("1", False), ("6", True)]


def test_a_repeat_changes_nothing_and_knows_the_reference(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    first = a_hall(ledger).take(an_event(), webhook_id="451300_m-submitted", attempt=1)
    before = read_sent(tmp_path / "ledger.db")
    again = a_hall(ledger).take(an_event(), webhook_id="451300_m-submitted", attempt=2)
    assert (first, again) == (Taken(reference="HS1-0001"), Repeated(reference="HS1-0001"))
    assert read_sent(tmp_path / "ledger.db") == before
    assert len(read_effects(tmp_path / "ledger.db")) == 1


def test_a_rejected_event_leaves_nothing_and_may_come_again(tmp_path: Path) -> None:
    hall = a_hall(a_ledger(tmp_path))
    early = an_event("case.supplemented")
    assert isinstance(hall.take(early, webhook_id="451300_m-supplemented", attempt=1), Rejection)
    assert not read_effects(tmp_path / "ledger.db")
    assert not read_cases(tmp_path / "ledger.db")
    hall.take(an_event(), webhook_id="451300_m-submitted", attempt=1)
    assert isinstance(hall.take(early, webhook_id="451300_m-supplemented", attempt=2), Taken)


def test_a_receipt_is_noted_beside_what_it_acknowledges(tmp_path: Path) -> None:
    hall = a_hall(a_ledger(tmp_path))
    hall.take(an_event(), webhook_id="451300_m-submitted", attempt=1)
    name = "430423/HS1-0001-supplement-requested"
    receipt = an_event("receipt.delivered", source="/tongban", correlationid=name)
    assert hall.take(receipt, webhook_id="tongban_r-1", attempt=1) == Taken(reference="HS1-0001")
    assert [sent.receipt for sent in read_sent(tmp_path / "ledger.db")] == ["delivered"]


def test_a_receipt_for_anothers_message_changes_nothing_of_ours(tmp_path: Path) -> None:
    hall = a_hall(a_ledger(tmp_path))
    hall.take(an_event(), webhook_id="451300_m-submitted", attempt=1)
    foreign = an_event(
        "receipt.rejected", source="/tongban", correlationid="451300/HS1-0001-supplement-requested"
    )
    hall.take(foreign, webhook_id="tongban_r-2", attempt=1)
    assert [sent.receipt for sent in read_sent(tmp_path / "ledger.db")] == [None]


def test_a_notice_says_why(tmp_path: Path) -> None:
    hall = a_hall(a_ledger(tmp_path))
    hall.take(an_event(), webhook_id="451300_m-submitted", attempt=1)
    notice = an_event(
        "notice.refused",
        source="/tongban",
        correlationid="430423/HS1-0001-supplement-requested",
        data={"code": "transition-illegal", "detail": "the case was withdrawn"},
    )
    hall.take(notice, webhook_id="tongban_n-1", attempt=1)
    sent = read_sent(tmp_path / "ledger.db")[0]
    assert (sent.receipt, sent.receipt_detail) == ("refused", "the case was withdrawn")


def test_the_window_opens_and_urges(tmp_path: Path) -> None:
    woken: list[str] = []
    ledger = a_ledger(tmp_path)
    hall = Hall(an_office("451300"), ledger, numbering="LB1", wake=lambda: woken.append("woken"))
    number = hall.open_case(a_wish())
    assert [hall.urge(number), hall.urge(number), hall.urge("LB1-0099")] == [True, True, False]
    assert [sent.id for sent in read_sent(tmp_path / "ledger.db")] == [
        "LB1-0001-submitted",
        "LB1-0001-urged",
        "LB1-0001-urged-2",
    ]
    assert len(woken) == 3


def test_an_item_without_a_leaflet_opens_no_case(tmp_path: Path) -> None:
    hall = a_hall(a_ledger(tmp_path), "451300")
    with pytest.raises(ValueError, match="xinshenger-ruhu"):
        hall.open_case(a_wish(item="unknown"))
    assert read_cases(tmp_path / "ledger.db") == []
    with pytest.raises(ValueError, match="item"):
        application(a_case(item="unknown"), AT, APPLICANT)


def test_staff_say_what_they_like_and_several_words_leave_in_their_order(tmp_path: Path) -> None:
    hall = a_hall(a_ledger(tmp_path), "451300")
    number = hall.open_case(a_wish(manner="by-hand", item_class="II", fields={"route": ["430423"]}))
    case = f"451300/{number}"
    said = hall.say(Word(type="case.urged", case=case), Word(type="case.withdrawn", case=case))
    path = tmp_path / "ledger.db"
    assert said == [each.id for each in read_sent(path)][1:] == ["HS1-0001-urged", "HS1-0001-withdrawn"]
    assert read_cases(path)[0].stage == "withdrawn"


def test_a_word_on_anothers_case_names_its_addressee(tmp_path: Path) -> None:
    hall = a_hall(a_ledger(tmp_path), "430423-caizheng")
    paid = Word(type="fee.paid", case="451300/LB1-0001", to="430423", item="budongchan-diya")
    assert hall.say(paid) == ["LB1-0001-paid"]
    assert read_cases(tmp_path / "ledger.db") == []
    with pytest.raises(ValueError, match="to"):
        hall.say(Word(type="fee.paid", case="451300/LB1-0001"))
    assert len(read_sent(tmp_path / "ledger.db")) == 1, "nothing of it is left"


def test_a_complaint_without_a_destination_goes_to_the_one_door(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    hall = a_hall(ledger, "430400-12345")
    number = hall.complain(Ticket(subject="迟迟未办", channel="hotline", about="451300/LB1-0001"))
    letter = Letter.from_bytes(ledger.next_queued()[0].letter)
    assert (letter.destination, letter.item, letter.mode) == ("tongban", "", "")
    assert letter.data["about_case"] == "451300/LB1-0001"
    assert read_cases(tmp_path / "ledger.db")[0].number == number
    event = orjson.loads(asyncio.run(JsonEvents("430400-12345").body(letter)))
    assert event["destination"] == "/tongban"
    assert "item" not in event
    assert "mode" not in event


def test_a_hall_may_change_how_it_handles_an_item(tmp_path: Path) -> None:
    hall = a_hall(a_ledger(tmp_path))
    hall.handle("xinshenger-ruhu", Procedure.REFUSE)
    hall.take(an_event(), webhook_id="451300_m-submitted", attempt=1)
    assert [sent.type for sent in read_sent(tmp_path / "ledger.db")] == ["case.refused"]


def test_a_part_is_filed_beside_the_case_that_it_is_a_part_of(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    hall = a_hall(ledger, "451300")
    case = f"451300/{hall.open_case(a_wish())}"
    asked = an_event(
        "case.supplement-requested", source="/partners/430400-weijian", subject=f"{case}~chusheng"
    )
    taken = hall.take(asked, webhook_id="430400-weijian_m-1", attempt=1)
    assert taken == Taken(reference="HS1-0001~chusheng")
    answer = read_sent(tmp_path / "ledger.db")[-1]
    assert (answer.id, answer.case) == ("HS1-0001-chusheng-supplemented", f"{case}~chusheng")
    assert [row.stage for row in read_cases(tmp_path / "ledger.db")] == ["submitted", "supplemented"]
    stranger = an_event("case.urged", subject="451300/LB9-0001~chusheng")
    assert isinstance(hall.take(stranger, webhook_id="x_m-2", attempt=1), Rejection)


@pytest.mark.parametrize("answers", [("case.decided", "case.result-issued"), ("case.refused",)])
def test_an_authority_s_answer_is_filed_with_its_part_and_nothing_is_said_on_it(
    tmp_path: Path, answers: tuple[str, ...]
) -> None:
    hall = a_hall(a_ledger(tmp_path), "451300")
    case = f"451300/{hall.open_case(a_wish())}"
    for type_ in answers:
        answer = an_event(type_, source="/partners/430400-weijian", subject=f"{case}~chusheng")
        assert isinstance(hall.take(answer, webhook_id=f"w-{type_}", attempt=1), Taken)
    (whole, part) = read_cases(tmp_path / "ledger.db")
    assert (whole.stage, part.stage) == ("submitted", answers[-1].rpartition(".")[2].removeprefix("result-"))
    assert [sent.type for sent in read_sent(tmp_path / "ledger.db")] == ["case.submitted"]


def test_a_special_procedure_of_an_authority_is_filed_with_its_part(tmp_path: Path) -> None:
    hall = a_hall(a_ledger(tmp_path), "451300")
    case = f"451300/{hall.open_case(a_wish())}"
    stages = []
    for type_ in ("case.paused", "case.resumed", "case.extended"):
        word = an_event(type_, source="/partners/430400-weijian", subject=f"{case}~chusheng")
        assert isinstance(hall.take(word, webhook_id=f"w-{type_}", attempt=1), Taken)
        stages.append(read_cases(tmp_path / "ledger.db")[-1].stage)
    assert stages == ["paused", "accepted", "accepted"]
