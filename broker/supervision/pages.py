"""``/healthz``, ``/readyz`` and ``/metrics``: what orchestrators, load balancers and Prometheus ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from broker.errors import Unreachable
from broker.supervision.health import Health
from broker.supervision.options import SupervisionOptions
from broker.telemetry import METRICS


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer: HTTP status, media type, body."""

    status: int
    media_type: str
    body: bytes


class Pages:
    """The three pages, for whichever listener serves them."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def healthz(self) -> Page:
        """200 while the process answers: whether to restart it, not whether to send it work."""
        return Page(status=200, media_type="application/json", body=b'{"alive":true}')

    async def readyz(self) -> Page:
        """200 when every dependency answers, else 503; a sentence for each."""
        findings = await self._health.findings()
        ready = all(each.ready for each in findings)
        document = {
            "ready": ready,
            "dependencies": [
                {"dependency": each.dependency, "ready": each.ready, "sentence": each.sentence}
                for each in findings
            ],
        }
        return Page(status=200 if ready else 503, media_type="application/json", body=orjson.dumps(document))

    async def metrics(self) -> Page:
        return Page(status=200, media_type=CONTENT_TYPE_LATEST, body=generate_latest(METRICS))

    def by_path(self) -> dict[str, Callable[[], Awaitable[Page]]]:
        return {"/healthz": self.healthz, "/readyz": self.readyz, "/metrics": self.metrics}


async def listen(options: SupervisionOptions, pages: Pages) -> web.AppRunner:
    """Serve the pages on their own listener. Raises :class:`Unreachable` when the address cannot be had."""
    app = web.Application()
    for path, page in pages.by_path().items():
        app.router.add_get(path, _handler(page))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port).start()
    except OSError as fault:
        await runner.cleanup()
        raise Unreachable(f"cannot listen on {options.host}:{options.port}: {fault.strerror}") from fault
    return runner


def _handler(page: Callable[[], Awaitable[Page]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        del request
        made = await page()
        return web.Response(status=made.status, body=made.body, headers={"content-type": made.media_type})

    return answer
