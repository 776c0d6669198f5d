"""A partner and a load generator lean enough not to be what is measured: HTTP/1.1 on bare asyncio protocols.

They know just what the bench sends: requests with Content-Length over kept-alive connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, cast

_END: Final = b"\r\n\r\n"


def body_length(head: bytes) -> int:
    """``Content-Length`` of a head; 0 without one."""
    at = head.find(b"Content-Length:")
    if at < 0:
        at = head.lower().find(b"content-length:")
        if at < 0:
            return 0
    return int(head[at + 15 : head.index(b"\r\n", at)])


def header(head: bytes, name: bytes) -> bytes:
    """The value of the header ``name`` (in lower case, as our connector writes it); empty without one."""
    at = head.find(b"\r\n" + name + b": ")
    if at < 0:
        return b""
    start = at + len(name) + 4
    return head[start : head.index(b"\r\n", start)]


def status_of(head: bytes) -> int:
    """The status of an answer."""
    return int(head[9:12])


def closes(head: bytes) -> bool:
    """Whether nothing more may be sent on the connection."""
    return b"\r\nConnection: close\r\n" in head or b"\r\nconnection: close\r\n" in head


class Framer:
    """Cuts a byte stream into HTTP messages (head with its last line's end, and body)."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the messages that ``chunk`` completes."""
        data = self._rest + chunk if self._rest else chunk
        start = 0
        while True:
            end = data.find(_END, start)
            if end < 0:
                break
            head = data[start : end + 2]
            stop = end + 4 + body_length(head)
            if stop > len(data):
                break
            yield head, data[end + 4 : stop]
            start = stop
        self._rest = data[start:]


class Answering(asyncio.Protocol):
    """A server connection: every request gets what ``answer`` makes of its head and body, at once."""

    def __init__(self, answer: Callable[[bytes, bytes], bytes]) -> None:
        self._answer = answer
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        answers = [self._answer(head, body) for head, body in self._framer.feed(data)]
        if answers:
            self._transport.write(b"".join(answers))


class Asking(asyncio.Protocol):
    """A client connection with one request at a time: ``settled`` gets each answer's head and body.

    It may then send the next, unless the head :func:`closes` the connection. ``lost``: it is closed.
    """

    def __init__(
        self, settled: Callable[[Asking, bytes, bytes], None], lost: Callable[[Asking], None]
    ) -> None:
        self._settled = settled
        self._lost = lost
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self.sent: int = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._lost(self)

    def ask(self, number: int, request: bytes) -> None:
        """Send request ``number``."""
        assert self._transport is not None
        self.sent = number
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        for head, body in self._framer.feed(data):
            self._settled(self, head, body)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
