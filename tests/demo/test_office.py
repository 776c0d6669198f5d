"""The office's state machine and code table: every procedure walked, and what it must not take."""

from __future__ import annotations

import pytest

from deploy.demo.office import Procedure, Reaction, Rejection, Role
from deploy.demo.records import CaseRow
from tests.demo.doubles import AT, a_case, an_event, an_office

REVIEWED = ("case.accepted", "case.step-completed", "case.decided", "case.result-issued")


def hear(case: CaseRow | None, type_: str, **facts: str) -> Reaction:
    reaction = an_office().hear(case, an_event(type_, **facts), number="HS1-0001", at=AT)
    assert isinstance(reaction, Reaction), reaction
    return reaction


def rejected(case: CaseRow | None, type_: str, **facts: str) -> Rejection:
    rejection = an_office().hear(case, an_event(type_, **facts), number="HS1-0001", at=AT)
    assert isinstance(rejection, Rejection), rejection
    return rejection


@pytest.mark.parametrize(
    ("item", "steps"),
    [
        (
            "xinshenger-ruhu",
            [
                ("case.submitted", ("case.supplement-requested",), "supplement-requested"),
                ("case.supplemented", REVIEWED, "issued"),
                ("case.delivered", (), "delivered"),
                ("case.rated", (), "closed"),
            ],
        ),
        (
            "huji-zhengming",
            [
                ("case.submitted", REVIEWED, "issued"),
                ("case.urged", (), "issued"),
                ("case.delivered", (), "delivered"),
                ("case.rated", (), "closed"),
            ],
        ),
        (
            "yidi-jiuyi-beian",
            [("case.submitted", ("case.accepted", "case.decided", "case.result-issued"), "issued")],
        ),
    ],
)
def test_a_responsible_office_goes_by_its_procedure(
    item: str, steps: list[tuple[str, tuple[str, ...], str]]
) -> None:
    case: CaseRow | None = None
    for heard, says, then in steps:
        reaction = hear(case, heard, item=item)
        assert (reaction.says, reaction.case.stage) == (says, then)
        case = reaction.case


def test_an_opening_office_supplements_and_passes_the_result_on() -> None:
    case = an_office("451300").open(
        number="LB1-0001", to="430423", item="xinshenger-ruhu", mode="collected", at=AT
    )
    assert (case.case, case.role, case.stage) == ("451300/LB1-0001", Role.OPENING, "submitted")
    said: list[str] = []
    for heard in ("case.supplement-requested", *REVIEWED):
        reaction = hear(case, heard)
        said.extend(reaction.says)
        case = reaction.case
    assert said == ["case.supplemented", "case.delivered", "case.rated"]
    assert case.stage == "closed"


def test_a_new_case_is_filed_under_our_number_with_our_code() -> None:
    reaction = hear(None, "case.submitted")
    assert (reaction.case.number, reaction.case.case) == ("HS1-0001", "451300/LB1-0001")
    assert (reaction.heard_code, reaction.case.code) == ("1", "6")
    assert (reaction.case.role, reaction.case.counterpart) == (Role.RESPONSIBLE, "451300")


def test_a_type_without_a_code_of_ours_is_filed_as_none() -> None:
    assert hear(a_case(stage="issued"), "case.delivered").case.code == "0"


@pytest.mark.parametrize(
    ("stage", "type_"),
    [
        ("supplement-requested", "case.submitted"),
        ("issued", "case.supplemented"),
        ("supplement-requested", "case.delivered"),
        ("closed", "case.rated"),
    ],
)
def test_what_the_stage_does_not_expect_is_rejected(stage: str, type_: str) -> None:
    rejection = rejected(a_case(stage=stage), type_)
    assert rejection.code == "state-illegal"
    assert stage in rejection.detail
    assert type_ in rejection.detail


def test_a_message_on_a_case_that_is_not_here_is_rejected() -> None:
    assert rejected(None, "case.supplemented").code == "case-not-here"
    assert rejected(None, "case.urged").code == "case-not-here"


def test_an_item_that_is_not_handled_here_is_rejected() -> None:
    assert rejected(None, "case.submitted", item="buzhang-banli").code == "item-not-handled"


def test_every_procedure_answers_an_application() -> None:
    items = {procedure: item for item, procedure in an_office().procedures.items()}
    for procedure in set(Procedure) - {Procedure.BY_HAND}:
        assert hear(None, "case.submitted", item=items[procedure]).says


def test_staff_speak_where_an_item_is_handled_by_hand() -> None:
    filed = hear(None, "case.submitted", item="gongchang-xuke")
    assert (filed.says, filed.case.stage, filed.case.manner) == ((), "submitted", "by-hand")
    moved = an_office().said(filed.case, "case.accepted", AT)
    assert (moved.stage, moved.code) == ("accepted", "3")
    assert hear(moved, "case.urged", item="gongchang-xuke").case.stage == "urged"


def test_the_result_waits_for_the_fee() -> None:
    filed = hear(None, "case.submitted", item="budongchan-diya")
    assert filed.says == ("case.accepted", "case.step-completed", "fee.requested", "case.decided")
    paid = hear(filed.case, "fee.paid", item="budongchan-diya", source="/partners/430423-caizheng")
    assert (paid.says, paid.case.stage) == (("case.result-issued",), "issued")


@pytest.mark.parametrize(
    ("item", "type_", "stage"),
    [("shebaoka-shenling", "case.refused", "refused"), ("gongjijin-tuixiu", "case.decided", "decided")],
)
def test_who_refuses_or_denies_says_why_and_by_which_law(item: str, type_: str, stage: str) -> None:
    reaction = hear(None, "case.submitted", item=item)
    assert reaction.case.stage == stage
    assert "行政许可法" in str(reaction.fields[type_]["legal_basis"])


def test_each_step_of_the_leaflet_is_said_and_the_promise_is_the_agreements() -> None:
    reaction = hear(None, "case.submitted", item="yanglao-zhuanyi")
    assert reaction.says.count("case.step-completed") == 3
    assert reaction.fields["case.accepted"] == {"promised_days": 12}


def test_a_complaint_is_filed_and_answered_by_whoever_is_asked() -> None:
    reaction = hear(None, "complaint.filed", item="", mode="")
    assert (reaction.says, reaction.case.stage) == (("complaint.answered",), "answered")


def test_a_withdrawal_reaches_an_office_at_any_stage() -> None:
    for stage in ("supplement-requested", "issued", "to-pay"):
        assert hear(a_case(stage=stage), "case.withdrawn").case.stage == "withdrawn"


@pytest.mark.parametrize(
    "heard",
    [
        ("case.accepted", *["case.step-completed"] * 6, "case.decided", "case.result-issued"),
        (
            "case.accepted",
            "case.paused",
            "case.resumed",
            "case.extended",
            "case.decided",
            "case.result-issued",
        ),
        (
            "case.accepted",
            "fee.requested",
            "case.decided",
            "fee.paid",
            "case.result-issued",
            "case.rectified",
        ),
    ],
    ids=["joined answer", "special procedure", "fee and correction"],
)
def test_an_opening_office_follows_a_case_to_its_end(heard: tuple[str, ...]) -> None:
    case = an_office("451300").open(
        number="LB1-0001", to="430423", item="xinshenger-ruhu", mode="collected", at=AT, score=2
    )
    said: list[str] = []
    for type_ in heard:
        reaction = hear(case, type_)
        said.extend(reaction.says)
        case = reaction.case
    assert (said, case.stage) == (["case.delivered", "case.rated"], "closed")
