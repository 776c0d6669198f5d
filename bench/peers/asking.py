"""What the Python peers share: their arguments, and a lean HTTP client on bare asyncio.

Runs under any Python 3.11 or newer without packages of this product (uvloop is used where it is there). The
client keeps no promise but one answer per request: it shows what a peer can do, not what a product should.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections import deque
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "topic", "group", "member", "url"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    return parser.parse_args()


def name_of(value: bytes) -> bytes:
    """A record's name: its value is five bytes of framing, the name, a space, and what fills it up."""
    return value[5 : value.index(b" ", 5)]


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run until SIGTERM, on uvloop where it is there."""

    async def until_told() -> None:
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        works = [asyncio.ensure_future(main), asyncio.ensure_future(told.wait())]
        done, rest = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        for work in rest:
            work.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for work in done:
            work.result()

    try:
        import uvloop
    except ImportError:
        asyncio.run(until_told())
    else:
        uvloop.run(until_told())


class _Line(asyncio.Protocol):
    def __init__(self, client: LeanClient) -> None:
        self.client = client
        self.waiting: asyncio.Future[None] | None = None
        self.transport: Any = None
        self.read = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        data = self.read + data
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) < end + 4 + _length(data[:end]):
            self.read = data
            return
        self.read = b""
        waiting, self.waiting = self.waiting, None
        self.client.free(self)
        if waiting is not None and not waiting.done():
            if data[9:12] == b"200":
                waiting.set_result(None)
            else:
                waiting.set_exception(RuntimeError(data[:60].decode(errors="replace")))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(exc or ConnectionError("closed"))


class LeanClient:
    """Posts over at most ``connections`` kept connections."""

    def __init__(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        self._place = parts.hostname or "", parts.port or 80
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/octet-stream\r\n"
        ).encode() + b"webhook-id: 451300_%b\r\nContent-Length: %d\r\n\r\n"
        self._slots = connections
        self._idle: list[_Line] = []
        self._turns: deque[asyncio.Future[None]] = deque()

    async def post(self, name: bytes, body: bytes) -> None:
        """Raises when the answer is not 200."""
        loop = asyncio.get_running_loop()
        while not self._idle:
            if self._slots:
                self._slots -= 1
                _, line = await loop.create_connection(lambda: _Line(self), *self._place)
                self._idle.append(line)
            else:
                turn = loop.create_future()
                self._turns.append(turn)
                await turn
        line = self._idle.pop()
        line.waiting = loop.create_future()
        line.transport.write(self._head % (name, len(body)) + body)
        await line.waiting

    def free(self, line: _Line) -> None:
        self._idle.append(line)
        if self._turns:
            self._turns.popleft().set_result(None)


def _length(head: bytes) -> int:
    at = head.find(b"Content-Length: ")
    return int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
