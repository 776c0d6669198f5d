"""pyrallel-consumer, asynchronous workers, order per key, with the settings that its makers recommend for speed."""

from __future__ import annotations

import argparse
from typing import Any

from pyrallel_consumer import (  # type: ignore[import-not-found]
    ExecutionConfig,
    ExecutionMode,
    KafkaConfig,
    OrderingMode,
    ParallelConsumerConfig,
    PyrallelConsumer,
)

from bench.peers.asking import LeanClient, name_of, read_arguments, run

MAX_IN_FLIGHT = 1000
POLL_BATCH = 200


async def work(arguments: argparse.Namespace) -> None:
    client = LeanClient(arguments.url, arguments.in_flight)

    class Config(KafkaConfig):  # type: ignore[misc] # static membership is not among its settings
        def get_consumer_config(self) -> dict[str, Any]:
            return {**super().get_consumer_config(), "group.instance.id": arguments.member}

    config = Config(
        BOOTSTRAP_SERVERS=[arguments.bootstrap],
        CONSUMER_GROUP=arguments.group,
        dlq_enabled=False,
        SESSION_TIMEOUT_MS=10_000,
        parallel_consumer=ParallelConsumerConfig(
            poll_batch_size=POLL_BATCH,
            ordering_mode=OrderingMode.KEY_HASH,
            execution=ExecutionConfig(mode=ExecutionMode.ASYNC, max_in_flight=MAX_IN_FLIGHT),
        ),
    )

    async def deliver(item: Any) -> None:
        await client.post(name_of(item.payload), item.payload)

    consumer = PyrallelConsumer(config, deliver, arguments.topic)
    await consumer.start()
    try:
        await consumer.wait_closed()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    run(work(read_arguments()))
