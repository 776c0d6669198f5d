"""What ends a delivery, as a record: where a part's receipt stands, and that it is of a copy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.core.ids import CaseId, PartnerId
from broker.core.message import from_record, to_headers
from broker.core.receipts import Outcome
from broker.core.records import Position, Record
from broker.delivery.receipts import Ending, receipt_record
from tests.core.samples import by_opening
from tests.delivery.fakes import CODEC

PARENT, PART = CaseId("451300/1"), CaseId("451300/1~luohu")


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
