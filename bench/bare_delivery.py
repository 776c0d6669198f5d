"""The bare delivery: consume, sign, POST, produce a receipt, commit. By our own HTTP client, or by aiohttp."""

from __future__ import annotations

import argparse
import asyncio
import binascii
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
from nacl.bindings import crypto_sign

from bench.bare_clients import MOST, OUTBOX, RECEIPTS, Clock, Result, consumer, producer
from broker.core.signatures import SigningKey
from connectors.addresses import networks
from connectors.http_client import ClientOptions, Failure, HttpClient, Response

IN_FLIGHT: Final = 64
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
            await post(
                name, timestamp, record.value, binascii.b2a_base64(signed[:64], newline=False).decode()
            )
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
            polled = await reading.getmany(timeout_ms=1000, max_records=MOST)
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
