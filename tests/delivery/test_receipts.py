"""What ends a delivery, as a record: all that it says, where a part's receipt stands, and that it is of a copy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from broker.core.ids import BROKER, CaseId, PartnerId
from broker.core.message import Message, MessageClass, Mode, from_record, to_headers, value_digest
from broker.core.receipts import Outcome, Receipt
from broker.core.records import Position, Record
from broker.delivery.ending.receipts import Ending, receipt_record
from tests.core.samples import by_opening
from tests.delivery.fakes import CODEC

PARENT, PART = CaseId("451300/1"), CaseId("451300/1~luohu")

RECIPIENT = PartnerId("430423")
PLAIN = by_opening("case.submitted")
FULL = replace(
    PLAIN,
    item="0761-001",
    mode=Mode.COLLECTED,
    correlation="451300/m-0",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    accepted_at=datetime(2026, 3, 2, 4, 0, tzinfo=UTC),
    redrive=2,
    part_of="451300/m-0",
)


def as_record(message: Message) -> Record:
    return Record(
        position=Position("tongban.outbox.430423", 0, 3),
        timestamp_ms=0,
        key=message.case.encode(),
        value=b"",
        headers=to_headers(message),
    )


@pytest.mark.parametrize("message", [PLAIN, FULL])
@pytest.mark.parametrize("outcome", Outcome)
def test_its_headers_are_those_of_a_message_that_the_broker_says(message: Message, outcome: Outcome) -> None:
    record = as_record(message)
    ending = Ending(outcome=outcome, attempt=3, at_s=1_790_000_000.25, code="200", reference="R-1")
    made = receipt_record(CODEC, message, record, RECIPIENT, ending)
    receipt = Receipt(
        acknowledged=message.name,
        recipient=RECIPIENT,
        outcome=outcome,
        digest=message.digest,
        dataschema=message.dataschema,
        attempt=3,
        at=datetime.fromtimestamp(1_790_000_000.25, UTC),
        accepted_at=message.accepted_at,
        answer_code="200",
        reference="R-1",
        redrive=message.redrive,
    )
    said = Message(
        id=receipt.id,
        source=BROKER,
        type=receipt.type,
        case=message.case,
        destination=message.source,
        time=receipt.at,
        message_class=MessageClass.ERROR if outcome is Outcome.UNDELIVERABLE else MessageClass.RECEIPT,
        digest=value_digest(made.value),
        dataschema=CODEC.dataschema(receipt.type),
        value=made.value,
        item=message.item,
        mode=message.mode,
        correlation=message.name,
        traceparent=message.traceparent,
        source_position=record.position,
        part_of=message.part_of,
    )
    assert made.headers == to_headers(said)
    assert CODEC.decode(made.value).datum == receipt.to_datum()


@pytest.mark.parametrize("key", [PARENT, PART])
@pytest.mark.parametrize("outcome", [Outcome.DELIVERED, Outcome.UNDELIVERABLE])
def test_a_parts_receipt_stands_on_its_parents_partition_and_says_that_it_is_of_a_copy(
    key: CaseId, outcome: Outcome
) -> None:
    copy = replace(by_opening("case.submitted"), case=PART, part_of="451300/m-0")
    record = Record(
        position=Position("tongban.outbox.430423", 0, 3),
        timestamp_ms=0,
        key=key.encode(),
        value=b"",
        headers=to_headers(copy),
    )
    ending = Ending(outcome=outcome, attempt=1, at_s=0.0)
    made = receipt_record(CODEC, from_record(record), record, PartnerId("430423"), ending)
    assert (made.key, made.partition) == (PARENT.encode(), None), "the writer chooses by the key"
    said = from_record(replace(record, headers=made.headers, value=made.value))
    assert (said.case, said.part_of) == (PART, "451300/m-0")


def test_any_other_receipt_says_nothing_of_the_kind() -> None:
    message = by_opening("case.submitted")
    record = Record(
        position=Position("tongban.outbox.430423", 0, 3),
        timestamp_ms=0,
        key=message.case.encode(),
        value=b"",
        headers=to_headers(message),
    )
    ending = Ending(outcome=Outcome.DELIVERED, attempt=1, at_s=0.0)
    made = receipt_record(CODEC, message, record, PartnerId("430423"), ending)
    assert "tongban-part-of" not in dict(made.headers)
    assert made.key == message.case.encode()
