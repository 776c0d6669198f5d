"""Options for the clusters of the tests."""

from __future__ import annotations

import pytest

from broker.log.options import KafkaOptions
from deploy.kafka.cluster import EmbeddedKafka


@pytest.fixture
def options(kafka: EmbeddedKafka) -> KafkaOptions:
    return KafkaOptions(bootstrap=kafka.bootstrap, start_timeout_s=20)
