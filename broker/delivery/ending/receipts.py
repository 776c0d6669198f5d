"""The records that end a delivery: receipts and notices for the ledger, dossiers for the desk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from broker.core.ids import BROKER, PartnerId, Party, party_path
from broker.core.message import (
    CONTENT_TYPE,
    PART_OF_HEADER,
    SOURCE_POSITION_HEADER,
    TYPE_PREFIX,
    Message,
    MessageClass,
    rfc3339,
    value_digest,
)
from broker.core.quick import quick
from broker.core.receipts import TYPES, Outcome, Receipt, make_receipt
from broker.core.records import Headers, NewRecord, Record, make_new_record
from broker.delivery.ports import Encoder
from broker.log.admin.topics import DESK, LEDGER, ledger_key

_CONNECT: Final = "__connect.errors."
_SPECVERSION: Final = ("ce_specversion", b"1.0")
_SOURCE: Final = ("ce_source", party_path(BROKER).encode())
_CONTENT_TYPE: Final = ("content-type", CONTENT_TYPE)
_TYPES: Final = {outcome: ("ce_type", (TYPE_PREFIX + type_).encode()) for outcome, type_ in TYPES.items()}
_CLASSES: Final = {
    outcome: (
        "ce_class",
        b"%d" % (MessageClass.ERROR if outcome is Outcome.UNDELIVERABLE else MessageClass.RECEIPT),
    )
    for outcome in Outcome
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one delivery ended. ``code`` is the partner's answer or the broker's cause, ``detail`` the reason."""

    outcome: Outcome
    attempt: int
    at_s: float
    code: str | None = None
    detail: str | None = None
    reference: str | None = None


make_ending = quick(Ending)


def is_receipted(message: Message) -> bool:
    """Receipts are delivered but never receipted themselves: else they would never end."""
    return message.message_class is not MessageClass.RECEIPT


def receipt_record(
    codec: Encoder, message: Message, record: Record, recipient: PartnerId, ending: Ending
) -> NewRecord:
    """The receipt or notice to the sender of ``message``, as a record of the same case on the ledger."""
    at, at_text = _moment(ending.at_s)
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
    return make_new_record(
        topic=LEDGER,
        key=ledger_key(message.case),
        value=value,
        headers=_headers(receipt, value, at_text, message, record),
    )


def _headers(receipt: Receipt, value: bytes, at: bytes, message: Message, record: Record) -> Headers:
    """What :func:`broker.core.message.to_headers` makes of the receipt as a message, without making that message."""
    pairs = [
        _SPECVERSION,
        ("ce_id", receipt.id.encode()),
        _SOURCE,
        _TYPES[receipt.outcome],
        ("ce_time", at),
        ("ce_subject", message.case.encode()),
        ("ce_dataschema", _dataschema(value[1:5])),
        _CONTENT_TYPE,
        ("ce_destination", _path(message.source)),
        _CLASSES[receipt.outcome],
        ("ce_digest", value_digest(value).encode()),
    ]
    if message.item is not None:
        pairs.append(("ce_item", message.item.encode()))
    if message.mode is not None:
        pairs.append(("ce_mode", message.mode.encode()))
    pairs.append(("ce_correlationid", receipt.acknowledged.encode()))
    if message.traceparent is not None:
        pairs.append(("traceparent", message.traceparent.encode()))
    pairs.append((SOURCE_POSITION_HEADER, str(record.position).encode()))
    if message.part_of is not None:
        pairs.append((PART_OF_HEADER, message.part_of.encode()))
    return tuple(pairs)


@lru_cache(maxsize=64)  # the answers of a batch come at one moment
def _moment(at_s: float) -> tuple[datetime, bytes]:
    at = datetime.fromtimestamp(at_s, UTC)
    return at, rfc3339(at).encode()


@lru_cache(maxsize=64)
def _dataschema(schema_id: bytes) -> bytes:
    return b"/schemas/ids/%d" % int.from_bytes(schema_id, "big")


@lru_cache(maxsize=4096)  # a province has some hundred parties
def _path(party: Party) -> bytes:
    return party_path(party).encode()


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
