"""What delivery needs of the other rooms, as narrow as it uses it; the real parts fit as they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, Protocol, TypeVar, runtime_checkable

from sqlalchemy import Connection

from broker.core.catalogue.directory import Partner
from broker.core.ids import CaseId
from broker.core.message import Message
from broker.core.quick import quick
from broker.core.records import Commit, NewRecord, Position, Record, TopicPartition
from connectors.base import Connector, Features
from connectors.mapping import PartnerMapping

P = ParamSpec("P")
T = TypeVar("T")


class Reader(Protocol):
    """A member of the group (``broker.log.reading.reader.GroupReader``)."""

    async def start(self) -> None: ...
    async def close(self) -> None: ...
    async def poll(self, *, max_records: int, wait_s: float) -> dict[TopicPartition, list[Record]]: ...
    def pause(self, partitions: Iterable[TopicPartition]) -> None: ...
    def resume(self, partitions: Iterable[TopicPartition]) -> None: ...
    def seek(self, partition: TopicPartition, offset: int) -> None: ...
    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None: ...
    async def committed(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Commit]: ...
    async def ends(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]: ...
    async def subscribe(self, topics: Iterable[str]) -> None: ...


@runtime_checkable
class Vouched(Protocol):
    """A reader that can say when the group last confirmed its membership (monotonic seconds)."""

    def heard_s(self) -> float: ...


OnPartitions = Callable[[frozenset[TopicPartition]], Awaitable[None]]


class ReaderFactory(Protocol):
    """Makes the group's reader over ``topics``, with the stage's callbacks."""

    def __call__(self, topics: Iterable[str], *, assigned: OnPartitions, revoked: OnPartitions) -> Reader: ...


class Ledger(Protocol):
    """The log's writer. Raises ``NotDurable`` or ``Unreachable``: the same records are then written again."""

    async def write(self, records: Sequence[NewRecord], *, deadline_s: float = 15.0) -> list[Position]: ...


class Rows(Protocol):
    """The store (``broker.store.access.engine.Store``). Every call raises ``Unreachable`` when it is away."""

    async def call(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    async def call_durably(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...


class Keys(Protocol):
    """The vault: the keys of those cases that have one. Raises ``KeyDestroyed`` and ``Unreachable``."""

    async def known(self, case_ids: Collection[CaseId]) -> Mapping[CaseId, bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a connector is given of a message."""

    value: bytes
    data: dict[str, object] | None


make_opened = quick(Opened)


class Opening(Protocol):
    """Opens messages (:class:`broker.delivery.lines.papers.Papers`); keys are fetched before, many at once."""

    async def keys(self, cases: Collection[CaseId]) -> Mapping[CaseId, bytes]:
        """The keys of those of these cases that have one. Raises Unreachable."""

    def open(
        self, message: Message, key: bytes | None, features: Features, mapping: PartnerMapping
    ) -> Opened:
        """Raises Corrupt when it does not open, MappingConflict when the partner's mapping does not fit."""


class Encoder(Protocol):
    """Encodes what the broker itself says (``broker.log.values.codec.Codec``)."""

    def encode(self, message_type: str, datum: Mapping[str, object]) -> bytes: ...


class Links(Protocol):
    """Makes what leads to one partner. Raises DocumentInvalid when its options do not read."""

    def connector(self, partner: Partner) -> Connector: ...
    def mapping(self, partner: Partner) -> PartnerMapping: ...


class Clock(Protocol):
    """``now_s`` is Unix time, ``monotonic_s`` only rises."""

    def now_s(self) -> float: ...
    def monotonic_s(self) -> float: ...
