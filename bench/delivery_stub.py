"""The delivery bench's partner where there is no Go: the same answers as ``bench/stub_go``, in Python.

``python -m bench.delivery_stub -port P``.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from typing import cast
from urllib.parse import parse_qs

import orjson
import uvloop

from bench.lean_http import Framer, header

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
_TAKEN = _OK % (19, b'{"reference":"R-1"}')
_ID = re.compile(rb'"id":"([^"]+)"')


class Book:
    """The partner's own ledger, and how it is asked to behave."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.sick, self.every = "none", 0
        self.connections = 0
        self.reset(detailed=False)

    def reset(self, *, detailed: bool) -> None:
        self.detailed = detailed
        self.seen: set[bytes] = set()
        self.highest: dict[bytes, int] = {}
        self.doubled = self.out_of_order = self.unnamed = self.requests = 0
        self.first_at = self.last_at = 0.0
        self.arrivals: list[tuple[bytes, int]] = []

    def take(self, names: list[bytes]) -> None:
        self.last_at = time.time()
        self.first_at = self.first_at or self.last_at
        for name in names:
            case, _, digits = name.rpartition(b"-")
            if not case or not digits.isdigit():
                self.unnamed += 1
            elif name in self.seen:
                self.doubled += 1
            else:
                self.seen.add(name)
                number = int(digits)
                if number < self.highest.get(case, 0):
                    self.out_of_order += 1
                else:
                    self.highest[case] = number
                if self.detailed:
                    self.arrivals.append((name, time.time_ns()))

    def control(self, query: str) -> None:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        self.delay_s = float(asked.get("delay_ms", self.delay_s * 1000)) / 1000
        self.sick, self.every = asked.get("sick", self.sick), int(asked.get("every", self.every))
        if asked.get("reset") == "1":
            self.reset(detailed=asked.get("detailed") == "1")

    def stats(self) -> bytes:
        names = ("doubled", "out_of_order", "unnamed", "requests", "first_at", "last_at", "connections")
        told = {name: getattr(self, name) for name in names}
        return orjson.dumps(
            {**told, "effects": len(self.seen), "cases": len(self.highest), "cpu_s": time.process_time()}
        )

    def sickness(self, path: str) -> str:
        number = path.removeprefix("/inbox").removeprefix("/p/")
        ill = number.isdigit() and self.every > 0 and int(number) % self.every == 0
        return self.sick if ill else "none"


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._framer = Framer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._book.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._book.connections -= 1

    def data_received(self, data: bytes) -> None:
        for head, body in self._framer.feed(data):
            self._hear(head, body)

    def _hear(self, head: bytes, body: bytes) -> None:
        book = self._book
        method, target, _ = head[: head.index(b"\r\n")].decode().split(" ")
        path, _, query = target.partition("?")
        if path in {"/stats", "/arrivals", "/control"}:
            told = b"{}"
            if path == "/stats":
                told = book.stats()
            elif path == "/arrivals":
                told = b"".join(b"%b %d\n" % each for each in book.arrivals)
            else:
                book.control(query)
            self._transport.write(_OK % (len(told), told))
            return
        sickness = book.sickness(path)
        if sickness == "dead":
            self._transport.abort()
        elif sickness == "none" and method != "POST":
            self._transport.write(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
        elif sickness == "none":
            self._take(head, body)

    def _take(self, head: bytes, body: bytes) -> None:
        book = self._book
        book.requests += 1
        answer = _TAKEN
        if b"batch" in header(head, b"Content-Type"):
            names = _ID.findall(body)
            told = orjson.dumps({"results": [{"id": name.decode(), "status": 200} for name in names]})
            answer = _OK % (len(told), told)
        else:
            names = [header(head, b"webhook-id").partition(b"_")[2]]
        book.take(names)
        if book.delay_s:
            asyncio.get_running_loop().call_later(book.delay_s, self._answer, answer)
        else:
            self._transport.write(answer)

    def _answer(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(port: int) -> None:
    book = Book()
    server = await asyncio.get_running_loop().create_server(
        lambda: Line(book), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
