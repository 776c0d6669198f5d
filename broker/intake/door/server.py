"""The listening socket: connections with deadlines, and requests the parser refuses as problems.

aiohttp bounds sizes and idle connections. What it lacks is here: a head must arrive whole within its
deadline, and a caller that does not read its answer is let go.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from broker.core.problems import FieldError, Refusal
from broker.intake.http.answers import Answer, refused
from broker.intake.options import IntakeOptions
from broker.telemetry import Log

LATE_HEAD: Final = Refusal(code="request-timeout", detail="the request's head did not arrive in time")
BACKLOG: Final = 1024


class Connection(web.RequestHandler):
    """One connection. ``head_since``: when a head began that is not whole yet; 0: none has."""

    __slots__ = ("ending", "head_since", "unread_since")

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        options = server.options
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=options.idle_deadline_s,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to have none
            max_line_size=options.header_bytes,
            max_field_size=options.header_bytes,
            max_headers=options.header_count,
            lingering_time=1.0,
            auto_decompress=False,  # bodies are inflated by our own hand, with a cap
        )
        self.head_since = 0.0
        self.unread_since = 0.0
        self.ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.head_since = time.monotonic()

    def data_received(self, data: bytes) -> None:
        heads = self._request_count
        super().data_received(data)
        if self._request_count != heads:
            self.head_since = 0.0
        elif not self.head_since and self._waiter is not None:
            self.head_since = time.monotonic()

    def check_deadlines(self, now: float, head_s: float, unread_s: float) -> None:
        """Let go of a caller that dawdles; called for every connection a few times within a deadline."""
        transport = self.transport
        if transport is None:
            return
        if self.ending:
            self.force_close()
        elif self.head_since and now - self.head_since > head_s:
            self._end_late_head(transport)
        elif not transport.get_write_buffer_size():
            self.unread_since = 0.0
        elif not self.unread_since:
            self.unread_since = now
        elif now - self.unread_since > unread_s:
            self._force_close = True
            transport.abort()

    def _end_late_head(self, transport: asyncio.Transport) -> None:
        """Say why, then end in two steps: closed at once, bytes still coming in would reset the connection
        and take the answer with them."""
        self.ending = True
        self._force_close = True  # what still comes in is read and dropped
        transport.write(refused(LATE_HEAD, close=True).on_wire(keep_alive=False))
        if transport.can_write_eof():
            transport.write_eof()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A head that does not parse (400), or a fault that no handler caught (500). The connection ends."""
        del request, message  # nothing of what was sent is told or repeated
        if status == 400:
            long = isinstance(exc, LineTooLong)
            expected = "a shorter line" if long else "HTTP/1.1 as RFC 9112 has it"
            error = FieldError(pointer="/headers", expected=expected)
            return refused(
                Refusal(code="header-invalid", detail="the request does not parse", errors=(error,)),
                close=True,
            )
        return refused(Refusal(code="internal", detail="a fault of the broker"), close=True)


class Server(web.Server):
    """The partner API's server: ``open`` listens, ``shut`` lets requests in hand finish."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[Answer]],
        options: IntakeOptions,
        log: Log,
    ) -> None:
        super().__init__(handler)
        self.options = options
        self._log = log
        self._listening: asyncio.Server | None = None
        self._sweep: asyncio.Task[None] | None = None

    def __call__(self) -> web.RequestHandler:
        return Connection(self, asyncio.get_running_loop())

    async def open(self, tls: ssl.SSLContext | None) -> None:
        """Listen. Raises OSError when the address is taken or not ours."""
        options = self.options
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            self, options.host, options.port, ssl=tls, backlog=BACKLOG, reuse_address=True
        )
        self._sweep = asyncio.create_task(self._sweeping(), name="intake-deadlines")

    @property
    def port(self) -> int:
        """The port that is listened on: the operating system's choice where the options say 0."""
        assert self._listening is not None, "not open"
        port: int = self._listening.sockets[0].getsockname()[1]
        return port

    async def shut(self, within_s: float) -> None:
        """Take no more, finish what is in hand."""
        if self._listening is not None:
            self._listening.close()
        self.pre_shutdown()
        await self.shutdown(within_s)
        if self._sweep is not None:
            self._sweep.cancel()

    async def _sweeping(self) -> None:
        head_s, unread_s = self.options.header_deadline_s, self.options.body_deadline_s
        pause_s = min(1.0, head_s / 4, unread_s / 4)
        while True:
            await asyncio.sleep(pause_s)
            now = time.monotonic()
            for connection in self.connections:
                assert isinstance(connection, Connection)
                connection.check_deadlines(now, head_s, unread_s)
