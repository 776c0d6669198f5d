"""FastStream, acknowledged after the work: a worker per partition, one record at a time in each."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from faststream import AckPolicy  # type: ignore[import-not-found]
from faststream.kafka import KafkaBroker  # type: ignore[import-not-found]

from bench.peers.asking import LeanClient, name_of, read_arguments, run

WORKERS = 8


async def work(arguments: argparse.Namespace) -> None:
    client = LeanClient(arguments.url, arguments.in_flight)
    broker = KafkaBroker(arguments.bootstrap)

    async def deliver(value: bytes) -> None:
        await client.post(name_of(value), value)

    async def raw(message: Any) -> bytes:
        body: bytes = message.body
        return body

    broker.subscriber(
        arguments.topic,
        group_id=arguments.group,
        auto_offset_reset="earliest",
        max_workers=WORKERS,
        ack_policy=AckPolicy.ACK,
        decoder=raw,
        no_reply=True,
    )(deliver)
    await broker.start()
    try:
        await asyncio.Event().wait()
    finally:
        await broker.stop()


if __name__ == "__main__":
    run(work(read_arguments()))
