"""A lean HTTP client for one partner: libcurl's multi interface on asyncio, answers by callback.

CPU per request is a fifth of aiohttp's (docs/benchmarks.md). All sockets of one partner hang on one epoll
of their own, which hangs on the loop: a wave of answers costs the loop one wake-up, not one each.
Guarantees: no redirect is followed, no proxy or netrc of the environment is used, nothing is decompressed,
only http and https are spoken, no connection is opened to an address that ``allow`` does not permit, and
every request ends within ``timeout_s`` with at most ``body_bytes`` of answer in memory.
"""

from __future__ import annotations

import asyncio
import ipaddress
import select
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pycurl  # type: ignore[import-untyped]

from connectors.addresses import Network, refused

Blame = Literal["unreachable", "timeout", "tls", "address", "broken", "too_large", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer. ``retry_after_s`` is that of a ``Retry-After`` in seconds or as a date (at most 6 h)."""

    status: int
    body: bytes
    retry_after_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """No whole answer. ``status`` is set when an answer had begun."""

    blame: Blame
    reason: str
    status: int | None = None


Done = Callable[[Response | Failure], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """One partner's client. ``ca``, ``certificate`` and ``key`` are paths of PEM files."""

    url: str
    connections: int
    connect_timeout_s: float
    timeout_s: float
    body_bytes: int
    allow: tuple[Network, ...] = ()
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


_TLS_CODES: Final = frozenset(
    getattr(pycurl, name)
    for name in (
        "E_PEER_FAILED_VERIFICATION", "E_SSL_CERTPROBLEM", "E_SSL_CIPHER", "E_SSL_CACERT",
        "E_SSL_CACERT_BADFILE", "E_SSL_ISSUER_ERROR", "E_SSL_INVALIDCERTSTATUS",
        "E_SSL_CRL_BADFILE", "E_SSL_CLIENTCERT",
    )
    if hasattr(pycurl, name)
)  # fmt: skip
_UNREACHED: Final = frozenset((pycurl.E_COULDNT_CONNECT, pycurl.E_COULDNT_RESOLVE_HOST))
_HEADERS_THAT_CURL_ADDS: Final = ["Expect:", "Accept: application/json"]


class _Exchange:
    """One easy handle, used for one request at a time, and what is gathered of its answer."""

    __slots__ = ("blocked", "body", "curl", "done", "limit", "overflown")

    def __init__(self, limit: int) -> None:
        self.curl = pycurl.Curl()
        self.body = bytearray()
        self.limit = limit
        self.overflown = False
        self.blocked = False
        self.done: Done | None = None

    def begin(self, done: Done) -> None:
        self.done = done
        self.overflown = self.blocked = False
        if self.body:
            self.body = bytearray()

    def write(self, chunk: bytes) -> int:
        if len(self.body) + len(chunk) > self.limit:
            self.overflown = True
            return 0
        self.body += chunk
        return len(chunk)


class HttpClient:
    """Posts to one URL over at most ``connections`` keep-alive connections. Belongs to the loop it starts on."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._idle: list[_Exchange] = []
        self._busy: dict[pycurl.Curl, _Exchange] = {}
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0
        self._closed = True

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._poll = select.epoll()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_interest)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, self._options.connections)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, self._options.connections)
        self._loop.add_reader(self._poll.fileno(), self._on_ready)
        self._closed = False

    def close(self) -> None:
        """End every request in flight; their callbacks hear ``closed``."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._poll.fileno())
        ended = list(self._busy.values())
        for exchange in ended:
            self._multi.remove_handle(exchange.curl)
        for exchange in (*ended, *self._idle):
            exchange.curl.close()
        self._multi.close()
        self._poll.close()
        self._busy.clear()
        self._idle.clear()
        for exchange in ended:
            assert exchange.done is not None
            exchange.done(Failure(blame="closed", reason="the client was closed"))

    def post(self, headers: Sequence[str], body: bytes, done: Done) -> None:
        """Send one request; ``done`` is called once, from the loop, never from within this call."""
        self._send(pycurl.POSTFIELDS, headers, body, done)

    def options(self, done: Done) -> None:
        """Ask without effect whether anybody is there (method OPTIONS)."""
        self._send(pycurl.CUSTOMREQUEST, [], b"", done)

    def _send(self, kind: int, headers: Sequence[str], body: bytes, done: Done) -> None:
        exchange = self._idle.pop() if self._idle else self._new()
        exchange.begin(done)
        curl = exchange.curl
        if kind == pycurl.POSTFIELDS:
            curl.setopt(pycurl.POSTFIELDS, body)
        else:
            curl.setopt(pycurl.HTTPGET, 1)
            curl.setopt(pycurl.CUSTOMREQUEST, "OPTIONS")
        curl.setopt(pycurl.HTTPHEADER, [*headers, *_HEADERS_THAT_CURL_ADDS])
        self._busy[curl] = exchange
        self._multi.add_handle(curl)

    def _new(self) -> _Exchange:
        options = self._options
        exchange = _Exchange(options.body_bytes)
        curl = exchange.curl
        curl.setopt(pycurl.URL, options.url)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NOPROXY, "*")
        curl.setopt(pycurl.USERAGENT, "tongban")
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, round(options.connect_timeout_s * 1000))
        curl.setopt(pycurl.TIMEOUT_MS, round(options.timeout_s * 1000))
        curl.setopt(pycurl.WRITEFUNCTION, exchange.write)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, _guard(exchange, options.allow))
        curl.setopt(pycurl.SSL_VERIFYPEER, 1)
        curl.setopt(pycurl.SSL_VERIFYHOST, 2)
        _trust(curl, options.ca)
        if options.certificate is not None:
            curl.setopt(pycurl.SSLCERT, options.certificate)
        if options.key is not None:
            curl.setopt(pycurl.SSLKEY, options.key)
        return exchange

    # libcurl tells what it waits for; it must not be called back from within these two

    def _on_interest(self, what: int, fd: int, _multi: pycurl.CurlMulti, _state: object) -> None:
        if what == pycurl.POLL_REMOVE:
            try:
                self._poll.unregister(fd)
            except OSError:
                return  # the descriptor is closed already, and so is out of the epoll
            return
        mask = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (
            select.EPOLLOUT if what & pycurl.POLL_OUT else 0
        )
        try:
            self._poll.register(fd, mask)
        except FileExistsError:
            self._poll.modify(fd, mask)

    def _on_timer(self, timeout_ms: int) -> None:
        if self._closed:
            return
        if timeout_ms < 0:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return
        at = self._loop.time() + timeout_ms / 1000
        if self._timer is not None:
            if self._timer_at <= at:
                return  # the earlier wake-up is harmless: libcurl then names the later time again
            self._timer.cancel()
        self._timer_at = at
        self._timer = (
            self._loop.call_later(timeout_ms / 1000, self._on_timeout)
            if timeout_ms
            else self._loop.call_soon(self._on_timeout)
        )

    def _on_timeout(self) -> None:
        self._timer = None
        if self._closed:
            return
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()
        if self._busy and not self._timer:
            self._on_timer(self._multi.timeout())

    def _on_ready(self) -> None:
        action = self._multi.socket_action
        for fd, events in self._poll.poll(0):
            flags = (
                (pycurl.CSELECT_IN if events & select.EPOLLIN else 0)
                | (pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0)
                | (pycurl.CSELECT_ERR if events & (select.EPOLLERR | select.EPOLLHUP) else 0)
            )
            action(fd, flags)
        self._collect()

    def _collect(self) -> None:
        left = 1
        while left and not self._closed:
            left, succeeded, failed = self._multi.info_read()
            for curl in succeeded:
                self._end(curl, self._answer(curl))
            for curl, code, _ in failed:
                self._end(curl, self._failure(curl, code))

    def _end(self, curl: pycurl.Curl, result: Response | Failure) -> None:
        exchange = self._busy.pop(curl, None)
        if exchange is None:
            return  # closed by the callback of a neighbour
        self._multi.remove_handle(curl)
        done = exchange.done
        exchange.done = None
        if len(self._idle) < self._options.connections:
            self._idle.append(exchange)
        else:
            curl.close()
        assert done is not None
        done(result)

    def _answer(self, curl: pycurl.Curl) -> Response:
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        retry_after = curl.getinfo(pycurl.RETRY_AFTER) if status >= 400 else 0
        return Response(
            status=status,
            body=bytes(self._busy[curl].body),
            retry_after_s=float(retry_after) if retry_after > 0 else None,
        )

    def _failure(self, curl: pycurl.Curl, code: int) -> Failure:
        exchange = self._busy[curl]
        status = curl.getinfo(pycurl.RESPONSE_CODE) or None
        if exchange.overflown:
            return Failure(
                blame="too_large", status=status, reason=f"the answer is larger than {exchange.limit} bytes"
            )
        if code in _UNREACHED:
            if exchange.blocked:
                return Failure(
                    blame="address", reason="the address is not public and not in the allow networks"
                )
            return Failure(blame="unreachable", reason="no connection")
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return Failure(blame="timeout", status=status, reason="no whole answer in time")
        if code in _TLS_CODES:
            return Failure(blame="tls", reason=f"TLS failed (curl {code})")
        return Failure(blame="broken", status=status, reason=f"the connection broke (curl {code})")


