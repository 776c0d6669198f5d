"""The bare parts of the road, each a process of its own: what any road in Python over this Kafka must pay.

``python -m bench.parts NAME --bootstrap B --requests FILE --out FILE``. They guarantee nothing, so they show
what the guarantees cost. Source of the list: the benchmarks' goals ("sum of the bare parts").
"""

from __future__ import annotations

import argparse
import asyncio
import binascii
import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import orjson
import uvloop
from aiohttp import web
from aiokafka import TopicPartition  # type: ignore[import-untyped]
from nacl.bindings import crypto_sign_open

from bench import bare_store
from bench.bare_clients import (
    LEDGER,
    MOST,
    OUTBOX,
    PARTITIONS,
    RECEIPTS,
    Clock,
    Result,
    consumer,
    headers_of,
    make_topics,
    producer,
    record_of,
)
from bench.bare_delivery import delivery
from bench.letters import body_of, read_requests
from broker.core.signatures import VerifyKey


async def raw_produce(arguments: argparse.Namespace) -> Result:
    """The events' bodies with a ledger record's headers, one ``send`` each."""
    await make_topics(arguments.bootstrap, LEDGER, OUTBOX, RECEIPTS)
    records = [record_of(body_of(request)) for request in read_requests(arguments.requests)]
    sending = producer(arguments.bootstrap, linger_ms=5)
    await sending.start()
    try:
        clock = Clock()
        sent = [
            await sending.send(LEDGER, value=value, key=key, headers=headers)
            for key, value, headers in records
        ]
        await asyncio.gather(*sent)
        return clock.result(len(records))
    finally:
        await sending.stop()


async def raw_consume(arguments: argparse.Namespace) -> Result:
    reading = consumer(arguments.bootstrap)
    await reading.start()
    try:
        places = [TopicPartition(LEDGER, each) for each in range(PARTITIONS)]
        ends = await reading.end_offsets(places)
        reading.assign(places)
        total, found = sum(ends.values()), 0
        clock = Clock()
        while found < total:
            polled = await reading.getmany(timeout_ms=1000, max_records=MOST)
            found += sum(map(len, polled.values()))
        return clock.result(total)
    finally:
        await reading.stop()


async def intake(arguments: argparse.Namespace) -> Result:
    """aiohttp; the signature checked; each event produced; 202 when all replicas have it. Until SIGTERM."""
    keys = [VerifyKey.parse(arguments.public_key).raw]
    sending = producer(arguments.bootstrap)
    await sending.start()
    done = 0

    async def handle(request: web.BaseRequest) -> web.Response:
        nonlocal done
        body = await request.read()
        headers = request.headers
        signature = binascii.a2b_base64(headers["webhook-signature"].partition(",")[2])
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        crypto_sign_open(signature + text, keys[0])
        read = orjson.loads(body)
        events = read if type(read) is list else [read]
        sent = [
            await sending.send(
                RECEIPTS,
                value=binascii.a2b_base64(event["data_base64"]),
                key=event["subject"].encode(),
                headers=headers_of(event),
            )
            for event in events
        ]
        for each in sent:
            await each
        done += len(events)
        return web.Response(status=202, body=b'{"results":[]}')

    server = web.Server(handle)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    listening = await loop.create_server(server, "127.0.0.1", arguments.port, backlog=1024)
    clock = Clock()
    await stopping.wait()
    listening.close()
    await sending.stop()
    return clock.result(done)


async def exchange(arguments: argparse.Namespace) -> Result:
    """Consume, put one header more, produce, commit: a poll at a time."""
    reading = consumer(arguments.bootstrap, LEDGER, group="bench.exchange")
    sending = producer(arguments.bootstrap)
    await sending.start()
    await reading.start()
    total, done = arguments.messages, 0
    clock: Clock | None = None
    try:
        while done < total:
            polled = await reading.getmany(timeout_ms=1000, max_records=MOST)
            clock = clock or (Clock() if polled else None)
            sent = []
            for place, records in polled.items():
                for record in records:
                    found = {name: raw.decode() for name, raw in record.headers}
                    found["tongban-source"] = f"{place.topic}/{place.partition}/{record.offset}"
                    headers = [(name, text.encode()) for name, text in found.items()]
                    sent.append(
                        await sending.send(OUTBOX, value=record.value, key=record.key, headers=headers)
                    )
            for each in sent:
                await each
            if polled:
                await reading.commit()
            done += len(sent)
        assert clock is not None
        return clock.result(done)
    finally:
        await reading.stop()
        await sending.stop()


async def store(arguments: argparse.Namespace) -> Result:
    """Message, case, position and outcome, in batches: SQLite with the view's own tables and settings."""
    with tempfile.TemporaryDirectory() as folder:
        connection: sqlite3.Connection = bare_store.prepared(Path(folder) / "bare.db")
        batches = bare_store.batches(arguments.messages)
        clock = Clock()
        for batch in batches:
            bare_store.write(connection, batch)
        return clock.result(arguments.messages)


async def hops(arguments: argparse.Namespace) -> Result:
    """Two hops through Kafka at a steady rate: produce, consume, produce, consume."""
    first, second = "bench.hop1", "bench.hop2"
    await make_topics(arguments.bootstrap, first, second)
    sending, passing = producer(arguments.bootstrap), producer(arguments.bootstrap)
    one, two = consumer(arguments.bootstrap, first), consumer(arguments.bootstrap, second)
    for each in (sending, passing, one, two):
        await each.start()
    total = arguments.messages
    due_at: list[float] = []
    latencies: list[float] = []
    body = os.urandom(1024)

    async def pass_on() -> None:
        async for record in one:
            await passing.send(second, value=record.value, key=record.key)

    async def arrive() -> None:
        async for record in two:
            latencies.append((time.monotonic() - due_at[int(record.key)]) * 1000)
            if len(latencies) == total:
                return

    passer, arriving = asyncio.create_task(pass_on()), asyncio.create_task(arrive())
    clock = Clock()
    began = time.monotonic()
    for number in range(total):
        due = began + number / arguments.rate
        if (wait_s := due - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        due_at.append(due)
        await sending.send(first, value=body, key=b"%d" % number)
    await asyncio.wait_for(arriving, 60)
    result = clock.result(total)
    passer.cancel()
    for each in (sending, passing, one, two):
        await each.stop()
    return {**result, "latency_ms": latencies}


PARTS: Final[Mapping[str, Callable[[argparse.Namespace], Awaitable[Result]]]] = {
    "raw-produce": raw_produce,
    "raw-consume": raw_consume,
    "intake": intake,
    "exchange": exchange,
    "delivery": delivery,
    "store": store,
    "hops": hops,
}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--bootstrap", default="")
    parser.add_argument("--requests", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--public-key", default="")
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--client", default="lean", choices=["lean", "aiohttp"])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(words)

    async def run() -> None:
        arguments.out.write_bytes(orjson.dumps(await PARTS[arguments.part](arguments)))

    uvloop.run(run())


if __name__ == "__main__":
    main()
