"""The records that end a delivery: receipts and notices for the ledger, dossiers for the desk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from broker.core.ids import BROKER, PartnerId
from broker.core.message import Message, MessageClass, make_message, to_headers, value_digest
from broker.core.receipts import Outcome, make_receipt
from broker.core.records import NewRecord, Record, make_new_record
from broker.delivery.ports import Encoder
from broker.log.topics import DESK, LEDGER, ledger_key

_CONNECT: Final = "__connect.errors."


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one delivery ended. ``code`` is the partner's answer or the broker's cause, ``detail`` the reason."""

    outcome: Outcome
    attempt: int
    at_s: float
    code: str | None = None
    detail: str | None = None
    reference: str | None = None


def is_receipted(message: Message) -> bool:
    """Receipts are delivered but never receipted themselves: else they would never end."""
    return message.message_class is not MessageClass.RECEIPT


def receipt_record(
    codec: Encoder, message: Message, record: Record, recipient: PartnerId, ending: Ending
) -> NewRecord:
    """The receipt or notice to the sender of ``message``, as a record of the same case on the ledger."""
    at = datetime.fromtimestamp(ending.at_s, UTC)
    receipt = make_receipt(
        acknowledged=message.name,
        recipient=recipient,
        outcome=ending.outcome,
        digest=message.digest,
        dataschema=message.dataschema,
        attempt=ending.attempt,
        at=at,
        accepted_at=message.accepted_at,
        answer_code=ending.code,
        detail=ending.detail or None,
        reference=ending.reference,
        redrive=message.redrive,
    )
    value = codec.encode(receipt.type, receipt.to_datum())
    said = make_message(
        id=receipt.id,
        source=BROKER,
        type=receipt.type,
        case=message.case,
        destination=message.source,
        time=at,
        message_class=(
            MessageClass.ERROR if ending.outcome is Outcome.UNDELIVERABLE else MessageClass.RECEIPT
        ),
        digest=value_digest(value),
        dataschema=f"/schemas/ids/{int.from_bytes(value[1:5], 'big')}",
        value=value,
        item=message.item,
        mode=message.mode,
        correlation=message.name,
        traceparent=message.traceparent,
        source_position=record.position,
        part_of=message.part_of,
    )
    return make_new_record(topic=LEDGER, key=ledger_key(message.case), value=value, headers=to_headers(said))


def desk_record(record: Record, partner: PartnerId, connector: str, *, cause: str, detail: str) -> NewRecord:
    """The record verbatim for the 办不成事 desk, with Connect's headers set anew and no stack trace."""
    position = record.position
    facts = (
        ("topic", position.topic),
        ("partition", str(position.partition)),
        ("offset", str(position.offset)),
        ("connector.name", f"tongban.delivery.{partner}"),
        ("task.id", str(position.partition)),
        ("stage", "TASK_PUT"),
        ("class.name", connector),
        ("exception.class.name", cause),
        ("exception.message", detail),
    )
    kept = tuple(pair for pair in record.headers if not pair[0].startswith(_CONNECT))
    errors = tuple((_CONNECT + name, text.encode()) for name, text in facts)
    return NewRecord(topic=DESK, key=record.key, value=record.value, headers=kept + errors)
