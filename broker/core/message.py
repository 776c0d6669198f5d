"""A message: one CloudEvent on the ledger, and its Kafka headers.

The road reads these headers and never the value: value bytes travel untouched.
Source: contract, "Topics"; CloudEvents 1.0 Kafka protocol binding, binary mode.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from functools import lru_cache

from broker.core.ids import (
    CaseId,
    InvalidId,
    MessageId,
    Party,
    as_partner,
    case_id,
    is_partner,
    message_id,
    party_from_path,
    party_path,
)
from broker.core.quick import quick
from broker.core.records import Headers, Position, Record
from broker.core.times import SHANGHAI, epoch_ms, from_epoch_ms, parse_time, rfc3339

__all__ = [
    "ACCEPTED_HEADER", "CHANNEL_HEADER", "CONTENT_TYPE", "PART_OF_HEADER", "REDRIVE_HEADER", "SHANGHAI", "SIGNED_HEADER",
    "SOURCE_POSITION_HEADER", "TYPE_PREFIX", "BadRecord", "Message", "MessageClass", "Mode", "as_partner",
    "epoch_ms", "from_epoch_ms", "from_record", "is_partner", "make_message", "parse_time", "rfc3339",
    "to_headers", "value_digest",
]  # fmt: skip
TYPE_PREFIX = "cn.tongban."
CONTENT_TYPE = b"application/avro"
SOURCE_POSITION_HEADER = "tongban-source"
CHANNEL_HEADER = "tongban-channel"
SIGNED_HEADER = "tongban-signed"
ACCEPTED_HEADER = "tongban-accepted"
REDRIVE_HEADER = "tongban-redrive"
PART_OF_HEADER = "tongban-part-of"


class MessageClass(IntEnum):
    """sedex's four classes, the extension ``class``."""

    INITIAL = 0
    RESPONSE = 1
    RECEIPT = 2
    ERROR = 3


class Mode(StrEnum):
    """Handling modes of 国办发〔2020〕35号."""

    ONLINE = "online"
    COLLECTED = "collected"
    JOINT = "joint"


class BadRecord(ValueError):
    """A record that is not one of ours: ``header`` names the one at fault, ``expected`` its form."""

    def __init__(self, header: str, expected: str) -> None:
        super().__init__(f"header {header}: expected {expected}")
        self.header = header
        self.expected = expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. ``type`` is without the prefix ``cn.tongban.``: ``case.submitted``.

    ``correlation`` is ``<partner>/<id>`` of the message answered or acknowledged. ``digest`` is
    ``sha-256:<hex>`` of the canonical event that its sender submitted (ADR 0004). ``value`` is the Avro
    value in Confluent framing. ``source_position`` is set on derived records only (outboxes, receipts).
    """

    id: MessageId
    source: Party
    type: str
    case: CaseId
    destination: Party
    time: datetime
    message_class: MessageClass
    digest: str
    dataschema: str
    value: bytes
    item: str | None = None
    mode: Mode | None = None
    correlation: str | None = None
    expires: datetime | None = None
    sequence: str | None = None
    signature: str | None = None
    signed: str | None = None
    """``id=<webhook-id>;timestamp=<webhook-timestamp>;index=0;count=1``: what the signature covers besides the body."""
    traceparent: str | None = None
    trusted_channel: bool = False
    """True when the partner's channel, not a signature, vouches for it (binary mode)."""
    accepted_at: datetime | None = None
    """When the broker took it: the ledger record's own time; on derived records, carried along."""
    source_position: Position | None = None
    redrive: int = 0
    """On an outbox: which redrive from the desk put it there (1, 2, …); 0: it came straight from the ledger."""
    part_of: str | None = None
    """On a copy that the broker made for a bundle's part: ``<source>/<id>`` of the parent's message that it is a copy
    of. Its receipts carry it along."""

    @property
    def name(self) -> str:
        """``<source>/<id>``: what receipts and correlations call this message."""
        return f"{self.source}/{self.id}"

    @property
    def webhook_id(self) -> str:
        """The ``webhook-id`` of every delivery of this message, the same over attempts and redrives."""
        return f"{self.source}_{self.id}"

    def expired(self, now: datetime) -> bool:
        return self.expires is not None and now >= self.expires

    def derived_from(self, position: Position, accepted_at: datetime) -> Message:
        """The same message as an outbox carries it, with the ledger position it was derived from."""
        return replace(self, source_position=position, accepted_at=accepted_at)


make_message = quick(Message)


def value_digest(value: bytes) -> str:
    """The digest of a message that the broker itself says: over its value bytes."""
    return f"sha-256:{hashlib.sha256(value).hexdigest()}"


def to_headers(message: Message) -> Headers:
    """The Kafka headers of a message, in the contract's order; absent facts have no header."""
    pairs = [
        ("ce_specversion", b"1.0"),
        ("ce_id", message.id.encode()),
        ("ce_source", _path(message.source)),
        ("ce_type", (TYPE_PREFIX + message.type).encode()),
        ("ce_time", rfc3339(message.time).encode()),
        ("ce_subject", message.case.encode()),
        ("ce_dataschema", message.dataschema.encode()),
        ("content-type", CONTENT_TYPE),
        ("ce_destination", _path(message.destination)),
        ("ce_class", b"%d" % message.message_class),
        ("ce_digest", message.digest.encode()),
    ]
    if message.item is not None:
        pairs.append(("ce_item", message.item.encode()))
    if message.mode is not None:
        pairs.append(("ce_mode", message.mode.encode()))
    if message.correlation is not None:
        pairs.append(("ce_correlationid", message.correlation.encode()))
    if message.expires is not None:
        pairs.append(("ce_expirytime", rfc3339(message.expires).encode()))
    if message.sequence is not None:
        pairs.append(("ce_sequence", message.sequence.encode()))
    if message.signature is not None:
        pairs.append(("ce_signature", message.signature.encode()))
    if message.signed is not None:
        pairs.append((SIGNED_HEADER, message.signed.encode()))
    if message.traceparent is not None:
        pairs.append(("traceparent", message.traceparent.encode()))
    if message.trusted_channel:
        pairs.append((CHANNEL_HEADER, b"trusted"))
    _add_derived(message, pairs)
    return tuple(pairs)


