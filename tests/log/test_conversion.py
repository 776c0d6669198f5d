"""Records of a foreign writer, with nulls where ours have none, read as empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from broker.core.records import Position, TopicPartition
from broker.log.reading.conversion import to_records


@dataclass
class Foreign:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Any


def test_all_of_it() -> None:
    (record,) = to_records(TopicPartition("t", 3), [Foreign(7, 99, b"k", b"v", (("a", b"1"), ("a", b"2")))])
    assert record.position == Position("t", 3, 7)
    assert (record.timestamp_ms, record.key, record.value) == (99, b"k", b"v")
    assert record.headers == (("a", b"1"), ("a", b"2"))


def test_nulls_are_empty() -> None:
    (record,) = to_records(TopicPartition("t", 0), [Foreign(0, 0, None, None, (("a", None), ("b", b"2")))])
    assert (record.key, record.value, record.headers) == (b"", b"", (("a", b""), ("b", b"2")))
