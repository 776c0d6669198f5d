"""The clients of Kafka, made with every setting that a loss could hide behind. Only this room knows aiokafka.

aiokafka's own defaults lose data (``acks=1``, automatic commits, ``latest``, ``read_uncommitted``): none is left
to chance here. It carries no types, so the protocols below say what the room uses of it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, cast

from aiokafka import (  # type: ignore[import-untyped]
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
)
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from aiokafka.structs import TopicPartition as KafkaPartition  # type: ignore[import-untyped]

from broker.core.records import Headers, TopicPartition
from broker.log.client_log import quieten
from broker.log.options import KafkaOptions

_RETRY_BACKOFF_MS: Final = 50
_PRODUCER_METADATA_AGE_MS: Final = 5_000  # a new leader is known this soon even when nobody says so
_CONSUMER_METADATA_AGE_MS: Final = 10_000  # new topics and partitions are noticed this soon
_FETCH_WAIT_MS: Final = 25  # one fetch per node is under way: what comes beside it waits this long at most
_FETCH_BYTES: Final = 16 * 1024 * 1024
_PARTITION_FETCH_BYTES: Final = 1024 * 1024
_JOIN_MARGIN_S: Final = 5.0


class KafkaRecord(Protocol):
    """A record as aiokafka hands it out."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class Acknowledged(Protocol):
    """What a producer's future resolves to: the offset of the first record of a batch."""

    @property
    def offset(self) -> int: ...


OnRebalance = Callable[[frozenset[TopicPartition]], Awaitable[None]]


