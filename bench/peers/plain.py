"""A plain aiokafka loop: one task per partition, one record at a time, a commit after each poll."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from bench.peers.asking import LeanClient, name_of, read_arguments, run


async def work(arguments: argparse.Namespace) -> None:
    client = LeanClient(arguments.url, arguments.in_flight)
    consumer = AIOKafkaConsumer(
        arguments.topic,
        bootstrap_servers=arguments.bootstrap,
        group_id=arguments.group,
        group_instance_id=arguments.member,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        while not consumer.assignment():
            await asyncio.sleep(0.01)
        await asyncio.gather(*(_partition(consumer, each, client) for each in consumer.assignment()))
    finally:
        await consumer.stop()


async def _partition(consumer: Any, place: Any, client: LeanClient) -> None:
    while True:
        found = await consumer.getmany(place, timeout_ms=200, max_records=500)
        for records in found.values():
            for record in records:
                await client.post(name_of(record.value), record.value)
            await consumer.commit({place: records[-1].offset + 1})


if __name__ == "__main__":
    run(work(read_arguments()))
