"""A message: one CloudEvent on the ledger, and its Kafka headers.

The road reads these headers and never the value: value bytes travel untouched.
Source: contract, "Topics"; CloudEvents 1.0 Kafka protocol binding, binary mode.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from functools import lru_cache

from broker.core.ids import (
    CaseId,
    InvalidId,
    MessageId,
    PartnerId,
    Party,
    case_id,
    message_id,
    party_from_path,
    party_path,
)
from broker.core.records import Headers, Position, Record

_EPOCH = datetime.fromtimestamp(0, UTC)
TYPE_PREFIX = "cn.tongban."
CONTENT_TYPE = b"application/avro"
SOURCE_POSITION_HEADER = "tongban-source"
CHANNEL_HEADER = "tongban-channel"
SIGNED_HEADER = "tongban-signed"
ACCEPTED_HEADER = "tongban-accepted"


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


def rfc3339(moment: datetime) -> str:
    """UTC with milliseconds and ``Z``; naive datetimes are refused."""
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """RFC 3339 with an offset. Raises ValueError, also for a time without one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment


def from_epoch_ms(epoch_ms: int) -> datetime:
    """Kafka's milliseconds as an aware datetime, exactly (no float in between)."""
    return _EPOCH + timedelta(milliseconds=epoch_ms)


def epoch_ms(moment: datetime) -> int:
    """A moment as Kafka and the store keep it: milliseconds since 1970, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def value_digest(value: bytes) -> str:
    """The digest of a message that the broker itself says: over its value bytes."""
    return f"sha-256:{hashlib.sha256(value).hexdigest()}"


def to_headers(message: Message) -> Headers:
    """The Kafka headers of a message, in the contract's order; absent facts have no header."""
    pairs: list[tuple[str, bytes]] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", message.id.encode()),
        ("ce_source", party_path(message.source).encode()),
        ("ce_type", (TYPE_PREFIX + message.type).encode()),
        ("ce_time", rfc3339(message.time).encode()),
        ("ce_subject", message.case.encode()),
        ("ce_dataschema", message.dataschema.encode()),
        ("content-type", CONTENT_TYPE),
        ("ce_destination", party_path(message.destination).encode()),
        ("ce_class", b"%d" % message.message_class),
        ("ce_digest", message.digest.encode()),
    ]
    optional: tuple[tuple[str, str | None], ...] = (
        ("ce_item", message.item),
        ("ce_mode", message.mode),
        ("ce_correlationid", message.correlation),
        ("ce_expirytime", rfc3339(message.expires) if message.expires else None),
        ("ce_sequence", message.sequence),
        ("ce_signature", message.signature),
        (SIGNED_HEADER, message.signed),
        ("traceparent", message.traceparent),
        (CHANNEL_HEADER, "trusted" if message.trusted_channel else None),
        (ACCEPTED_HEADER, rfc3339(message.accepted_at) if message.accepted_at else None),
        (SOURCE_POSITION_HEADER, str(message.source_position) if message.source_position else None),
    )
    pairs.extend((name, text.encode()) for name, text in optional if text is not None)
    return tuple(pairs)


def from_record(record: Record) -> Message:
    """The message that a record holds. Raises :class:`BadRecord`, naming the header, and nothing else."""
    header = "headers"
    raw = dict(record.headers)
    try:
        header = "ce_specversion"
        if raw[header] != b"1.0":
            raise BadRecord(header, "1.0")
        header = "ce_type"
        full_type = raw[header].decode()
        if not full_type.startswith(TYPE_PREFIX):
            raise BadRecord(header, f"{TYPE_PREFIX}<name>")
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
        mode = Mode(raw[header].decode()) if header in raw else None
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
    return Message(
        id=identity,
        source=source,
        type=full_type[len(TYPE_PREFIX) :],
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
    )


_CLASSES = {b"%d" % each: each for each in MessageClass}
_TEXT_HEADERS = ("ce_item", "ce_correlationid", "ce_sequence", "ce_signature", SIGNED_HEADER, "traceparent")


@lru_cache(maxsize=4096)  # a province has some hundred parties
def _party(raw: bytes) -> Party:
    return party_from_path(raw.decode())


@lru_cache(maxsize=16384)  # a case's messages and receipts come close together
def _case(raw: bytes) -> CaseId:
    return case_id(raw.decode())


def is_partner(party: Party) -> bool:
    """Whether a party is a partner (and so has an outbox), not the broker."""
    return party != "tongban"


def as_partner(party: Party) -> PartnerId:
    """A party known to be a partner, as its id."""
    assert is_partner(party)
    return PartnerId(party)
