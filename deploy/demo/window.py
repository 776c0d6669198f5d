"""The hall's window: what its staff do, as a small HTTP service on the city's own machine (loopback only).

No part of the contract: every city has its own hall software. The play works the windows as staff would.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from deploy.demo.client import Accepted, Answer, Later, Refused
from deploy.demo.faults import Faults
from deploy.demo.forms import Applicant
from deploy.demo.hall import Hall

Repeat = Callable[[str], Awaitable[Answer | None]]


class Window:
    """Opens cases, urges, repeats a message, and switches the city's faults."""

    def __init__(self, hall: Hall, faults: Faults, repeat: Repeat) -> None:
        self._hall = hall
        self._faults = faults
        self._repeat = repeat

    def application(self) -> web.Application:
        """The window as an aiohttp application."""
        application = web.Application()
        application.router.add_get("/health", self._health)
        application.router.add_post("/cases", self._open_case)
        application.router.add_post("/cases/{number}/urge", self._urge)
        application.router.add_post("/messages/{id}/repeat", self._repeat_message)
        application.router.add_post("/faults/outage", self._outage)
        application.router.add_post("/faults/lost-answers", self._lost_answers)
        return application

    async def _health(self, request: web.Request) -> web.Response:
        return _json(200, {"away": self._faults.away, "method": request.method})

    async def _open_case(self, request: web.Request) -> web.Response:
        """``{"to", "item", "mode", "applicant": {name, id_number, phone}}`` → ``{"number"}``."""
        try:
            wish = await _object(request)
            applicant = Applicant.from_json(wish.get("applicant"))
            number = self._hall.open_case(
                to=_text(wish, "to"), item=_text(wish, "item"), mode=_text(wish, "mode"), applicant=applicant
            )
        except ValueError as fault:
            return _json(400, {"detail": str(fault)})
        return _json(201, {"number": number})

    async def _urge(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        return _json(201, {}) if self._hall.urge(number) else _json(404, {"detail": "no such case"})

    async def _repeat_message(self, request: web.Request) -> web.Response:
        """Submits the same message once more. Answers with what the exchange said."""
        answer = await self._repeat(request.match_info["id"])
        match answer:
            case None:
                return _json(404, {"detail": "never said"})
            case Accepted():
                return _json(200, {"status": 202, "duplicate": answer.duplicate, "digest": answer.digest})
            case Refused() | Later():
                return _json(200, {"status": answer.status, "code": answer.code, "detail": answer.detail})

    async def _outage(self, request: web.Request) -> web.Response:
        """``{"seconds": 5}``: 503 for so long; 0 ends it."""
        try:
            self._faults.go_away(_number(await _object(request), "seconds"))
        except ValueError as fault:
            return _json(400, {"detail": str(fault)})
        return _json(200, {"away": self._faults.away})

    async def _lost_answers(self, request: web.Request) -> web.Response:
        """``{"count": 1}``: the next so many effects happen, but their answers get lost."""
        try:
            self._faults.lose_answers(int(_number(await _object(request), "count")))
        except ValueError as fault:
            return _json(400, {"detail": str(fault)})
        return _json(200, {})


async def _object(request: web.Request) -> dict[str, object]:
    try:
        fields = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise ValueError("expected JSON") from None
    if not isinstance(fields, dict):
        raise ValueError("expected an object")
    return fields


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: expected text")
    return value


def _number(fields: dict[str, object], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3600:
        raise ValueError(f"{name}: expected 0 to 3600")
    return float(value)


def _json(status: int, fields: dict[str, object]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(fields), content_type="application/json")
