"""A new directory as records: the whole of it on every partition, so that each partition's order is its own.

A record on one partition alone would reach the others' messages at an arbitrary moment, and judging would
no longer be deterministic in log order (ADR 0006).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from broker.core.case.routing import DIRECTORY_APPLIED, DIRECTORY_CASE
from broker.core.catalogue.directory import version_of
from broker.core.ids import BROKER, derived_id
from broker.core.message import Message, MessageClass, rfc3339, to_headers, value_digest
from broker.core.records import NewRecord
from broker.log.admin import topics
from broker.log.values.codec import Codec


def directory_records(
    codec: Codec, documents: Mapping[str, str], *, by: str, reason: str, now: datetime, ledger_partitions: int
) -> list[NewRecord]:
    """One ``directory.applied`` for each ledger partition, of documents that :func:`read_directory` takes."""
    version = version_of(documents)
    value = codec.encode(
        DIRECTORY_APPLIED,
        {"version": version, "by": by, "reason": reason, "documents": dict(documents)},
    )
    records = []
    for partition in range(ledger_partitions):
        message = Message(
            id=derived_id("d", version, str(partition), rfc3339(now)),
            source=BROKER,
            type=DIRECTORY_APPLIED,
            case=DIRECTORY_CASE,
            destination=BROKER,
            time=now,
            message_class=MessageClass.INITIAL,
            digest=value_digest(value),
            dataschema=codec.dataschema(DIRECTORY_APPLIED),
            value=value,
        )
        records.append(
            NewRecord(
                topic=topics.LEDGER,
                key=DIRECTORY_CASE.encode(),
                value=value,
                headers=to_headers(message),
                partition=partition,
            )
        )
    return records
