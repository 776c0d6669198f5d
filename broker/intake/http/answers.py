"""Answers: whole HTTP responses as values, and problems (RFC 9457) made of refusals.

Nothing that a caller sent is ever repeated in an answer, but the ids of its own messages.
"""

from __future__ import annotations

import html
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web

from broker.core.problems import CATALOGUE, ProblemKind, Refusal

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
HTML: Final = "text/html; charset=utf-8"

RETRY_AFTER_S: Final[Mapping[str, int]] = {"not-durable": 2, "unavailable": 2, "too-many-requests": 1}
"""How long a caller should wait, by code."""

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


class Answer(web.StreamResponse):
    """A whole response, written in one piece.

    aiohttp's own response costs three times as much; all that the partner API answers is short and known
    before its first byte is sent, so there is nothing to stream, compress or set cookies on.
    """

    def __init__(
        self,
        status: int,
        body: bytes,
        content_type: str = JSON,
        headers: Mapping[str, str] | None = None,
        *,
        close: bool = False,
    ) -> None:
        # The parent's constructor makes what only a streamed response needs; nothing of it is used here.
        self._status = status
        self.payload = body
        self.media_type = content_type
        self.extra = headers or {}
        self.close = close
        self._keep_alive: bool | None = None
        self._head_only = False
        self._transport: object = None

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write head and body to the connection."""
        keep = request.keep_alive and not self.close
        self._keep_alive = keep
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the caller has gone")
        transport.write(self.on_wire(keep_alive=keep, head_only=request.method == "HEAD"))

    async def write_eof(self, data: bytes = b"") -> None:
        """All was written by :meth:`prepare`."""

    def on_wire(self, *, keep_alive: bool, head_only: bool = False) -> bytes:
        """The response as bytes, HTTP/1.1."""
        status = self._status
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\nContent-Type: {self.media_type}\r\n"]
        lines.append(f"Content-Length: {len(self.payload)}\r\nDate: {_date()}\r\n")
        lines.extend(f"{name}: {text}\r\n" for name, text in self.extra.items())
        lines.append("\r\n" if keep_alive else "Connection: close\r\n\r\n")
        head = "".join(lines).encode("latin-1")
        return head if head_only else head + self.payload


def json_answer(status: int, content: object, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, orjson.dumps(content), JSON, headers)


def problem_of(refusal: Refusal) -> dict[str, object]:
    """The problem document of a refusal (RFC 9457), its facts as extension members."""
    kind = refusal.kind
    document: dict[str, object] = {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": refusal.detail,
        "code": kind.code,
    }
    if refusal.errors:
        document["errors"] = [
            {"pointer": each.pointer, "expected": each.expected}
            | ({} if each.got is None else {"got": each.got})
            for each in refusal.errors
        ]
    document.update((name, list(fact) if isinstance(fact, tuple) else fact) for name, fact in refusal.facts)
    return document


def refused(refusal: Refusal, headers: Mapping[str, str] | None = None, *, close: bool = False) -> Answer:
    """A refusal as an answer, with ``Retry-After`` where the caller is to come again."""
    extra = dict(headers or {})
    wait_s = RETRY_AFTER_S.get(refusal.code)
    if wait_s is not None:
        extra.setdefault("Retry-After", str(wait_s))
    status = refusal.kind.status
    if status == 401:
        extra.setdefault("WWW-Authenticate", "Bearer")
    return Answer(status, orjson.dumps(problem_of(refusal)), PROBLEM, extra, close=close)


def problem_page(kind: ProblemKind) -> Answer:
    """The page behind a problem's ``type``: Chinese first, then English."""
    return _page(
        f"{kind.title_zh} · {kind.code}",
        f"<h1>{html.escape(kind.title_zh)}</h1><p><code>{kind.code}</code> · HTTP {kind.status}</p>"
        f"<p>{html.escape(kind.mend_zh)}</p>"
        f'<div lang="en"><h2>{html.escape(kind.title)}</h2><p>{html.escape(kind.mend)}</p></div>'
        '<p><a href="/problems">全部错误 · All problems</a></p>',
    )


def problem_list() -> Answer:
    """All problems of the catalogue on one page."""
    rows = "".join(
        f'<tr><td><a href="/problems/{kind.code}"><code>{kind.code}</code></a></td><td>{kind.status}</td>'
        f'<td>{html.escape(kind.title_zh)}</td><td lang="en">{html.escape(kind.title)}</td></tr>'
        for kind in CATALOGUE.values()
    )
    return _page("错误目录", f"<h1>错误目录 · Problems</h1><table>{rows}</table>")


def _page(title: str, content: str) -> Answer:
    body = (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        "<style>body{font:16px/1.6 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}"
        "td{padding:.2rem .8rem .2rem 0}</style></head><body>" + content + "</body></html>"
    )
    safe = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Answer(200, body.encode(), HTML, safe | {"X-Content-Type-Options": "nosniff"})


class _Clock:
    second = 0
    text = ""


def _date() -> str:
    second = int(time.time())
    if second != _Clock.second:
        _Clock.second, _Clock.text = second, formatdate(second, usegmt=True)
    return _Clock.text