def _guard(exchange: _Exchange, allow: tuple[Network, ...]) -> Callable[[int, tuple[object, ...]], object]:
    """The last word on an address, when its connection is opened: no resolver trick comes after it."""

    def open_socket(_purpose: int, target: tuple[object, ...]) -> object:
        family, kind, protocol, place = target
        assert isinstance(family, int)
        assert isinstance(kind, int)
        assert isinstance(protocol, int)
        if family not in {socket.AF_INET, socket.AF_INET6} or not isinstance(place, tuple):
            exchange.blocked = True
            return pycurl.SOCKET_BAD
        host = place[0].decode() if isinstance(place[0], bytes) else str(place[0])
        if refused(ipaddress.ip_address(host.partition("%")[0]), allow):
            exchange.blocked = True
            return pycurl.SOCKET_BAD
        return socket.socket(family, kind, protocol)

    return open_socket


def _trust(curl: pycurl.Curl, ca: str | None) -> None:
    if ca is not None:
        curl.setopt(pycurl.CAINFO, ca)
        return
    paths = ssl.get_default_verify_paths()
    if paths.cafile is not None:
        curl.setopt(pycurl.CAINFO, paths.cafile)
    if paths.capath is not None:
        curl.setopt(pycurl.CAPATH, paths.capath)
