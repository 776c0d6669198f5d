from __future__ import annotations

import pytest

from broker.core.case.transitions import MESSAGE_TYPES, TRANSITIONS, TypeRule
from broker.core.message import MessageClass


def test_names_are_unique_and_of_one_form() -> None:
    assert len(MESSAGE_TYPES) == len(TRANSITIONS)
    for name in MESSAGE_TYPES:
        family, dot, act = name.partition(".")
        assert dot
        assert family.isalpha()
        assert act == act.lower()


@pytest.mark.parametrize("rule", TRANSITIONS, ids=lambda rule: rule.name)
def test_rows_are_whole(rule: TypeRule) -> None:
    assert rule.says
    assert rule.zh
    assert bool(rule.since) != rule.opens, "an opening message follows no status; every other follows some"
    assert rule.to is not None or not rule.opens
    assert (rule.fee_since is None) == (rule.fee_to is None)
    assert (rule.rating_since is None) == (rule.rating_to is None)


@pytest.mark.parametrize("rule", TRANSITIONS, ids=lambda rule: rule.name)
def test_receipts_and_errors_are_classes_of_the_broker_alone(rule: TypeRule) -> None:
    if rule.name.startswith("receipt."):
        assert rule.classes == {MessageClass.RECEIPT}
    elif rule.name in {"notice.refused", "notice.undeliverable"}:
        assert rule.classes == {MessageClass.ERROR}
    else:
        # a partner's message of class 2 would be delivered without ever being receipted
        assert rule.classes <= {MessageClass.INITIAL, MessageClass.RESPONSE}
