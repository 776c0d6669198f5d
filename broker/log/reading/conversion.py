"""From the client's records to ours."""

from __future__ import annotations

from collections.abc import Iterable

from broker.core.records import Headers, Record, TopicPartition, make_position, make_record
from broker.log.clients import KafkaRecord


def to_records(partition: TopicPartition, found: Iterable[KafkaRecord]) -> list[Record]:
    """Records of one partition. A key, value or header that is null reads as empty: none of ours ever is."""
    topic, number = partition
    records = []
    for each in found:
        headers = each.headers
        for _, text in headers:
            if text is None:  # a foreign writer's; one such record must not stop a reader
                headers = _without_nulls(headers)  # type: ignore[unreachable]
                break
        records.append(
            make_record(
                position=make_position(topic, number, each.offset),
                timestamp_ms=each.timestamp,
                key=each.key or b"",
                value=each.value or b"",
                headers=headers,
            )
        )
    return records


def _without_nulls(headers: Headers) -> Headers:
    return tuple((name, text or b"") for name, text in headers)
