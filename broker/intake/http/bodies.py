"""Reading a request's body: bounded in size, in time, and in what it inflates to."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from aiohttp import StreamReader, web

from broker.core.problems import FieldError, Refusal

_GZIP: Final = 16 + zlib.MAX_WBITS
_LATE: Final = Refusal(code="request-timeout", detail="the request's body did not arrive in time")
_CUT: Final = Refusal(code="header-invalid", detail="the body does not end where its headers say")
FULL: Final = Refusal(code="unavailable", detail="the broker has as much in hand as it takes")
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Room:
    """How many bytes of bodies are in hand, of how many at most: the sum over all requests."""

    __slots__ = ("limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, more_bytes: int) -> bool:
        if self.used_bytes + more_bytes > self.limit_bytes:
            return False
        self.used_bytes += more_bytes
        return True

    def give(self, back_bytes: int) -> None:
        self.used_bytes -= back_bytes


async def read_body(
    request: web.BaseRequest, limit_bytes: int, deadline_s: float, room: Room
) -> bytes | Refusal:
    """The body as its sender wrote it, gzip undone. Its length is taken from ``room``: give it back."""
    coding = request.headers.get("Content-Encoding", "identity").lower()
    if coding not in {"gzip", "identity"}:
        return Refusal(code="media-type-unsupported", detail="Content-Encoding: only gzip, or none")
    length = request.content_length
    if length is not None and length > limit_bytes:
        return _too_large(limit_bytes)
    content = request.content
    body = (
        _read_at_once(content, room)
        if content.is_eof()
        else await _read_on(request, limit_bytes, deadline_s, room)
    )
    if isinstance(body, Refusal) or (coding == "identity" and len(body) <= limit_bytes):
        return body
    room.give(len(body))
    plain = inflate(body, limit_bytes) if coding == "gzip" else _too_large(limit_bytes)
    return plain if isinstance(plain, Refusal) or room.take(len(plain)) else FULL


def inflate(body: bytes, limit_bytes: int) -> bytes | Refusal:
    """Undo gzip, of at most ``limit_bytes``: what is beyond is never made."""
    inflater = zlib.decompressobj(_GZIP)
    try:
        plain = inflater.decompress(body, limit_bytes + 1)
    except zlib.error:
        return _not_gzip()
    if len(plain) > limit_bytes:
        return _too_large(limit_bytes)
    if not inflater.eof or inflater.unused_data:
        return _not_gzip()
    return plain


def _read_at_once(content: StreamReader, room: Room) -> bytes | Refusal:
    """A body that came whole with its head, as most do."""
    body = content.read_nowait(-1)
    return body if room.take(len(body)) else FULL


async def _read_on(
    request: web.BaseRequest, limit_bytes: int, deadline_s: float, room: Room
) -> bytes | Refusal:
    """A body that is not all here yet. What is taken from ``room`` is given back with a refusal."""
    if "Expect" in request.headers and not _continued(request):
        return _expectation()
    parts: list[bytes] = []
    taken_bytes = 0
    refusal: Refusal | None = None
    try:
        async with asyncio.timeout(deadline_s):
            while refusal is None and not request.content.at_eof():
                part = await request.content.readany()
                if taken_bytes + len(part) > limit_bytes:
                    refusal = _too_large(limit_bytes)
                elif not room.take(len(part)):
                    refusal = FULL
                else:
                    taken_bytes += len(part)
                    parts.append(part)
    except TimeoutError:
        refusal = _LATE
    except web.RequestPayloadError:
        refusal = _CUT
    except BaseException:  # the caller has gone, or the process stops
        room.give(taken_bytes)
        raise
    if refusal is not None:
        room.give(taken_bytes)
        return refusal
    return b"".join(parts)


def _continued(request: web.BaseRequest) -> bool:
    if request.headers.get("Expect", "").lower() != "100-continue" or request.transport is None:
        return False
    request.transport.write(CONTINUE)
    return True


def _expectation() -> Refusal:
    error = FieldError(pointer="/headers/expect", expected="100-continue")
    return Refusal(code="header-invalid", detail="an expectation that is not met here", errors=(error,))


def _not_gzip() -> Refusal:
    error = FieldError(pointer="", expected="one gzip member (RFC 1952), whole")
    return Refusal(code="json-invalid", detail="the body is not gzip as its header says", errors=(error,))


def _too_large(limit_bytes: int) -> Refusal:
    return Refusal(code="too-large", detail=f"a body here has at most {limit_bytes} bytes")
