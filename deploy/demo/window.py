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
from deploy.demo.hall import Hall, Ticket, Wish, Word
from deploy.demo.office import Procedure

Repeat = Callable[[str], Awaitable[Answer | None]]


class Window:
    """Opens cases, urges, repeats a message, and switches the city's faults."""

    def __init__(self, hall: Hall, faults: Faults, repeat: Repeat) -> None:
        self._hall = hall
        self._faults = faults
        self._repeat = repeat

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """The window's routes; halls that share a process differ by ``prefix``."""
        return [
            web.get(prefix + "/health", self._health),
            web.post(prefix + "/cases", self._open_case),
            web.post(prefix + "/cases/{number}/urge", self._urge),
            web.post(prefix + "/complaints", self._complain),
            web.post(prefix + "/letters", self._say),
            web.post(prefix + "/procedures", self._handle),
            web.post(prefix + "/messages/{id}/repeat", self._repeat_message),
            web.post(prefix + "/faults/outage", self._outage),
            web.post(prefix + "/faults/lost-answers", self._lost_answers),
        ]

    async def _health(self, request: web.Request) -> web.Response:
        return _json(200, {"away": self._faults.away, "method": request.method})

    async def _open_case(self, request: web.Request) -> web.Response:
        """``{"to", "item", "mode", "applicant": {name, id_number, phone}, …}`` (:class:`Wish`) → ``{"number"}``."""
        try:
            number = self._hall.open_case(_wish(await _object(request)))
        except ValueError as fault:
            return _json(400, {"detail": str(fault)})
        return _json(201, {"number": number})

    async def _complain(self, request: web.Request) -> web.Response:
        """``{"subject", "channel", "about"?, "to"?}`` (:class:`Ticket`) → ``{"number"}``."""
        try:
            fields = await _object(request)
            ticket = Ticket(
                subject=_text(fields, "subject"),
                channel=_text(fields, "channel"),
                about=_perhaps(fields, "about"),
                to=_perhaps(fields, "to"),
            )
        except ValueError as fault:
            return _json(400, {"detail": str(fault)})
        return _json(201, {"number": self._hall.complain(ticket)})

    async def _say(self, request: web.Request) -> web.Response:
        """``{"letters": [{"type", "case", "fields"?, "to"?, "item"?}]}``: the staff's own words → ``{"ids"}``."""
        try:
            letters = (await _object(request)).get("letters")
            if not isinstance(letters, list) or not letters:
                raise ValueError("letters: expected a list")
            identities = self._hall.say(*(_word(each) for each in letters))
        except ValueError as fault:
            return _json(400, {"detail": str(fault)})
        return _json(201, {"ids": identities})

    async def _handle(self, request: web.Request) -> web.Response:
        """``{"item", "procedure"}``: from now on the hall handles the item so."""
        try:
            wish = await _object(request)
            self._hall.handle(_text(wish, "item"), Procedure(_text(wish, "procedure")))
        except ValueError as fault:
            return _json(400, {"detail": str(fault)})
        return _json(200, {})

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


def _wish(fields: dict[str, object]) -> Wish:
    score = fields.get("score", 5)
    if not isinstance(score, int) or not 1 <= score <= 5:
        raise ValueError("score: expected 1 to 5")
    return Wish(
        to=_text(fields, "to"),
        item=_text(fields, "item"),
        mode=_text(fields, "mode"),
        applicant=Applicant.from_json(fields.get("applicant")),
        item_class=_perhaps(fields, "item_class") or "",
        manner=_perhaps(fields, "manner") or "usual",
        score=score,
        fields=_table(fields, "fields"),
    )


def _word(letter: object) -> Word:
    if not isinstance(letter, dict):
        raise ValueError("letters: expected objects")
    return Word(
        type=_text(letter, "type"),
        case=_text(letter, "case"),
        fields=_table(letter, "fields"),
        to=_perhaps(letter, "to"),
        item=_perhaps(letter, "item") or "",
    )


def _perhaps(fields: dict[str, object], name: str) -> str | None:
    return _text(fields, name) if fields.get(name) else None


def _table(fields: dict[str, object], name: str) -> dict[str, object]:
    value = fields.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected an object")
    return value


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
