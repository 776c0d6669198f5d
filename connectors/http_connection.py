"""One HTTP/1.1 connection: a request goes out, an answer is read, strictly and within bounds.

An answer is parsed by llhttp (``httptools``) without any of its leniencies. Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Final, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from connectors.http_messages import Blame, Exchange, Failure, Response, retry_after_s

HEAD_BYTES: Final = 32 * 1024
"""The most that the head of an answer may have, together with all 1xx answers before it."""
_TOLD: Final = frozenset((b"retry-after", b"content-length", b"transfer-encoding", b"keep-alive"))
_TLS_REASONS: Final = (
    "CERTIFICATE",
    "UNKNOWN_CA",
    "WRONG_VERSION",
    "UNSUPPORTED_PROTOCOL",
    "HANDSHAKE_FAILURE",
)


class Owner(Protocol):
    """The pool that a connection belongs to."""

    def freed(self, connection: Connection) -> None:
        """The connection may carry the next request."""

    def lost(self, connection: Connection) -> None:
        """The connection is no more; called once."""

    def write_soon(self, connection: Connection) -> None:
        """Call :meth:`Connection.write` at the end of this turn of the loop."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. ``body_bytes`` is the largest body that an answer may have.

    Every exchange ends exactly once: by an answer, or by a failure. A connection is used again only when the
    answer was whole, in bounds, nothing came after it, and the whole request had left before it came.
    """

    def __init__(self, owner: Owner, body_bytes: int) -> None:
        self._owner = owner
        self._body_bytes = body_bytes
        self._most_bytes = 2 * body_bytes + HEAD_BYTES  # chunks have heads of their own
        self._exchange: Exchange | None = None
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._gone = False
        self.idle_until_s = 0.0
        """While it is idle: when the pool is to close it."""
        self.born_s = 0.0
        self.keep_alive = b""
        """The last answer's ``Keep-Alive``: how long the other side keeps it open."""

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._gone and not self._transport.is_closing()

    @property
    def until_s(self) -> float | None:
        """When the exchange under way is to end at the latest; None: there is none."""
        return None if self._exchange is None else self._exchange.until_s

    def send(self, exchange: Exchange) -> None:
        """Send the request, at the end of this turn of the loop. Only of a connection that is usable and idle.

        What goes out in one turn is written in one go: each write to a process that sleeps costs the waking of
        it (40 µs of CPU on a virtual machine), which those right behind it do not.
        """
        self._exchange = exchange
        self._unwritten = True
        self._received = 0
        self._size = 0
        self._parts: list[bytes] = []
        self._headed = self._framed = self._complete = self._spoilt = self._keep = False
        self._status = 0
        self._retry_after = b""
        self._owner.write_soon(self)

    def write(self) -> None:
        """Write the request of :meth:`send`, unless the exchange has ended since."""
        if self._exchange is not None and self._unwritten:
            self._unwritten = False
            assert self._transport is not None
            self._transport.write(self._exchange.request)

    def fail(self, blame: Blame, reason: str) -> None:
        """End the exchange under way, and the connection with it: an answer that still comes is nobody's."""
        exchange, self._exchange = self._exchange, None
        self.abort()
        if exchange is not None:
            exchange.done(Failure(blame=blame, reason=reason, status=self._status or None))

    def abort(self) -> None:
        """Close at once. Nothing is heard of it any more but ``lost``."""
        if self._transport is not None:
            self._transport.abort()
        self._leave()

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        if self._exchange is None or self._parser is None:
            self.abort()  # nobody asked: whatever this is, the next answer must not be mixed up with it
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._complete:
                self.fail("broken", "the answer is not HTTP")
                return
            self._spoilt = True
        if self._size > self._body_bytes:
            self.fail("too_large", f"the answer is larger than {self._body_bytes} bytes")
        elif self._complete:
            self._answered()
        elif self._received > (self._most_bytes if self._headed else HEAD_BYTES):
            self.fail("too_large", "the answer has no end")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._exchange is not None:
            if self._headed and not self._framed and exc is None:
                self._answered()  # an answer without a length ends with its connection
            elif is_certificate_fault(exc):
                self.fail("tls", "TLS failed: the certificates are not accepted")
            else:
                begun = "in the middle of an answer" if self._received else "before any answer"
                self.fail("broken", f"the connection broke {begun}")
        self._leave()

    # the parser calls these

    def on_message_begin(self) -> None:
        if self._complete:
            self._spoilt = True

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name not in _TOLD or self._complete:
            return
        if name == b"retry-after":
            self._retry_after = value
        elif name == b"keep-alive":
            self.keep_alive = value
        else:
            self._framed = True

    def on_headers_complete(self) -> None:
        if not self._complete:
            assert self._parser is not None
            self._status = self._parser.get_status_code()
            self._headed = self._status >= 200

    def on_body(self, chunk: bytes) -> None:
        if not self._complete:
            self._size += len(chunk)
            if self._size <= self._body_bytes:
                self._parts.append(chunk)

    def on_message_complete(self) -> None:
        if self._complete:
            return
        if not self._headed:  # 1xx: the answer is still to come
            self._framed = False
            return
        assert self._parser is not None
        self._complete = True
        self._keep = self._parser.should_keep_alive()

    def _answered(self) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        assert self._transport is not None
        early = self._unwritten or self._transport.get_write_buffer_size() > 0
        parts = self._parts
        answer: Response | Failure
        if early and self._status < 400:
            reason = "answered before it could have read the whole request"
            answer = Failure(blame="broken", reason=reason, status=self._status)
        else:
            answer = Response(
                status=self._status,
                body=parts[0] if len(parts) == 1 else b"".join(parts),
                retry_after_s=retry_after_s(self._retry_after, time.time()) if self._retry_after else None,
            )
        if self._keep and not self._spoilt and not early:
            self._owner.freed(self)
        else:
            self.abort()
        exchange.done(answer)

    def _leave(self) -> None:
        if not self._gone:
            self._gone = True
            self._parser = None  # it holds this object's methods, and this object it
            self._owner.lost(self)


def is_certificate_fault(fault: BaseException | None) -> bool:
    """Whether TLS failed by what the two sides are configured with, not by a line that broke."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return True
    if not isinstance(fault, ssl.SSLError):
        return False
    return any(each in str(fault).upper().replace(" ", "_") for each in _TLS_REASONS)
