"""Judging a ledger record: applied, refused, repeated or settled, from the record, the view and the directory alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from broker.core.case.lifecycle import CaseState, Status
from broker.core.case.routing import (
    DIRECTORY_CASE,
    Acted,
    Applied,
    Known,
    LeverPulled,
    NewDirectory,
    NoSubject,
    Refused,
    Repeated,
    Settled,
    judge,
)
from broker.core.catalogue.directory import Directory, read_directory
from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, Party, receipt_id
from broker.core.message import Message, MessageClass, Mode
from broker.core.operating.desk import SCHEDULE_USED_UP, Act, act, opened
from broker.core.operating.levers import levers_case
from broker.core.problems import Refusal
from broker.core.receipts import Outcome

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
LAIBIN, HENGSHAN = Party("451300"), Party("430423")
CASE = CaseId("451300/LB-1")


def partner(code: str, extra: str = "") -> str:
    return f'id="{code}"\nname="{code}"\ncontact="窗口"\n{extra}\n[connector]\nkind="mailbox"\n'


DOCUMENTS = {
    "partners/451300.toml": partner("451300"),
    "partners/430423.toml": partner("430423"),
    "partners/350200.toml": partner("350200", "receipts=false"),
    "items/xinshenger-ruhu.toml": 'code="xinshenger-ruhu"\nname="新生儿入户"\npromised_days=5\n',
    "agreements/430423--451300.toml": (
        'partners=["430423","451300"]\nitems=["xinshenger-ruhu"]\nmodes=["collected"]\nsince=2026-01-01\n'
    ),
    "agreements/350200--430423.toml": (
        'partners=["350200","430423"]\nitems=["xinshenger-ruhu"]\nmodes=["online"]\nsince=2026-01-01\n'
    ),
}
DIRECTORY: Directory = read_directory(DOCUMENTS)

SUBMITTED = Message(
    id=MessageId("LB-1-submitted"),
    source=LAIBIN,
    type="case.submitted",
    case=CASE,
    destination=HENGSHAN,
    time=NOW,
    message_class=MessageClass.INITIAL,
    digest="sha-256:00",
    dataschema="/schemas/ids/1",
    value=b"",
    item="xinshenger-ruhu",
    mode=Mode.COLLECTED,
)
RECEIPT = replace(
    SUBMITTED,
    id=MessageId("r-1"),
    source=BROKER,
    type="receipt.delivered",
    destination=LAIBIN,
    message_class=MessageClass.RECEIPT,
    correlation=SUBMITTED.name,
)


def opened_case() -> CaseState:
    judgement = judge(SUBMITTED, None, None, DIRECTORY, NOW)
    assert isinstance(judgement, Applied)
    assert judgement.state is not None
    return judgement.state


def test_a_submission_within_an_agreement_opens_the_case_and_goes_to_the_responsible_city() -> None:
    judgement = judge(SUBMITTED, None, None, DIRECTORY, NOW)
    assert isinstance(judgement, Applied)
    assert judgement.routes == (PartnerId("430423"),)
    assert judgement.state is not None
    assert judgement.state.status is Status.SUBMITTED


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (replace(SUBMITTED, mode=Mode.ONLINE), "agreement-missing"),
        (replace(SUBMITTED, item="hukou-qianyi"), "item-unknown"),
        (replace(SUBMITTED, destination=Party("110000")), "partner-unknown"),
        (replace(SUBMITTED, destination=Party("350200")), "agreement-missing"),
        (replace(SUBMITTED, expires=NOW), "expired"),
        (replace(SUBMITTED, type="case.accepted"), "case-unknown"),
    ],
)
def test_what_may_not_be_is_refused_with_its_code_and_leaves_the_case_alone(
    message: Message, code: str
) -> None:
    judgement = judge(message, None, None, DIRECTORY, NOW)
    assert isinstance(judgement, Refused)
    assert judgement.refusal.code == code


def test_a_message_that_expires_a_moment_later_still_goes() -> None:
    assert isinstance(
        judge(replace(SUBMITTED, expires=NOW + timedelta(milliseconds=1)), None, None, DIRECTORY, NOW),
        Applied,
    )


def test_the_same_id_and_content_again_has_no_second_effect() -> None:
    assert judge(SUBMITTED, opened_case(), Known(digest=SUBMITTED.digest), DIRECTORY, NOW) == Repeated()


def test_the_same_id_with_other_content_is_refused_and_the_first_message_keeps_its_row() -> None:
    judgement = judge(SUBMITTED, opened_case(), Known(digest="sha-256:ff"), DIRECTORY, NOW)
    assert isinstance(judgement, Refused)
    assert judgement.refusal.code == "message-id-reused"
    assert not judgement.recorded


def test_judging_twice_makes_the_same_notice_so_that_a_repeated_attempt_is_dropped() -> None:
    refused = replace(SUBMITTED, mode=Mode.ONLINE)
    first, second = (judge(refused, None, None, DIRECTORY, NOW + timedelta(days=each)) for each in (0, 1))
    assert isinstance(first, Refused)
    assert isinstance(second, Refused)
    assert first.notice_id == second.notice_id


def test_a_receipt_settles_the_message_and_goes_to_its_sender() -> None:
    assert judge(RECEIPT, opened_case(), Known(digest=SUBMITTED.digest), DIRECTORY, NOW) == Settled(
        name=(LAIBIN, "LB-1-submitted"), outcome=Outcome.DELIVERED, routes=(PartnerId("451300"),)
    )


def test_a_repeated_receipt_is_dropped_and_delivered_is_never_taken_back() -> None:
    delivered = Known(digest="sha-256:00", outcome=Outcome.DELIVERED, receipt="r-1")
    late = replace(RECEIPT, id=MessageId("r-2"), type="receipt.rejected")
    assert judge(RECEIPT, opened_case(), delivered, DIRECTORY, NOW) == Repeated()
    assert judge(late, opened_case(), delivered, DIRECTORY, NOW) == Repeated()


def test_what_was_undeliverable_may_be_delivered_after_all() -> None:
    on_the_desk = Known(digest="sha-256:00", outcome=Outcome.UNDELIVERABLE, receipt="n-1")
    assert isinstance(judge(RECEIPT, opened_case(), on_the_desk, DIRECTORY, NOW), Settled)


def test_a_partner_that_wants_no_receipts_is_not_sent_them_but_is_sent_notices() -> None:
    receipt = replace(RECEIPT, destination=Party("350200"))
    notice = replace(receipt, type="notice.undeliverable", message_class=MessageClass.ERROR)
    settled, told = (judge(each, None, None, DIRECTORY, NOW) for each in (receipt, notice))
    assert isinstance(settled, Settled)
    assert isinstance(told, Settled)
    assert settled.routes == ()
    assert told.routes == (PartnerId("350200"),)


def test_a_directory_record_takes_effect_from_the_next_record_on() -> None:
    record = replace(
        SUBMITTED, source=BROKER, type="directory.applied", case=DIRECTORY_CASE, destination=BROKER
    )
    assert judge(record, None, None, DIRECTORY, NOW) == NewDirectory()


def test_a_partner_cannot_speak_as_the_broker() -> None:
    forged = replace(RECEIPT, source=HENGSHAN)
    judgement = judge(forged, opened_case(), None, DIRECTORY, NOW)
    assert isinstance(judgement, Refused)
    assert judgement.refusal.code == "transition-illegal"


ACT = replace(
    SUBMITTED,
    id=MessageId("o-1"),
    source=BROKER,
    type="operator.redriven",
    destination=HENGSHAN,
    correlation=SUBMITTED.name,
)


def test_an_act_is_of_the_dossier_that_it_names() -> None:
    assert judge(ACT, opened_case(), None, DIRECTORY, NOW) == Acted(
        name=(LAIBIN, MessageId("LB-1-submitted")), act=Act.REDRIVEN
    )
    assert judge(ACT, opened_case(), Known(digest=ACT.digest), DIRECTORY, NOW) == Repeated()


@pytest.mark.parametrize("correlation", [None, "nobody"])
def test_an_act_that_names_no_message_cannot_be_judged(correlation: str | None) -> None:
    with pytest.raises(NoSubject):
        judge(replace(ACT, correlation=correlation), opened_case(), None, DIRECTORY, NOW)


def test_a_note_on_a_whole_case_is_no_act_on_the_desk() -> None:
    note = replace(ACT, type="operator.noted", correlation=None, destination=BROKER)
    assert judge(note, opened_case(), None, DIRECTORY, NOW) == Applied(state=opened_case(), routes=())


def test_a_lever_is_of_the_partner_in_its_key() -> None:
    lever = replace(ACT, type="operator.paused", correlation=None, destination=BROKER)
    on_line = replace(lever, case=levers_case(PartnerId("430423")))
    assert judge(on_line, None, None, DIRECTORY, NOW) == LeverPulled(partner=PartnerId("430423"))
    assert isinstance(judge(lever, None, None, DIRECTORY, NOW), Applied), "under a case it pulls nothing"


def test_no_partner_acts_on_the_desk_or_pulls_a_lever() -> None:
    for type_ in ("operator.redriven", "operator.paused"):
        judgement = judge(replace(ACT, type=type_, source=LAIBIN), opened_case(), None, DIRECTORY, NOW)
        assert isinstance(judgement, Refused)
        assert judgement.refusal.code == "transition-illegal"


def test_a_failure_told_again_after_the_redrive_is_a_repeat_and_a_new_one_is_not() -> None:
    dossier = opened(
        (LAIBIN, SUBMITTED.id),
        partner=PartnerId("430423"),
        case=CASE,
        outcome=Outcome.UNDELIVERABLE,
        cause=SCHEDULE_USED_UP,
        detail="",
        place=(0, 0),
        at_ms=0,
    )
    redriven = act(dossier, Act.REDRIVEN, at_ms=1)
    assert not isinstance(redriven, Refusal)
    known = Known(digest="sha-256:00", receipt="of another failure")
    notices = [
        replace(
            RECEIPT,
            id=receipt_id(SUBMITTED.name, "430423", Outcome.UNDELIVERABLE, number),
            type="notice.undeliverable",
        )
        for number in range(2)
    ]
    late, new = (judge(each, None, known, DIRECTORY, NOW, redriven) for each in notices)
    assert late == Repeated()
    assert isinstance(new, Settled)
