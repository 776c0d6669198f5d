"""Opening connections to one partner: names resolved, addresses judged, TLS checked.

The address that is judged is the address that is connected to: nothing is resolved in between, and no proxy of
the environment is used. Source: RFC 6890 by way of :mod:`connectors.addresses`; RFC 9110 section 4.3.4 (TLS).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

from connectors.addresses import Network, literal, refused
from connectors.http_connection import Connection, is_certificate_fault
from connectors.http_messages import Blame

_RESOLVED_S: Final = 1.0
"""How long an answer of the resolver serves: long enough for a burst of connections, no longer."""


_FAMILIES: Final = frozenset((socket.AF_INET, socket.AF_INET6))


class DialFailed(Exception):
    """No connection: ``blame`` and ``reason`` are for the request that waited for it."""

    def __init__(self, blame: Blame, reason: str) -> None:
        super().__init__(reason)
        self.blame: Final = blame
        self.reason: Final = reason


class Endpoint(NamedTuple):
    """Where a URL leads. ``target`` is path and query, ``authority`` what ``Host`` says."""

    tls: bool
    host: str
    port: int
    authority: str
    target: str

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """From an http or https URL that :func:`connectors.addresses.url_fault` has passed."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        tls = parts.scheme == "https"
        return cls(tls, host, parts.port or (443 if tls else 80), parts.netloc, target)


Place = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]


class Dialler:
    """Opens connections to one endpoint, one question to the resolver at a time.

    ``ca``, ``certificate`` and ``key`` are paths of PEM files; they are read again when they change.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        allow: tuple[Network, ...],
        timeout_s: float,
        ca: str | None,
        certificate: str | None,
        key: str | None,
    ) -> None:
        self._endpoint = endpoint
        self._allow = allow
        self._timeout_s = timeout_s
        self._files = (ca, certificate, key)
        self._context: ssl.SSLContext | None = None
        self._stamps: Sequence[object] = ()
        self._asking: asyncio.Future[Sequence[Place]] | None = None
        self._asked_s = 0.0

    async def connect(self, make: Callable[[], Connection]) -> Connection:
        """A connection to the first address that may be connected to and answers, within the time limit.

        Raises :class:`DialFailed`.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                context = await self._tls() if self._endpoint.tls else None
                return await self._first(await self._places(), make, context)
        except TimeoutError:
            raise DialFailed("timeout", "no connection in time") from None
        except OSError as fault:  # ssl.SSLError is one
            if is_certificate_fault(fault):
                raise DialFailed("tls", "TLS failed: the certificates are not accepted") from fault
            if isinstance(fault, ssl.SSLError):
                raise DialFailed("broken", "the connection broke in its TLS handshake") from fault
            raise DialFailed("unreachable", "no connection") from fault

    async def _first(
        self, places: Sequence[Place], make: Callable[[], Connection], context: ssl.SSLContext | None
    ) -> Connection:
        permitted = [place for place in places if not refused(_address(place), self._allow)]
        if places and not permitted:
            raise DialFailed("address", "the address is not public and not in the allow networks")
        fault: OSError = OSError("the name has no address")
        for left, place in zip(range(len(permitted), 0, -1), permitted, strict=True):
            try:
                async with asyncio.timeout(self._timeout_s / left if left > 1 else None):
                    return await self._open(place, make, context)
            except OSError as each:  # TimeoutError is one
                fault = each
        raise fault

    async def _open(
        self, place: Place, make: Callable[[], Connection], context: ssl.SSLContext | None
    ) -> Connection:
        loop = asyncio.get_running_loop()
        family, address = place
        line = socket.socket(family, socket.SOCK_STREAM)
        try:
            line.setblocking(False)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(line, address)
            if context is None:
                _, connection = await loop.create_connection(make, sock=line)
            else:
                name = self._endpoint.host.rstrip(".")
                _, connection = await loop.create_connection(
                    make, sock=line, ssl=context, server_hostname=name, ssl_handshake_timeout=self._timeout_s
                )
        except BaseException:
            line.close()
            raise
        return connection

    async def _places(self) -> Sequence[Place]:
        host, port = self._endpoint.host, self._endpoint.port
        known = literal(host)
        if known is not None and host.rstrip(".").lower().rpartition(".")[2] != "localhost":
            family = socket.AF_INET if known.version == 4 else socket.AF_INET6
            return [(family, (str(known), port))]
        loop = asyncio.get_running_loop()
        if self._asking is None or (self._asking.done() and loop.time() - self._asked_s > _RESOLVED_S):
            self._asking = _ask_resolver(loop, host, port)
            self._asked_s = loop.time()
        return await asyncio.shield(self._asking)

    async def _tls(self) -> ssl.SSLContext:
        stamps = [_stamp(each) for each in self._files]
        if self._context is None or stamps != self._stamps:
            try:
                self._context = await asyncio.to_thread(_context, *self._files)
            except (OSError, ValueError) as fault:
                raise DialFailed("tls", "TLS failed: a PEM file cannot be read") from fault
            self._stamps = stamps
        return self._context


def _context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Certificates and host names are checked, TLS 1.2 is the least. ``ca`` replaces the system's own."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if certificate is not None:
        context.load_cert_chain(certificate, key, password=_no_password)
    return context


def _no_password() -> str:
    raise ValueError("a key with a password: nobody is there to type it")


def _stamp(path: str | None) -> object:
    if path is None:
        return None
    try:
        found = os.stat(path)  # noqa: PTH116 - one call a connection
    except OSError:
        return "missing"
    return found.st_mtime_ns, found.st_size, found.st_ino


def _address(place: Place) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(place[1][0].partition("%")[0])


def _place(entry: tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]) -> Place:
    return entry[0], cast("tuple[str, int]", entry[4])


def _ask_resolver(loop: asyncio.AbstractEventLoop, host: str, port: int) -> asyncio.Future[Sequence[Place]]:
    """In a thread of its own: a name server that hangs must not keep the shared threads from other partners."""
    asked: asyncio.Future[Sequence[Place]] = loop.create_future()
    asked.add_done_callback(lambda future: future.cancelled() or future.exception())

    def tell(places: Sequence[Place] | OSError) -> None:
        if asked.done():
            return
        if isinstance(places, OSError):
            asked.set_exception(places)
        else:
            asked.set_result(places)

    def ask() -> None:
        found: Sequence[Place] | OSError
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = [_place(entry) for entry in entries if entry[0] in _FAMILIES]
        except (OSError, UnicodeError) as fault:
            found = fault if isinstance(fault, OSError) else OSError(str(fault))
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=ask, daemon=True, name="tongban-resolver").start()
    return asked
