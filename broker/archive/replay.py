"""Replay: the ledger read back, straight from the topic, read-only and without a consumer group.

Clear fields are shown, the sealed compartment never is: what stands there is its size and algorithm.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

from broker.core.ids import CaseId, Party
from broker.core.message import BadRecord, Message, epoch_ms, from_epoch_ms, from_record, rfc3339
from broker.core.records import Record
from broker.errors import Corrupt
from broker.log.admin import topics
from broker.log.options import KafkaOptions
from broker.log.reading import scan
from broker.log.values.codec import Codec
from broker.telemetry import get_log

_log = get_log("archive")
SEALED = "sealed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What to replay: one case, one partner's messages (both directions), a time window; all that is given must fit."""

    case: CaseId | None = None
    partner: Party | None = None
    since: datetime | None = None
    until: datetime | None = None

    def holds(self, message: Message) -> bool:
        if self.case is not None and message.case != self.case:
            return False
        return self.partner is None or self.partner in (message.source, message.destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One record of the ledger, with the message that it holds."""

    record: Record
    message: Message


async def replay(
    kafka: KafkaOptions, window: Window, *, progress: Callable[[scan.Progress], None] | None = None
) -> AsyncIterator[Replayed]:
    """The window's messages; per case in ledger order. A case is read from its one partition only."""
    partitions = None
    if window.case is not None:
        partitions = [topics.ledger_partition(window.case, kafka.ledger_partitions)]
    async for record in scan.scan(
        kafka,
        topics.LEDGER,
        from_ms=epoch_ms(window.since) if window.since else None,
        to_ms=epoch_ms(window.until) if window.until else None,
        partitions=partitions,
        progress=progress,
    ):
        try:
            message = from_record(record)
        except BadRecord as fault:
            _log.error("record_unreadable", position=str(record.position), header=fault.header)
            continue
        if window.holds(message):
            yield Replayed(record=record, message=message)


def as_document(codec: Codec, replayed: Replayed) -> dict[str, object]:
    """A replayed message as JSON-able facts: coordinates, attributes, clear fields, digest."""
    message, record = replayed.message, replayed.record
    return {
        "position": str(record.position),
        "at": rfc3339(from_epoch_ms(record.timestamp_ms)),
        "id": message.id,
        "source": message.source,
        "destination": message.destination,
        "type": message.type,
        "case": message.case,
        "item": message.item,
        "mode": message.mode,
        "class": int(message.message_class),
        "time": rfc3339(message.time),
        "correlation": message.correlation,
        "digest": message.digest,
        "signature": message.signature,
        "data": clear_fields(codec, message),
    }


def clear_fields(codec: Codec, message: Message) -> dict[str, object] | None:
    """The fields outside the sealed compartment; None when the value does not read (told as an event)."""
    try:
        decoded = codec.decode(message.value)
    except Corrupt as fault:
        _log.error("record_unreadable", message_id=message.name, reason=str(fault))
        return None
    clear = {key: value for key, value in decoded.datum.items() if key != SEALED}
    return codec.to_json(decoded.schema, clear)
