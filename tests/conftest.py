"""Parts that tests share. What needs a Kafka uses a real one: one for the whole session, three when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from deploy.kafka.cluster import EmbeddedKafka


@pytest.fixture(scope="session")
def kafka() -> Iterator[EmbeddedKafka]:
    """One node, ready, for the whole session: use topics and groups of your own. ``kafka.bootstrap``."""
    cluster = EmbeddedKafka()
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


@pytest.fixture(scope="module")
def kafka3() -> Iterator[EmbeddedKafka]:
    """Three nodes for one module: ``kill_node`` and ``start_node`` are for fail-over tests."""
    cluster = EmbeddedKafka(nodes=3)
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())
