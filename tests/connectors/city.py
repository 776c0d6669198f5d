"""A partner city for connector tests: a real HTTP server with a ledger of its own and faults on demand."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from broker.core.signatures import SigningKey, verify

KEY = SigningKey.from_seed(bytes(range(32)))
SECRET = b"0123456789abcdef0123456789abcdef"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class City:
    """Answers by ``answer`` (status, headers, body), or by ``handler`` when that is set."""

    port: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    handler: Handler | None = None
    tls: ssl.SSLContext | None = None
    ledger: list[str] = field(default_factory=list)
    requests: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/in"

    async def __aenter__(self) -> City:
        await self.come_back()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.go_away()

    async def go_away(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def come_back(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    def effects(self) -> list[str]:
        return self.ledger

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.method != "POST":
            return web.Response(status=405)
        self.requests.append((dict(request.headers), body))
        if self.handler is not None:
            return await self.handler(request)
        if self.status in {200, 201, 202, 204}:
            fault = verify(
                request.headers["webhook-signature"],
                request.headers["webhook-id"],
                int(request.headers["webhook-timestamp"]),
                body,
                now_s=int(request.headers["webhook-timestamp"]),
                public_keys=[KEY.verify_key],
                secrets=[SECRET],
            )
            assert fault is None
            events = json.loads(body)
            for event in events if isinstance(events, list) else [events]:
                name = f"{event['source'].removeprefix('/partners/')}/{event['id']}"
                if name not in self.ledger:
                    self.ledger.append(name)
        return web.Response(status=self.status, headers=self.headers, body=self.body)


async def raw_server(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> asyncio.Server:
    """A server that speaks as badly as the test wants."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)
