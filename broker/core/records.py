"""What the log hands out and takes in: plain records with their coordinates, before anyone reads a header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from broker.core.quick import quick

Headers = tuple[tuple[str, bytes], ...]


class TopicPartition(NamedTuple):
    """One partition of one topic: the unit of order, of assignment and of commits."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Commit(NamedTuple):
    """What a group remembers of a partition: the next offset to read, and a note of at most 4,096 bytes."""

    offset: int
    metadata: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """One place on the log: topic, partition, offset."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """From ``topic/partition/offset``, as the header ``tongban-source`` holds it. Raises ValueError."""
        topic, partition, offset = text.rsplit("/", 2)
        return make_position(topic, int(partition), int(offset))


make_position = quick(Position)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as read from a topic. ``timestamp_ms`` is the time at which the log took it (LogAppendTime)."""

    position: Position
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: Headers


make_record = quick(Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecord:
    """A record to be written. ``partition`` None leaves the choice to the key (murmur2, as Kafka's own clients)."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers
    partition: int | None = None


make_new_record = quick(NewRecord)
