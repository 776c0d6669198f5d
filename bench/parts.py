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
from typing import Any, Final

import aiohttp
import orjson
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from nacl.bindings import crypto_sign, crypto_sign_open

from bench import bare_store
from bench.letters import body_of, read_requests
from bench.measure import memory
from broker.core.signatures import SigningKey, VerifyKey
from connectors.addresses import networks
from connectors.http_client import ClientOptions, Failure, HttpClient, Response

LEDGER: Final = "bench.ledger"
OUTBOX: Final = "bench.outbox"
RECEIPTS: Final = "bench.receipts"
PARTITIONS: Final = 8
IN_FLIGHT: Final = 64
_MOST: Final = 500
Result = Mapping[str, object]


async def make_topics(bootstrap: str) -> None:
    """The topics of the bare parts."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        topics = [NewTopic(name, PARTITIONS, 1) for name in (LEDGER, OUTBOX, RECEIPTS)]
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


async def raw_produce(arguments: argparse.Namespace) -> Result:
    """The events' bodies with a ledger record's headers, one ``send`` each."""
    records = [_record(body_of(request)) for request in read_requests(arguments.requests)]
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
            polled = await reading.getmany(timeout_ms=1000, max_records=_MOST)
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
        signature = _base64(headers["webhook-signature"].partition(",")[2])
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        crypto_sign_open(signature + text, keys[0])
        read = orjson.loads(body)
        events = read if type(read) is list else [read]
        sent = [
            await sending.send(
                RECEIPTS,
                value=_base64(event["data_base64"]),
                key=event["subject"].encode(),
                headers=_headers(event),
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
            polled = await reading.getmany(timeout_ms=1000, max_records=_MOST)
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


Post = Callable[[str, int, bytes, str], Awaitable[None]]


async def delivery(arguments: argparse.Namespace) -> Result:
    """Consume, sign, POST (``--client`` lean or aiohttp), produce a receipt, commit: 64 at a time."""
    key = SigningKey.from_seed(bytes(32)).secret
    reading = consumer(arguments.bootstrap, OUTBOX, group=f"bench.delivery.{arguments.client}")
    sending = producer(arguments.bootstrap)
    slots = asyncio.Semaphore(IN_FLIGHT)
    url = f"http://127.0.0.1:{arguments.port}/inbox"
    post, close = await (_aiohttp(url) if arguments.client == "aiohttp" else _lean(url))
    receipts: list[Any] = []

    async def bring(record: Any, run: str) -> None:
        try:
            found = dict(record.headers)
            name = f"{run}_{found['ce_id'].decode()}"
            timestamp = int(time.time())
            signed = crypto_sign(f"{name}.{timestamp}.".encode() + record.value, key)
            await post(name, timestamp, record.value, _text64(signed[:64]))
            headers = [("ce_correlationid", found["ce_id"]), ("ce_type", b"cn.tongban.receipt.delivered")]
            receipts.append(await sending.send(RECEIPTS, value=b"\0" * 100, key=record.key, headers=headers))
        finally:
            slots.release()

    await sending.start()
    await reading.start()
    total, done = arguments.messages, 0
    clock: Clock | None = None
    try:
        while done < total:
            polled = await reading.getmany(timeout_ms=1000, max_records=_MOST)
            clock = clock or (Clock() if polled else None)
            tasks = []
            for records in polled.values():
                for record in records:
                    await slots.acquire()
                    tasks.append(asyncio.create_task(bring(record, arguments.client)))
            await asyncio.gather(*tasks)
            await asyncio.gather(*receipts)
            receipts.clear()
            if polled:
                await reading.commit()
            done += len(tasks)
        assert clock is not None
        return clock.result(done)
    finally:
        await close()
        await reading.stop()
        await sending.stop()


async def _aiohttp(url: str) -> tuple[Post, Callable[[], Awaitable[None]]]:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT))

    async def post(name: str, timestamp: int, body: bytes, signature: str) -> None:
        headers = {
            "Content-Type": "application/cloudevents+json",
            "webhook-id": name,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1a,{signature}",
        }
        async with session.post(url, data=body, headers=headers) as answer:
            await answer.read()
            assert answer.status == 200

    return post, session.close


async def _lean(url: str) -> tuple[Post, Callable[[], Awaitable[None]]]:
    client = HttpClient(
        ClientOptions(
            url=url,
            connections=IN_FLIGHT,
            connect_timeout_s=5,
            timeout_s=20,
            body_bytes=65536,
            allow=networks(("127.0.0.0/8",)),
        )
    )
    client.start()
    loop = asyncio.get_running_loop()

    async def post(name: str, timestamp: int, body: bytes, signature: str) -> None:
        heard: asyncio.Future[Response | Failure] = loop.create_future()
        headers = [
            "Content-Type: application/cloudevents+json",
            f"webhook-id: {name}",
            f"webhook-timestamp: {timestamp}",
            f"webhook-signature: v1a,{signature}",
        ]
        client.post(headers, body, heard.set_result)
        answer = await heard
        assert isinstance(answer, Response)
        assert answer.status == 200

    async def close() -> None:
        client.close()

    return post, close


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
    admin = AIOKafkaAdminClient(bootstrap_servers=arguments.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in (first, second)])
    await admin.close()
    await asyncio.sleep(1.0)
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


def _record(body: bytes) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    event = orjson.loads(body)
    return event["subject"].encode(), body, _headers(event)


def _headers(event: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """What a ledger record says in its headers."""
    pairs = [(f"ce_{name}", text.encode()) for name, text in event.items() if name != "data_base64"]
    digest = ("ce_digest", b"sha-256:" + b"0" * 64)
    return [*pairs, digest, ("ce_signature", b"v1a," + b"A" * 88)]


def _base64(text: str) -> bytes:
    return binascii.a2b_base64(text)


def _text64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


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
