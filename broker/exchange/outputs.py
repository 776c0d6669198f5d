"""The records that follow from a judgement: outbox records, and notices of refusal back onto the ledger."""

from __future__ import annotations

from datetime import datetime

from broker.core.case.routing import Refused
from broker.core.ids import BROKER, PartnerId
from broker.core.message import (
    ACCEPTED_HEADER,
    REDRIVE_HEADER,
    SOURCE_POSITION_HEADER,
    Message,
    MessageClass,
    from_epoch_ms,
    rfc3339,
    to_headers,
    value_digest,
)
from broker.core.problems import Refusal
from broker.core.records import Headers, NewRecord, Position, Record, make_new_record
from broker.log.admin import topics
from broker.log.values.codec import Codec

_DERIVED_HEADERS = frozenset({ACCEPTED_HEADER, SOURCE_POSITION_HEADER, REDRIVE_HEADER})
NOTICE_REFUSED = "notice.refused"


def outbox_record(record: Record, to: PartnerId, outbox_partitions: int, accepted_at: datetime) -> NewRecord:
    """The ledger record as ``to`` is to get it: the same bytes, and where on the ledger they stand.

    The outbox partition follows from the ledger partition, so that per outbox partition the source offsets
    of one ledger partition only rise: whatever does not rise is a repeat (design, promise 5).
    """
    return _copied(record, to, outbox_partitions, accepted_at, record.position, ())


def redriven_record(
    original: Record, to: PartnerId, outbox_partitions: int, act: Position, number: int
) -> NewRecord:
    """The ledger record ``original`` once more for ``to``: the same bytes, its redrive's number, the act's place.

    Derived from the act, so that source offsets still only rise; the time of acceptance is as ever the original's.
    """
    accepted_at = from_epoch_ms(original.timestamp_ms)
    redrive = ((REDRIVE_HEADER, b"%d" % number),)
    return _copied(original, to, outbox_partitions, accepted_at, act, redrive)


def _copied(
    record: Record,
    to: PartnerId,
    outbox_partitions: int,
    accepted_at: datetime,
    source: Position,
    more: Headers,
) -> NewRecord:
    kept = [pair for pair in record.headers if pair[0] not in _DERIVED_HEADERS]
    return make_new_record(
        topic=topics.outbox(to),
        key=record.key,
        value=record.value,
        headers=(
            *kept,
            (ACCEPTED_HEADER, rfc3339(accepted_at).encode()),
            (SOURCE_POSITION_HEADER, str(source).encode()),
            *more,
        ),
        partition=topics.outbox_partition(source.partition, outbox_partitions),
    )


def notice_of_refusal(codec: Codec, record: Record, message: Message, refused: Refused) -> NewRecord:
    """The notice that tells a sender why its message changes nothing, as a record of the same case."""
    refusal, position = refused.refusal, record.position
    value = codec.encode(NOTICE_REFUSED, _facts(message, refusal))
    notice = Message(
        id=refused.notice_id,
        source=BROKER,
        type=NOTICE_REFUSED,
        case=message.case,
        destination=message.source,
        time=from_epoch_ms(record.timestamp_ms),
        message_class=MessageClass.ERROR,
        digest=value_digest(value),
        dataschema=codec.dataschema(NOTICE_REFUSED),
        value=value,
        item=message.item,
        mode=message.mode,
        correlation=message.name,
        traceparent=message.traceparent,
        source_position=position,
    )
    return NewRecord(
        topic=position.topic,
        key=topics.ledger_key(message.case),
        value=value,
        headers=to_headers(notice),
        partition=position.partition,
    )


def _facts(message: Message, refusal: Refusal) -> dict[str, object]:
    return {
        "refused": message.name,
        "code": refusal.code,
        "detail": refusal.detail,
        "errors": [
            {"pointer": error.pointer, "expected": error.expected, "got": error.got}
            for error in refusal.errors
        ],
        "facts": {key: list(fact) if isinstance(fact, tuple) else [fact] for key, fact in refusal.facts},
    }
