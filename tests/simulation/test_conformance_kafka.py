"""A real Kafka, through the broker's own reader and writer, keeps the suite that the fakes keep."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from broker.delivery.ports import OnPartitions
from broker.log.options import KafkaOptions
from broker.log.reading.reader import GroupReader
from broker.log.writing.writer import Writer
from deploy.kafka.cluster import EmbeddedKafka
from tests.log.support import make_topic
from tests.simulation.conformance import CHECKS, Check, GroupMember


class KafkaGround:
    """A real cluster."""

    def __init__(self, options: KafkaOptions, writer: Writer) -> None:
        self._options = options
        self._writer = writer

    @property
    def writer(self) -> Writer:
        return self._writer

    async def topic(self, partitions: int) -> str:
        return await make_topic(self._options, partitions=partitions)

    def member(
        self,
        group: str,
        topics: Sequence[str],
        *,
        assigned: OnPartitions,
        revoked: OnPartitions,
        instance: str | None = None,
    ) -> GroupReader:
        member = f"{group}-{instance}" if instance is not None else None
        return GroupReader(
            self._options, group=group, topics=topics, assigned=assigned, revoked=revoked, member=member
        )

    def make_zombie(self, member: GroupMember) -> None:
        inner: Any = member
        inner._consumer._coordinator.generation -= 1

    async def vanish(self, member: GroupMember) -> None:
        """A static member never leaves by itself: that it closes without a word is all that its death tells."""
        inner: Any = member
        inner._held = frozenset()
        await inner.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_kafka_keeps_the_suite(check: Check, kafka: EmbeddedKafka) -> None:
    options = KafkaOptions(
        bootstrap=kafka.bootstrap,
        start_timeout_s=20,
        session_timeout_s=4.0,
        rebalance_timeout_s=10.0,
        drain_timeout_s=5.0,
    )
    writer = Writer(options, client_id=f"test-{uuid.uuid4().hex[:6]}")
    await writer.start()
    try:
        await check(KafkaGround(options, writer))
    finally:
        await writer.close()
