"""From a request to its handler and back: route, proof, limits, and no fault that leaves without a problem."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from aiohttp import web

from broker.core.problems import FieldError, Refusal
from broker.errors import NotDurable, TongbanError, Unreachable
from broker.intake.asking.reads import NOT_FOUND
from broker.intake.http.answers import Answer, refused
from broker.intake.http.auth import CHANNEL, SIGNATURE_HEADER, Auth, Callers, Credentials, Proof
from broker.intake.http.bodies import FULL, Room, read_body
from broker.intake.http.routes import Call, Route, Table
from broker.intake.options import IntakeOptions
from broker.intake.ports import Pressure
from broker.intake.submitting.verdicts import NOT_DURABLE, UNAVAILABLE
from broker.telemetry import Log

_INTERNAL: Final = Refusal(code="internal", detail="a fault of the broker; operations have been told")
_SHARE: Final = Refusal(code="too-many-requests", detail="this caller has as many requests in hand as it may")
_BUSY: Final = Refusal(code="unavailable", detail="what was accepted before is being worked off first")


class Dispatcher:
    """Answers every request, whatever happens within."""

    def __init__(
        self,
        *,
        options: IntakeOptions,
        table: Table,
        callers: Callers,
        pressure: Pressure,
        clock: Callable[[], datetime],
        log: Log,
    ) -> None:
        self._options = options
        self._table = table
        self._callers = callers
        self._pressure = pressure
        self._clock = clock
        self._log = log
        self._room = Room(options.in_flight_bytes)
        self._in_hand = 0
        self._in_hand_of: Counter[str] = Counter()

    @property
    def bytes_in_hand(self) -> int:
        return self._room.used_bytes

    async def handle(self, request: web.BaseRequest) -> Answer:
        """The answer to one request. Only a caller that has gone away raises."""
        try:
            return await self._answer(request)
        except NotDurable:
            return refused(NOT_DURABLE)
        except Unreachable:
            return refused(UNAVAILABLE)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except TongbanError as fault:
            self._log.error("request_failed", fault=type(fault).__name__)
            return refused(_INTERNAL)
        except Exception as fault:
            # The last line: whatever a handler gets wrong is ours to tell, never the caller's to see.
            self._log.error("request_failed", fault=type(fault).__name__, exc_info=fault)
            return refused(_INTERNAL, close=True)

    async def _answer(self, request: web.BaseRequest) -> Answer:
        path = request.raw_path
        if not path.startswith("/"):
            path = request.rel_url.raw_path  # absolute form (RFC 9112, 3.2.2)
        found = self._table.find(path.partition("?")[0])
        if found is None:
            return refused(NOT_FOUND)
        methods, parts = found
        route = methods.get(request.method)
        if route is None and request.method == "HEAD":
            route = methods.get("GET")
        if route is None:
            names = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
            return refused(Refusal(code="method-not-allowed", detail=f"use {names}"), {"Allow": names})
        match route.auth:
            case Auth.PUBLIC:
                return await route.handler(Call(request, self._clock(), None, None, parts, b""))
            case Auth.READ:
                caller = self._callers.reader(request)
                if isinstance(caller, Refusal):
                    return refused(caller)
                return await route.handler(Call(request, self._clock(), caller.partner, None, parts, b""))
            case Auth.SIGNED | Auth.SUBMISSION:
                return await self._write(request, route, parts)

    async def _write(self, request: web.BaseRequest, route: Route, parts: Mapping[str, str]) -> Answer:
        caller = self._callers.named(request)
        if isinstance(caller, Refusal):
            return refused(caller, close=True)
        turned_away = self._turned_away(route)
        if turned_away is not None:
            return turned_away
        self._in_hand += 1
        taken_bytes = 0
        try:
            body = await read_body(request, route.body_bytes, self._options.body_deadline_s, self._room)
            if isinstance(body, Refusal):
                return refused(body, close=True)
            taken_bytes = len(body)
            now = self._clock()
            proof = self._proof(request, route, caller, body, now)
            if isinstance(proof, Refusal):
                return refused(proof)
            return await self._proven(route, Call(request, now, caller.partner, proof, parts, body))
        finally:
            self._in_hand -= 1
            self._room.give(taken_bytes)

    async def _proven(self, route: Route, call: Call) -> Answer:
        """A caller's share is counted once it has proved itself: nobody can use up another's."""
        partner = call.partner.id
        if self._in_hand_of[partner] >= self._options.in_flight_per_partner:
            return refused(_SHARE)
        self._in_hand_of[partner] += 1
        try:
            return await route.handler(call)
        finally:
            self._in_hand_of[partner] -= 1

    def _proof(
        self, request: web.BaseRequest, route: Route, caller: Credentials, body: bytes, now: datetime
    ) -> Proof | Refusal:
        headers = request.headers
        if route.auth is Auth.SUBMISSION and "ce-specversion" in headers:
            if not caller.partner.trusted_channel or not self._callers.by_channel(request, caller):
                error = FieldError(pointer="/headers/ce-specversion", expected="structured mode, signed")
                detail = "binary mode is for partners with a trusted channel, over that channel"
                return Refusal(code="not-allowed", detail=detail, errors=(error,))
            if SIGNATURE_HEADER not in headers:
                return CHANNEL
            detail = "a signature does not cover the headers of binary mode; send none, or structured mode"
            return Refusal(code="not-allowed", detail=detail)
        return self._callers.signed(request, caller, body, int(now.timestamp()))

    def _turned_away(self, route: Route) -> Answer | None:
        """503 when the broker is full or behind, None to go on. Receipts lessen the backlog: they always may."""
        wait_s = self._pressure() if route.auth is Auth.SUBMISSION else None
        if wait_s is not None:
            return refused(_BUSY, {"Retry-After": str(max(1, round(wait_s)))}, close=True)
        return refused(FULL, close=True) if self._in_hand >= self._options.in_flight else None
