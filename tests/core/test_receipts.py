from __future__ import annotations

from dataclasses import replace

from broker.core.case.transitions import MESSAGE_TYPES
from broker.core.ids import PartnerId, message_id, receipt_id
from broker.core.receipts import TYPES, Outcome, Receipt
from tests.core.samples import NOON

RECEIPT = Receipt(
    acknowledged="451300/m-1",
    recipient=PartnerId("430423"),
    outcome=Outcome.DELIVERED,
    digest="sha-256:" + "0" * 64,
    dataschema="/schemas/ids/1",
    attempt=2,
    at=NOON,
    reference="HS-77",
)


def test_every_outcome_has_a_type_of_the_contract() -> None:
    assert set(TYPES) == set(Outcome)
    assert set(TYPES.values()) <= set(MESSAGE_TYPES)


def test_the_id_is_of_message_recipient_and_outcome_alone() -> None:
    assert message_id(RECEIPT.id) == RECEIPT.id
    assert replace(RECEIPT, attempt=9, reference=None, detail="again").id == RECEIPT.id
    others = [
        replace(RECEIPT, acknowledged="451300/m-2"),
        replace(RECEIPT, recipient=PartnerId("350200")),
        replace(RECEIPT, outcome=Outcome.REJECTED),
    ]
    assert len({RECEIPT.id, *(each.id for each in others)}) == 4


def test_a_failure_after_a_redrive_is_another_one_and_a_delivery_is_the_same_effect() -> None:
    failures = [replace(RECEIPT, outcome=Outcome.UNDELIVERABLE, redrive=number).id for number in range(3)]
    assert len(set(failures)) == 3
    assert failures[0] == receipt_id(RECEIPT.acknowledged, RECEIPT.recipient, "undeliverable")
    assert replace(RECEIPT, redrive=2).id == RECEIPT.id


def test_the_datum_states_the_facts() -> None:
    datum = RECEIPT.to_datum()
    assert datum["acknowledged"] == "451300/m-1"
    assert datum["recipient"] == "430423"
    assert datum["attempt"] == 2
    assert datum["reference"] == "HS-77"
