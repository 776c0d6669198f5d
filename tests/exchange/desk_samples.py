"""What is said about messages in the exchange's tests of the desk: receipts of the broker, acts of persons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from broker.core.ids import BROKER, PartnerId
from broker.core.message import Message, MessageClass, to_headers, value_digest
from broker.core.operating.desk import SCHEDULE_USED_UP, Act, Dossier
from broker.core.receipts import Outcome, Receipt
from broker.core.records import NewRecord, Position
from broker.exchange.acts import act_record
from broker.log.admin.topics import LEDGER
from tests.exchange.fakes import CODEC, NOW, Ledger

BY = "值班员 07"
WHY = "伙伴系统检修"


def ended(
    of: Message,
    outcome: Outcome = Outcome.UNDELIVERABLE,
    *,
    cause: str | None = SCHEDULE_USED_UP,
    redrive: int = 0,
) -> NewRecord:
    """The broker's word on how the delivery of ``of`` ended, as delivery writes it."""
    receipt = Receipt(
        acknowledged=of.name,
        recipient=PartnerId(of.destination),
        outcome=outcome,
        digest=of.digest,
        dataschema=of.dataschema,
        attempt=10,
        at=NOW,
        answer_code=None if outcome is Outcome.DELIVERED else cause,
        detail=None if outcome is Outcome.DELIVERED else "503",
        redrive=redrive,
    )
    value = CODEC.encode(receipt.type, receipt.to_datum())
    message = Message(
        id=receipt.id,
        source=BROKER,
        type=receipt.type,
        case=of.case,
        destination=of.source,
        time=NOW,
        message_class=(MessageClass.ERROR if outcome is Outcome.UNDELIVERABLE else MessageClass.RECEIPT),
        digest=value_digest(value),
        dataschema=CODEC.dataschema(receipt.type),
        value=value,
        correlation=of.name,
    )
    return NewRecord(
        topic=LEDGER, key=of.case.encode(), value=value, headers=to_headers(message), partition=0
    )


def on_paper(of: Message) -> Dossier:
    """The dossier of ``of`` as a command knows it, enough to make an act of."""
    return Dossier(
        name=(of.source, of.id),
        partner=PartnerId(of.destination),
        case=of.case,
        cause="-",
        detail="-",
        blocks=False,
        ledger_partition=0,
        ledger_offset=0,
        opened_at_ms=0,
        updated_at_ms=0,
        due_at_ms=0,
    )


@dataclass
class Office:
    """Somebody of operations: each act is a second later than the one before, so that none is another's repeat."""

    ledger: Ledger
    acts: int = 0

    def does(self, act: Act, of: Message, **facts: Any) -> Position:
        return self.ledger.append(self.record(act, of, **facts))

    def record(self, act: Act, of: Message, **facts: Any) -> NewRecord:
        self.acts += 1
        return act_record(
            CODEC,
            act,
            on_paper(of),
            by=BY,
            reason=WHY,
            now=NOW + timedelta(seconds=self.acts),
            ledger_partitions=1,
            **facts,
        )
