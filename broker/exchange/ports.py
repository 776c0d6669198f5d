"""What the exchange needs of the log, as narrow as it uses it; the real parts fit as they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

from broker.core.ids import PartnerId
from broker.core.records import Commit, NewRecord, Position, Record, TopicPartition

OnPartitions = Callable[[frozenset[TopicPartition]], Awaitable[None]]
ReadAt = Callable[[Sequence[Position]], Awaitable[list[Record]]]
"""Reads single records again (``broker.log.reading.scan.read_at``). Raises ``Corrupt`` where the log has none, ``Unreachable``."""
MakeTopics = Callable[[Collection[PartnerId]], Awaitable[object]]
"""Makes the outboxes of these partners, where they are not there."""


class Reader(Protocol):
    """A member of the exchange's group (``broker.log.reading.reader.GroupReader``)."""

    async def start(self) -> None: ...
    async def close(self) -> None: ...
    async def poll(self, *, max_records: int, wait_s: float) -> dict[TopicPartition, list[Record]]: ...
    def seek(self, partition: TopicPartition, offset: int) -> None: ...
    def assignment(self) -> frozenset[TopicPartition]: ...
    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None: ...


class ReaderFactory(Protocol):
    """Makes the group's reader over the ledger, with the stage's callbacks."""

    def __call__(self, *, assigned: OnPartitions, revoked: OnPartitions) -> Reader: ...


class Writer(Protocol):
    """The log's writer. Raises ``NotDurable`` or ``Unreachable``: the same records are then judged again."""

    async def write(self, records: Sequence[NewRecord], *, deadline_s: float = 15.0) -> list[Position]: ...
