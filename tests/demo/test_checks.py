"""The checks themselves: each must be able to fail, and say what it found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.demo.checks import Books, Flow, Ledgers, flow_checks
from deploy.demo.records import Effect, Sent
from tests.demo.doubles import AT

CASE = "451300/LB1-0001"
FLOW = Flow(
    case=CASE,
    opening="451300",
    responsible="430423",
    opening_says=("case.submitted", "case.delivered"),
    responsible_says=("case.accepted",),
)


def effect(type_: str, source: str, correlation: str | None = None) -> Effect:
    message = f"m-{type_}"
    return Effect(
        webhook_id=f"{source}_{message}",
        source=source,
        id=message,
        type=type_,
        case=CASE,
        correlation=correlation,
        digest="sha-256:0",
        attempt=1,
        reference=None,
        event=b"{}",
        at=AT,
    )


def sent(type_: str, state: str = "accepted") -> Sent:
    return Sent(
        seq=1,
        id=f"m-{type_}",
        type=type_,
        case=CASE,
        state=state,
        attempts=1,
        status=202,
        code=None,
        detail=None,
        digest=None,
        duplicate=False,
        receipt=None,
        receipt_detail=None,
        queued_at=AT,
        accepted_at=AT,
        receipt_at=None,
    )


def books(effects: list[Effect], messages: list[Sent]) -> Books:
    return Books(effects=effects, attempts=[], cases=[], steps=[], sent=messages)


def receipt(name: str, type_: str = "receipt.delivered") -> Effect:
    return effect(type_, "tongban", name)


def good() -> dict[str, Books]:
    opening = books(
        [
            effect("case.accepted", "430423"),
            receipt("451300/m-case.submitted"),
            receipt("451300/m-case.delivered"),
        ],
        [sent("case.submitted"), sent("case.delivered")],
    )
    responsible = books(
        [
            effect("case.submitted", "451300"),
            effect("case.delivered", "451300"),
            receipt("430423/m-case.accepted"),
        ],
        [sent("case.accepted")],
    )
    return {"451300": opening, "430423": responsible}


def holding(ledgers: Ledgers) -> list[bool]:
    return [check.holds for check in flow_checks(ledgers, FLOW)]


def with_effects(ledgers: dict[str, Books], city: str, effects: list[Effect]) -> Ledgers:
    return {**ledgers, city: replace(ledgers[city], effects=effects)}


def test_a_case_that_went_its_way_holds() -> None:
    assert holding(good()) == [True, True, True]


def test_a_missing_effect_is_found() -> None:
    effects = good()["430423"].effects
    assert holding(with_effects(good(), "430423", [effects[0], effects[2]])) == [False, True, True]


def test_a_doubled_effect_is_found() -> None:
    effects = list(good()["451300"].effects)
    assert holding(with_effects(good(), "451300", [effects[0], *effects])) == [True, False, True]


def test_a_changed_order_is_found() -> None:
    effects = list(reversed(good()["430423"].effects))
    ledgers = with_effects(good(), "430423", effects)
    assert holding(ledgers) == [False, True, True]
    assert flow_checks(ledgers, FLOW)[0].found == "delivered → submitted"


@pytest.mark.parametrize("receipts", [[], ["receipt.rejected"], ["receipt.delivered"] * 2])
def test_a_receipt_is_one_and_says_delivered(receipts: list[str]) -> None:
    effects = [*good()["430423"].effects[:2], *(receipt("430423/m-case.accepted", each) for each in receipts)]
    ledgers = with_effects(good(), "430423", effects)
    assert holding(ledgers) == [True, True, False]
    assert flow_checks(ledgers, FLOW)[2].found == "2/3"


def test_a_message_that_was_never_said_is_missed() -> None:
    ledgers = good()
    ledgers["451300"] = replace(ledgers["451300"], sent=[sent("case.submitted")])
    assert holding(ledgers) == [True, True, False]


def test_a_message_that_was_not_accepted_is_missed() -> None:
    ledgers = good()
    ledgers["430423"] = replace(ledgers["430423"], sent=[sent("case.accepted", "queued")])
    assert holding(ledgers) == [True, True, False]
