"""One partner's messages made ready, sent, and their answers read as endings: what line and parking share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from broker.core.catalogue.directory import Partner
from broker.core.receipts import Outcome
from broker.delivery.assigned.tenure import Entry
from broker.delivery.chores import Chores
from broker.delivery.ending.receipts import Ending, make_ending
from broker.delivery.ports import Clock, Opening
from broker.errors import Corrupt
from broker.telemetry import DELIVERIES, DELIVERY_SECONDS, RETRIES, ROAD
from connectors.base import (
    Answer,
    Closed,
    Connector,
    Deferred,
    Delivered,
    Held,
    Misconfigured,
    Parcel,
    Refused,
    Submits,
    Taken,
    make_parcel,
)
from connectors.mapping import MappingConflict, PartnerMapping

_RESULTS: Final = (Delivered, Taken, Held, Refused, Deferred, Misconfigured, Closed)
Answers = Callable[[Sequence[Answer]], None]


class Sender:
    """A partner's connector with its mapping. Faults of the connector are answers, never exceptions."""

    def __init__(
        self, partner: Partner, connector: Connector, mapping: PartnerMapping, papers: Opening, clock: Clock
    ) -> None:
        self.kind: Final = type(connector).__name__
        self.features: Final = connector.features
        self.connector: Final = connector
        self._submits = connector if isinstance(connector, Submits) else None
        self._mapping = mapping
        self._papers = papers
        self._clock = clock
        self._chores = Chores()
        self._results = {
            kind: DELIVERIES.labels(partner=partner.id, result=kind.__name__.lower()) for kind in _RESULTS
        }
        self._untold: dict[type[Answer], int] = dict.fromkeys(_RESULTS, 0)
        self._retries = RETRIES.labels(partner=partner.id)
        self._seconds = DELIVERY_SECONDS.labels(partner=partner.id)

    async def start(self) -> None:
        await self.connector.start()

    async def close(self) -> None:
        self.tell()
        await self._chores.close()
        await self.connector.close()

    def parcel(self, entry: Entry) -> Parcel | Ending | Deferred:
        """What to send; or how it ends, or why it waits, without being sent."""
        message = entry.message
        entry.begun_s = self._clock.now_s()
        if message.expires is not None and message.expired(datetime.fromtimestamp(entry.begun_s, UTC)):
            return self._ending(
                entry, Outcome.EXPIRED, "expired", "its expiry time had passed", entry.begun_s
            )
        try:
            opened = self._papers.open(message, entry.key, self.features, self._mapping)
        except MappingConflict as conflict:
            return Deferred(reason=f"the partner's mapping: {conflict}")
        except Corrupt as corrupt:
            return self.undeliverable(entry, "record-unreadable", str(corrupt))
        ROAD.on_step("delivery.opened")
        entry.attempts += 1
        if entry.attempts > 1:
            self._retries.inc()
        return make_parcel(
            message=message,
            record=entry.record,
            value=opened.value,
            data=opened.data,
            attempt=entry.attempts,
        )

    def send(self, parcels: Sequence[Parcel], done: Answers) -> None:
        """``done`` is called once, later, with one answer per parcel."""
        if self._submits is not None:
            self._submits.submit(parcels, lambda answers: done(self._heard(parcels, answers)))
        else:
            self._chores.start(self._deliver(parcels, done))

    async def deliver(self, parcels: Sequence[Parcel]) -> Sequence[Answer]:
        """One answer per parcel."""
        answers: Sequence[Answer]
        try:
            answers = await self.connector.deliver(parcels)
        except Exception as fault:  # a fault of the connector is this partner's, never the stage's
            answers = [Deferred(reason=f"the connector failed: {type(fault).__name__}")] * len(parcels)
        return self._heard(parcels, answers)

    def tell(self) -> None:
        """Put what was counted since the last time into the metrics: a counter's lock for each answer is too dear."""
        for kind, count in self._untold.items():
            if count:
                self._results[kind].inc(count)
                self._untold[kind] = 0

    def probe(self, done: Callable[[Answer], None]) -> None:
        """Ask without a message whether the partner is there; ``done`` is called later."""
        self._chores.start(self._probe(done))

    def ending(self, entry: Entry, answer: Delivered | Refused, at_s: float | None = None) -> Ending:
        """How an answer ends the delivery. ``at_s`` (Unix seconds): when it came; None: now."""
        if at_s is None:
            at_s = self._clock.now_s()
        if isinstance(answer, Refused):
            return self._ending(entry, Outcome.REJECTED, answer.code, answer.detail, at_s)
        accepted = entry.message.accepted_at
        if accepted is not None:
            self._seconds.observe(max(0.0, at_s - accepted.timestamp()))
        return make_ending(
            outcome=Outcome.DELIVERED,
            attempt=entry.attempts,
            at_s=at_s,
            code=answer.code,
            detail=answer.detail,
            reference=answer.reference,
        )

    def undeliverable(self, entry: Entry, code: str, detail: str) -> Ending:
        """The end of a message that nothing can be done about."""
        return self._ending(entry, Outcome.UNDELIVERABLE, code, detail, self._clock.now_s())

    def _ending(self, entry: Entry, outcome: Outcome, code: str, detail: str, at_s: float) -> Ending:
        return Ending(outcome=outcome, attempt=entry.attempts, at_s=at_s, code=code, detail=detail)

    def _heard(self, parcels: Sequence[Parcel], answers: Sequence[Answer]) -> Sequence[Answer]:
        ROAD.on_step("delivery.effected")
        if len(answers) != len(parcels):
            answers = [Deferred(reason="the connector's answers do not match")] * len(parcels)
        for answer in answers:
            self._untold[type(answer)] += 1
        return answers

    async def _deliver(self, parcels: Sequence[Parcel], done: Answers) -> None:
        done(await self.deliver(parcels))

    async def _probe(self, done: Callable[[Answer], None]) -> None:
        answer: Answer
        try:
            answer = await self.connector.probe()
        except Exception as fault:  # as in deliver
            answer = Deferred(reason=f"the connector failed: {type(fault).__name__}")
        done(answer)