class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Tells of a rebalance. What the two raise is logged and swallowed by aiokafka: they must not raise."""

    def __init__(self, *, revoked: OnRebalance, assigned: OnRebalance) -> None:
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._revoked(ours(revoked))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        await self._assigned(ours(assigned))


class Batch(Protocol):
    def append(
        self, *, timestamp: int | None, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> object | None: ...
    def record_count(self) -> int: ...


class Producer(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def partitions_for(self, topic: str) -> Collection[int]: ...
    def create_batch(self) -> Batch: ...
    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Awaitable[Acknowledged]: ...


class OffsetAndTime(Protocol):
    @property
    def offset(self) -> int: ...


class Consumer(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def subscribe(self, topics: Sequence[str], *, listener: Rebalances) -> None: ...
    def assign(self, partitions: Iterable[TopicPartition]) -> None: ...
    def assignment(self) -> Collection[TopicPartition]: ...
    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int | None = None
    ) -> Mapping[TopicPartition, list[KafkaRecord]]: ...
    async def position(self, partition: TopicPartition) -> int: ...
    def seek(self, partition: TopicPartition, offset: int) -> None: ...
    def pause(self, *partitions: TopicPartition) -> None: ...
    def resume(self, *partitions: TopicPartition) -> None: ...
    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None: ...
    async def topics(self) -> Collection[str]: ...
    def partitions_for_topic(self, topic: str) -> Collection[int] | None: ...
    async def beginning_offsets(
        self, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]: ...
    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]: ...
    async def offsets_for_times(
        self, timestamps: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, OffsetAndTime | None]: ...


class OffsetAndNote(NamedTuple):
    offset: int
    metadata: str


class TopicErrors(Protocol):
    @property
    def topic_errors(self) -> Sequence[Sequence[object]]: ...


class Resources(Protocol):
    @property
    def resources(self) -> Sequence[Sequence[object]]: ...


class Admin(Protocol):
    async def start(self) -> None: ...
    async def close(self) -> None: ...
    async def list_topics(self) -> list[str]: ...
    async def describe_topics(self, topics: list[str]) -> list[Mapping[str, object]]: ...
    async def create_topics(self, new_topics: list[object]) -> TopicErrors: ...
    async def describe_configs(self, config_resources: list[object]) -> list[Resources]: ...
    async def create_partitions(self, topic_partitions: Mapping[str, object]) -> object: ...
    async def list_consumer_group_offsets(
        self, group_id: str, partitions: list[TopicPartition] | None = None
    ) -> Mapping[TopicPartition, OffsetAndNote]: ...


def foreign(partition: TopicPartition) -> TopicPartition:
    """Our partition as aiokafka insists on it: its own class, which is equal to ours and hashes as ours."""
    return cast("TopicPartition", KafkaPartition(partition.topic, partition.partition))


def ours(partitions: Iterable[TopicPartition]) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(each.topic, each.partition) for each in partitions)


def make_producer(options: KafkaOptions, *, client_id: str) -> Producer:
    """An idempotent producer: all in-sync replicas confirm, nothing is doubled by its own retries."""
    return cast(
        "Producer",
        AIOKafkaProducer(
            **_connection(options, client_id, options.request_timeout_s),
            acks="all",
            enable_idempotence=True,
            compression_type=None if options.compression == "none" else options.compression,
            max_batch_size=options.batch_bytes,
            max_request_size=options.max_batch_bytes,
            linger_ms=options.linger_ms,
            metadata_max_age_ms=_PRODUCER_METADATA_AGE_MS,
        ),
    )


def make_group_consumer(options: KafkaOptions, *, client_id: str, group: str, member: str | None) -> Consumer:
    """A member of ``group``; offsets are committed by hand only, and a group without one starts at the start."""
    # A JoinGroup is answered only when the slowest member has handed over: a request must outlive that.
    request_timeout_s = max(options.request_timeout_s, options.rebalance_timeout_s + _JOIN_MARGIN_S)
    return cast(
        "Consumer",
        AIOKafkaConsumer(
            **_connection(options, client_id, request_timeout_s),
            **_READING,
            group_id=group,
            group_instance_id=member,
            session_timeout_ms=round(options.session_timeout_s * 1000),
            heartbeat_interval_ms=round(options.session_timeout_s * 1000 / 4),
            rebalance_timeout_ms=round(options.rebalance_timeout_s * 1000),
            max_poll_interval_ms=round(options.max_poll_interval_s * 1000),
            max_partition_fetch_bytes=_PARTITION_FETCH_BYTES,
        ),
    )


def watch_heartbeats(consumer: Consumer, heard: Callable[[float], None]) -> None:
    """Tell when a heartbeat was sent (monotonic seconds) that the group's coordinator has answered with yes.

    aiokafka keeps that to itself. ``consumer`` is a started one of :func:`make_group_consumer`.
    """
    coordinator: Any = getattr(consumer, "_coordinator", None)
    beat: Callable[[], Awaitable[bool]] = coordinator._do_heartbeat  # noqa: SLF001 - it has no other place

    async def told() -> bool:
        sent_s = time.monotonic()
        alive = await beat()
        if alive:
            heard(sent_s)
        return alive

    coordinator._do_heartbeat = told  # noqa: SLF001 - as above


def make_consumer(
    options: KafkaOptions, *, client_id: str, partition_fetch_bytes: int = _PARTITION_FETCH_BYTES
) -> Consumer:
    """A reader without a group: it leaves no trace in the cluster."""
    return cast(
        "Consumer",
        AIOKafkaConsumer(
            **_connection(options, client_id, options.request_timeout_s),
            **_READING,
            group_id=None,
            max_partition_fetch_bytes=partition_fetch_bytes,
        ),
    )


def make_admin(options: KafkaOptions, *, client_id: str) -> Admin:
    return cast("Admin", AIOKafkaAdminClient(**_connection(options, client_id, options.request_timeout_s)))


_READING: Final[Mapping[str, object]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
    "check_crcs": True,
    "fetch_max_wait_ms": _FETCH_WAIT_MS,
    "fetch_max_bytes": _FETCH_BYTES,
    "metadata_max_age_ms": _CONSUMER_METADATA_AGE_MS,
}


def _connection(options: KafkaOptions, client_id: str, request_timeout_s: float) -> dict[str, object]:
    quieten()
    settings: dict[str, object] = {
        "bootstrap_servers": options.bootstrap,
        "client_id": client_id,
        "request_timeout_ms": round(request_timeout_s * 1000),
        "retry_backoff_ms": _RETRY_BACKOFF_MS,
        "security_protocol": options.security_protocol,
        "ssl_context": options.tls(),
    }
    if options.uses_sasl:
        settings["sasl_mechanism"] = options.sasl_mechanism
        settings["sasl_plain_username"] = options.sasl_username
        settings["sasl_plain_password"] = options.password()
    return settings
