"""The receiving side of a city with an HTTP endpoint: ``POST /inbox``.

The order of the checks matters and is the same for every partner: size, signature and clock, form, then the
one transaction that has the effect, and only then the answer. A repeat has no second effect.
Source: contract, "What a partner receives" (the table of answers).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import orjson
from aiohttp import web
from nacl.signing import VerifyKey

from deploy.demo import keys
from deploy.demo.clock import now_text
from deploy.demo.events import MEDIA_TYPE, Event, NotAnEvent, read_event
from deploy.demo.faults import Faults
from deploy.demo.hall import Hall, Repeated, Taken
from deploy.demo.ledger import Ledger
from deploy.demo.office import Rejection

BODY_BYTES = 2 * 1024 * 1024
_RETRY_AFTER_S = 1


class Inbox:
    """Answers deliveries. ``verify`` are the broker's public keys in force; ``on_repeat`` is 200 or 409, both are right."""

    def __init__(
        self, hall: Hall, ledger: Ledger, faults: Faults, *, verify: Sequence[VerifyKey], on_repeat: int
    ) -> None:
        self._hall = hall
        self._ledger = ledger
        self._faults = faults
        self._verify = verify
        self._on_repeat = on_repeat

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """The endpoint's route; halls that share a process differ by ``prefix``."""
        return [web.post(prefix + "/inbox", self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """One delivery. Every arrival is recorded, whatever becomes of it."""
        body = await request.read()
        response, note = self._answer(request, body)
        self._ledger.record_attempt(
            webhook_id=request.headers.get("webhook-id", "-"),
            attempt=_count(request.headers.get("tongban-attempt")),
            answer=response.status,
            note=note,
            at=now_text(),
        )
        return response

    def _answer(self, request: web.Request, body: bytes) -> tuple[web.Response, str]:
        if self._faults.take_request():
            return _problem(503, "away", "停机维护", {"retry-after": str(_RETRY_AFTER_S)}), "away"
        if not self._signed(request, body):
            return _problem(401, "signature-invalid", "签名或时间不符"), "signature-invalid"
        if request.content_type != MEDIA_TYPE:
            return _problem(415, "media-type-unsupported", f"只收 {MEDIA_TYPE}"), "media-type-unsupported"
        try:
            event = read_event(body)
        except NotAnEvent as fault:
            return _problem(400, "event-invalid", str(fault)), "event-invalid"
        attempt = _count(request.headers.get("tongban-attempt"))
        return self._take(event, request.headers["webhook-id"], attempt)

    def _take(self, event: Event, webhook_id: str, attempt: int) -> tuple[web.Response, str]:
        outcome = self._hall.take(event, webhook_id=webhook_id, attempt=attempt)
        match outcome:
            case Taken():
                if self._faults.take_answer():
                    return _problem(503, "answer-lost", "已入账，应答丢失"), "answer-lost"
                return _known(200, outcome.reference), "effect"
            case Repeated():
                return _known(self._on_repeat, outcome.reference), "repeat"
            case Rejection():
                return _problem(422, outcome.code, outcome.detail), outcome.code

    def _signed(self, request: web.Request, body: bytes) -> bool:
        timestamp = request.headers.get("webhook-timestamp", "")
        return timestamp.isdecimal() and keys.holds(
            request.headers.get("webhook-signature", ""),
            request.headers.get("webhook-id", ""),
            int(timestamp),
            body,
            keys=self._verify,
            now_s=int(time.time()),
        )


def _known(status: int, reference: str | None) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps({"reference": reference} if reference else {}),
        content_type="application/json",
    )


def _problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        headers=headers,
        body=orjson.dumps({"code": code, "detail": detail}),
        content_type="application/problem+json",
    )


def _count(attempt: str | None) -> int:
    """The attempt's number as the broker counts it; 0 when it does not say."""
    return int(attempt) if attempt and attempt.isdecimal() else 0
