"""A lean HTTP client for one partner: connections on bare asyncio protocols, answers by callback (ADR 0011).

Guarantees: no redirect is followed, no proxy or netrc of the environment is used, nothing is decompressed,
only http and https are spoken, no connection is opened to an address that ``allow`` does not permit, every
request ends within ``timeout_s`` (and the quarter of a second between two looks at the clock) with at most
``body_bytes`` of answer in memory, and no request is ever sent twice: one whose connection breaks is a failure,
and its caller counts the attempt.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connectors.addresses import Network
from connectors.http_connection import Connection
from connectors.http_dial import DialFailed, Dialler, Endpoint
from connectors.http_messages import Done, Exchange, Failure, Response

__all__ = ["ClientOptions", "Failure", "HttpClient", "Response"]

_LOOK_S: Final = 0.25
_DIALS: Final = 4
"""Connections being opened at a time. A new one costs what twenty requests on a kept one cost."""
_LONGEST_LIFE_S: Final = 300.0
"""A connection is not used longer: a partner that has moved to another address is found again."""
_TIMEOUT: Final = re.compile(rb"(?:^|[,;\s])timeout=([0-9]{1,6})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """One partner's client. ``ca``, ``certificate`` and ``key`` are paths of PEM files.

    ``idle_s``: how long a connection is kept without use. Below the 5 s after which many servers close theirs:
    a request that meets a closing connection is a failed attempt.
    """

    url: str
    connections: int
    connect_timeout_s: float
    timeout_s: float
    body_bytes: int
    allow: tuple[Network, ...] = ()
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    idle_s: float = 4.0


class HttpClient:
    """Posts to one URL over at most ``connections`` keep-alive connections. Belongs to the loop it starts on."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        endpoint = Endpoint.of(options.url)
        self._dialler = Dialler(
            endpoint,
            allow=options.allow,
            timeout_s=options.connect_timeout_s,
            ca=options.ca,
            certificate=options.certificate,
            key=options.key,
        )
        lines = f" {endpoint.target} HTTP/1.1\r\nHost: {endpoint.authority}\r\nUser-Agent: tongban\r\n"
        self._head: Final = f"{lines}Accept: application/json\r\n"
        self._post_head: Final = f"POST{self._head}Content-Length: "
        self._timeout_s: Final = options.timeout_s
        self._look_s: Final = min(_LOOK_S, options.timeout_s / 8, options.idle_s / 2)
        self._idle: list[Connection] = []
        self._connections: set[Connection] = set()
        self._dialling: set[asyncio.Task[None]] = set()
        self._waiting: deque[Exchange] = deque()
        self._unwritten: list[Connection] = []
        self._looking: asyncio.TimerHandle | None = None
        self._closed = True

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._now_s = self._loop.time
        self._closed = False

    def close(self) -> None:
        """End every request in flight; their callbacks hear ``closed``."""
        if self._closed:
            return
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
        waiting, self._waiting = self._waiting, deque()
        for task in self._dialling:
            task.cancel()
        for connection in list(self._connections):
            connection.fail("closed", "the client was closed")
        for exchange in waiting:
            exchange.done(Failure(blame="closed", reason="the client was closed"))

    def post(self, headers: Sequence[str], body: bytes, done: Done) -> None:
        """Send one request; ``done`` is called once, from the loop, never from within this call.

        ``headers`` are lines such as ``webhook-id: x`` of printable ASCII; others are not sent but a failure.
        """
        lines = "\r\n".join(headers)
        if not lines.isascii() or not "".join(headers).isprintable():
            failure = Failure(blame="broken", reason="a header holds what no header may")
            self._loop.call_soon(done, failure)
            return
        self._send(f"{self._post_head}{len(body)}\r\n{lines}\r\n\r\n".encode() + body, done)

    def options(self, done: Done) -> None:
        """Ask without effect whether anybody is there (method OPTIONS)."""
        self._send(f"OPTIONS{self._head}\r\n".encode(), done)

    def _send(self, request: bytes, done: Done) -> None:
        if self._closed:
            self._loop.call_soon(done, Failure(blame="closed", reason="the client was closed"))
            return
        exchange = Exchange(request, done, self._now_s() + self._timeout_s)
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.usable:  # else it is closing: nothing was sent on it
                connection.send(exchange)
                return
        self._waiting.append(exchange)
        self._dial()

    def _dial(self) -> None:
        """Open connections for those that wait, a few at a time: a burst to a quick partner is served by few."""
        dialling = len(self._dialling)
        room = self._options.connections - len(self._connections) - dialling
        for _ in range(min(room, _DIALS - dialling, len(self._waiting) - dialling)):
            task = self._loop.create_task(self._open())
            self._dialling.add(task)
            task.add_done_callback(self._dialling.discard)
        if self._looking is None:
            self._looking = self._loop.call_later(self._look_s, self._look)

    async def _open(self) -> None:
        try:
            connection = await self._dialler.connect(self._make)
        except DialFailed as failed:
            self._end_dial()
            self._no_connection(Failure(blame=failed.blame, reason=failed.reason))
            return
        self._end_dial()
        connection.born_s = self._now_s()
        if connection.usable and not self._closed:
            self._connections.add(connection)
            self.freed(connection)
            self._dial()
        else:
            connection.abort()
            self._no_connection(Failure(blame="broken", reason="the connection broke before any answer"))

    def _no_connection(self, failure: Failure) -> None:
        """Those who wait hear it, unless there are connections to serve them; then :meth:`_look` tries again."""
        if self._connections or self._closed:
            return
        waiting, self._waiting = self._waiting, deque()
        for exchange in waiting:
            exchange.done(failure)

    def _end_dial(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._dialling.discard(task)

    def _make(self) -> Connection:
        return Connection(self, self._options.body_bytes)

    # connections call these

    def freed(self, connection: Connection) -> None:
        now_s = self._now_s()
        if self._closed or now_s - connection.born_s > _LONGEST_LIFE_S:
            connection.abort()
        elif self._waiting:
            connection.send(self._waiting.popleft())
        else:
            connection.idle_until_s = now_s + self._keeps(connection)
            self._idle.append(connection)

    def write_soon(self, connection: Connection) -> None:
        if not self._unwritten:
            self._loop.call_soon(self._write)
        self._unwritten.append(connection)

    def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        for connection in unwritten:
            connection.write()

    def lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiting and not self._closed:
            self._dial()

    def _keeps(self, connection: Connection) -> float:
        if connection.keep_alive and (said := _TIMEOUT.search(connection.keep_alive)):
            return min(self._options.idle_s, max(0.0, int(said[1]) - 1.0))
        return self._options.idle_s

    def _look(self) -> None:
        """End what has run out of time; close what was idle for long."""
        now_s = self._now_s()
        for connection in list(self._connections):
            until_s = connection.until_s
            if until_s is not None and until_s <= now_s:
                connection.fail("timeout", "no whole answer in time")
        for connection in [each for each in self._idle if each.idle_until_s <= now_s]:
            connection.abort()
        late = []
        while self._waiting and self._waiting[0].until_s <= now_s:
            late.append(self._waiting.popleft())
        if self._waiting:
            self._dial()
        for exchange in late:
            exchange.done(Failure(blame="timeout", reason="no whole answer in time"))
        busy = self._connections or self._dialling or self._waiting
        self._looking = self._loop.call_later(self._look_s, self._look) if busy and not self._closed else None
