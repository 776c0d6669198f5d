"""The way out: takes queued letters from the ledger, in order, and submits each until the exchange says yes or no."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.demo.client import Accepted, Answer, Exchange, ExchangeAway, Later, Refused
from deploy.demo.clock import now_text
from deploy.demo.ledger import Ledger
from deploy.demo.letters import Events, Letter
from deploy.demo.records import Queued

_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0
_LONGEST_NAMED_WAIT_S = 30.0
"""A ``Retry-After`` beyond this is not waited out: asking sooner does no harm."""


@dataclass(slots=True)
class Backoff:
    """Doubles from the first wait to the longest; a success starts it anew."""

    next_s: float = _FIRST_WAIT_S

    def wait_s(self, named_s: float | None) -> float:
        """Seconds until the next attempt; a time that the exchange named comes first, up to a limit."""
        own_s, self.next_s = self.next_s, min(self.next_s * 2, _LONGEST_WAIT_S)
        return min(named_s, _LONGEST_NAMED_WAIT_S) if named_s is not None else own_s


class Sender:
    """Submits what the ledger has queued, ``batch`` letters at once at most.

    ``pace_s`` is how long the office takes over what it sends.
    """

    def __init__(
        self, ledger: Ledger, exchange: Exchange, events: Events, *, pace_s: float, batch: int = 1
    ) -> None:
        self._ledger = ledger
        self._exchange = exchange
        self._events = events
        self._pace_s = pace_s
        self._batch = batch
        self._something_queued = asyncio.Event()

    def wake(self) -> None:
        """Something was queued."""
        self._something_queued.set()

    async def run(self) -> None:
        """Until cancelled. Nothing is lost by that: what is queued is in the ledger."""
        backoff = Backoff()
        while True:
            self._something_queued.clear()
            queued = self._ledger.next_queued(self._batch)
            if not queued:
                await self._something_queued.wait()
                continue
            if queued[0].body is None:
                await asyncio.sleep(self._pace_s)
            answers = await self._submit(queued)
            later = [answer for answer in answers if isinstance(answer, Later)]
            if later:
                await asyncio.sleep(backoff.wait_s(later[0].after_s))
            else:
                backoff = Backoff()

    async def repeat(self, message_id: str) -> Answer | None:
        """Submit a message that was submitted before once more, byte for byte. None: we never said it."""
        body = self._ledger.body(message_id)
        if body is None:
            return None
        answer = await self._exchange.submit(message_id, body)
        if isinstance(answer, Accepted):
            self._note(message_id, answer)
        return answer

    async def _submit(self, queued: Sequence[Queued]) -> list[Answer]:
        try:
            bodies = [each.body or await self._built(each) for each in queued]
        except ExchangeAway as fault:
            answers: list[Answer] = [
                Later(status=None, code="unreachable", detail=str(fault)) for _ in queued
            ]
        else:
            answers = await self._sent(queued, bodies)
        for each, answer in zip(queued, answers, strict=True):
            self._note(each.id, answer)
        return answers

    async def _sent(self, queued: Sequence[Queued], bodies: Sequence[bytes]) -> list[Answer]:
        if len(queued) == 1:
            return [await self._exchange.submit(queued[0].id, bodies[0])]
        return await self._exchange.submit_all([each.id for each in queued], bodies)

    async def _built(self, queued: Queued) -> bytes:
        body = await self._events.body(Letter.from_bytes(queued.letter))
        self._ledger.keep_body(queued.id, body)
        return body

    def _note(self, message_id: str, answer: Answer) -> None:
        match answer:
            case Accepted():
                self._ledger.note_accepted(
                    message_id, digest=answer.digest, duplicate=answer.duplicate, at=now_text()
                )
            case Refused():
                self._ledger.note_refused(
                    message_id, status=answer.status, code=answer.code, detail=answer.detail
                )
            case Later():
                self._ledger.note_try(
                    message_id, status=answer.status, code=answer.code, detail=answer.detail
                )