def _add_derived(message: Message, pairs: list[tuple[str, bytes]]) -> None:
    """What only records say that the broker derived from others."""
    if message.accepted_at is not None:
        pairs.append((ACCEPTED_HEADER, rfc3339(message.accepted_at).encode()))
    if message.source_position is not None:
        pairs.append((SOURCE_POSITION_HEADER, str(message.source_position).encode()))
    if message.redrive:
        pairs.append((REDRIVE_HEADER, b"%d" % message.redrive))
    if message.part_of is not None:
        pairs.append((PART_OF_HEADER, message.part_of.encode()))


def from_record(record: Record) -> Message:
    """The message that a record holds. Raises :class:`BadRecord`, naming the header, and nothing else."""
    header = "headers"
    raw = dict(record.headers)
    try:
        header = "ce_specversion"
        if raw[header] != b"1.0":
            raise BadRecord(header, "1.0")
        header = "ce_type"
        type_ = _type(raw[header])
        header = "ce_id"
        identity = message_id(raw[header].decode())
        header = "ce_source"
        source = _party(raw[header])
        header = "ce_subject"
        case = _case(raw[header])
        header = "ce_destination"
        destination = _party(raw[header])
        header = "ce_time"
        time = parse_time(raw[header].decode())
        header = "ce_class"
        message_class = _CLASSES[raw[header]]
        header = "ce_digest"
        digest = raw[header].decode()
        header = "ce_dataschema"
        dataschema = raw[header].decode()
        header = "ce_mode"
        mode = _MODES.get(raw[header]) or Mode(raw[header].decode()) if header in raw else None
        header = "ce_expirytime"
        expires = parse_time(raw[header].decode()) if header in raw else None
        header = ACCEPTED_HEADER
        accepted_at = (
            parse_time(raw[header].decode()) if header in raw else from_epoch_ms(record.timestamp_ms)
        )
        header = SOURCE_POSITION_HEADER
        source_position = Position.parse(raw[header].decode()) if header in raw else None
        texts: dict[str, str] = {}
        for header in _TEXT_HEADERS:
            if header in raw:
                texts[header] = raw[header].decode()
    except KeyError:
        expected = "to be present" if header not in raw else "one of 0, 1, 2, 3"
        raise BadRecord(header, expected) from None
    except InvalidId as fault:
        raise BadRecord(header, fault.expected) from None
    except BadRecord:
        raise
    except UnicodeDecodeError:
        raise BadRecord(header, "UTF-8") from None
    except (ValueError, AttributeError, OverflowError):  # a header without a value, a time beyond all years
        raise BadRecord(header, "a value of its form (contract, Topics)") from None
    return make_message(
        id=identity,
        source=source,
        type=type_,
        case=case,
        destination=destination,
        time=time,
        message_class=message_class,
        digest=digest,
        dataschema=dataschema,
        value=record.value,
        item=texts.get("ce_item"),
        mode=mode,
        correlation=texts.get("ce_correlationid"),
        expires=expires,
        sequence=texts.get("ce_sequence"),
        signature=texts.get("ce_signature"),
        signed=texts.get(SIGNED_HEADER),
        traceparent=texts.get("traceparent"),
        trusted_channel=raw.get(CHANNEL_HEADER) == b"trusted",
        accepted_at=accepted_at,
        source_position=source_position,
        redrive=_redrive(raw[REDRIVE_HEADER]) if REDRIVE_HEADER in raw else 0,
        part_of=texts.get(PART_OF_HEADER),
    )


def _redrive(raw: bytes | None) -> int:
    if raw is None or not raw.isdigit() or len(raw) > 6 or int(raw) == 0:
        raise BadRecord(REDRIVE_HEADER, "a number from 1 to 999999")
    return int(raw)


_CLASSES = {b"%d" % each: each for each in MessageClass}
_TEXT_HEADERS = (
    *("ce_item", "ce_correlationid", "ce_sequence", "ce_signature", SIGNED_HEADER, "traceparent"),
    PART_OF_HEADER,
)
_MODES = {each.encode(): each for each in Mode}


@lru_cache(maxsize=256)
def _type(raw: bytes) -> str:
    full = raw.decode()
    if not full.startswith(TYPE_PREFIX):
        raise BadRecord("ce_type", f"{TYPE_PREFIX}<name>")
    return full[len(TYPE_PREFIX) :]


@lru_cache(maxsize=4096)  # a province has some hundred parties
def _party(raw: bytes) -> Party:
    return party_from_path(raw.decode())


@lru_cache(maxsize=4096)
def _path(party: Party) -> bytes:
    return party_path(party).encode()


@lru_cache(maxsize=16384)  # a case's messages and receipts come close together
def _case(raw: bytes) -> CaseId:
    return case_id(raw.decode())
