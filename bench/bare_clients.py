"""What the bare parts share: Kafka's clients as safe as the product's, topics, a clock, a record's headers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

from bench.measure import memory

LEDGER: Final = "bench.ledger"
OUTBOX: Final = "bench.outbox"
RECEIPTS: Final = "bench.receipts"
PARTITIONS: Final = 8
MOST: Final = 500
"""Records of one poll."""
Result = Mapping[str, object]


async def make_topics(bootstrap: str, *names: str) -> None:
    """Make topics for the bare parts."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        topics = [NewTopic(name, PARTITIONS, 1) for name in names]
        await admin.create_topics(topics)
    finally:
        await admin.close()
    await asyncio.sleep(1.0)  # until every broker's metadata has them


def producer(bootstrap: str, linger_ms: int = 0) -> Any:
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=256 * 1024,
        linger_ms=linger_ms,
    )


def consumer(bootstrap: str, *topics: str, group: str | None = None) -> Any:
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=1024 * 1024,
        fetch_max_bytes=16 * 1024 * 1024,
    )


class Clock:
    """Seconds and CPU seconds of this process since the beginning."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._cpu_s = time.process_time()

    def result(self, messages: int) -> dict[str, object]:
        return {
            "messages": messages,
            "seconds": time.monotonic() - self._began,
            "cpu_s": time.process_time() - self._cpu_s,
            "peak_mb": memory(os.getpid()).peak_mb,
        }


def record_of(body: bytes) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of a ledger record for an event: the event itself is the value."""
    event = orjson.loads(body)
    return event["subject"].encode(), body, headers_of(event)


def headers_of(event: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """What a ledger record says in its headers."""
    pairs = [(f"ce_{name}", text.encode()) for name, text in event.items() if name != "data_base64"]
    digest = ("ce_digest", b"sha-256:" + b"0" * 64)
    return [*pairs, digest, ("ce_signature", b"v1a," + b"A" * 88)]
