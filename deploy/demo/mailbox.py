"""The receiving side of a city that only calls out: it pulls its mailbox and says what became of each message.

Behind a one-way firewall this is the whole connection: long poll, effect, receipt. What was pulled but not
acknowledged is leased again later and, having had its effect, is simply acknowledged again.
Source: contract, "Partner API" (mailbox).
"""

from __future__ import annotations

import asyncio

import orjson

from deploy.demo.client import Exchange, ExchangeAway
from deploy.demo.clock import now_text
from deploy.demo.events import NotAnEvent, event_of
from deploy.demo.faults import Faults
from deploy.demo.hall import Hall, Outcome, Repeated, Taken
from deploy.demo.ledger import Ledger
from deploy.demo.office import Rejection

_MOST = 50
_WAIT_S = 20
_AFTER_FAULT_S = 1.0


class Mailbox:
    """Pulls until cancelled."""

    def __init__(self, hall: Hall, ledger: Ledger, faults: Faults, exchange: Exchange) -> None:
        self._hall = hall
        self._ledger = ledger
        self._faults = faults
        self._exchange = exchange

    async def run(self) -> None:
        """Pull, take in order, acknowledge; after a fault, wait a moment and pull again."""
        while True:
            try:
                if self._faults.take_request():
                    raise ExchangeAway("an outage of our own")
                messages = await self._exchange.pull(most=_MOST, wait_s=_WAIT_S)
                receipts = [self._take(message) for message in messages]
                if receipts:
                    await self._exchange.acknowledge(receipts)
            except ExchangeAway:
                await asyncio.sleep(_AFTER_FAULT_S)

    def _take(self, message: dict[str, object]) -> dict[str, object]:
        """Take one message in. Returns its receipt."""
        acknowledged = {"source": message.get("source"), "id": message.get("id"), "at": now_text()}
        try:
            event = event_of(message, orjson.dumps(message))
        except NotAnEvent as fault:
            return {**acknowledged, "outcome": "rejected", "code": "event-invalid", "reason": str(fault)}
        outcome = self._hall.take(event, webhook_id=event.webhook_id, attempt=0)
        self._ledger.record_attempt(
            webhook_id=event.webhook_id, attempt=0, answer=0, note=_note(outcome), at=now_text()
        )
        match outcome:
            case Taken() | Repeated():
                reference = {"reference": outcome.reference} if outcome.reference else {}
                return {**acknowledged, "outcome": "delivered", **reference}
            case Rejection():
                return {**acknowledged, "outcome": "rejected", "code": outcome.code, "reason": outcome.detail}


def _note(outcome: Outcome) -> str:
    match outcome:
        case Taken():
            return "effect"
        case Repeated():
            return "repeat"
        case Rejection():
            return outcome.code
