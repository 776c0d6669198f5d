"""The mailbox of a partner that only calls out, and the receipts that partners bring.

A message leaves the mailbox when its receipt is durable on the ledger, never before: a caller that dies
between pull and acknowledgement gets it again when its lease is over.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import orjson

from broker.core.events import structured_event
from broker.core.ids import BROKER, MessageId, Party
from broker.core.message import Message, MessageClass, rfc3339, to_headers, value_digest
from broker.core.problems import Refusal
from broker.core.receipts import Outcome, Receipt
from broker.core.records import NewRecord
from broker.errors import NotDurable, Unreachable
from broker.intake.asking.acknowledgements import Acknowledgement, read_acknowledgements
from broker.intake.http.answers import JSON, Answer, json_answer, problem_of, refused
from broker.intake.http.parameters import read_parameters
from broker.intake.http.routes import Call, Parameter
from broker.intake.options import IntakeOptions
from broker.intake.ports import Held, Ledger, Mailboxes, Name, Opener, View, Whereabouts
from broker.intake.submitting.verdicts import NOT_DURABLE
from broker.log.admin.topics import LEDGER, ledger_key, ledger_partition
from broker.log.values.codec import Codec

_NOT_LEASED: Final = Refusal(code="lease-unknown", detail="no such message is owed a receipt by this caller")


_NOTHING: Final[dict[str, object]] = {"lease": None, "expires_at": None, "messages": []}


class MailboxRoutes:
    """Pull and acknowledge."""

    def __init__(
        self,
        *,
        options: IntakeOptions,
        mailboxes: Mailboxes,
        opener: Opener,
        view: View,
        ledger: Ledger,
        codec: Codec,
        clock: Callable[[], datetime],
        partitions: int,
    ) -> None:
        self._options = options
        self._mailboxes = mailboxes
        self._opener = opener
        self._view = view
        self._ledger = ledger
        self._codec = codec
        self._clock = clock
        self._partitions = partitions
        self._closing = False
        self.parameters = (
            Parameter(
                name="max",
                description="most messages to return",
                least=1,
                most=options.mailbox_messages,
                default=min(100, options.mailbox_messages),
            ),
            Parameter(
                name="wait_s",
                description="seconds to wait while there is nothing",
                least=0,
                most=int(options.mailbox_wait_s),
                default=0,
            ),
        )

    def close(self) -> None:
        """Long polls that wait now are answered at their next look, with nothing."""
        self._closing = True

    async def pull(self, call: Call) -> Answer:
        """Lease what lies in the caller's mailbox; wait for it at most ``wait_s``."""
        asked = read_parameters(call.request, self.parameters)
        if isinstance(asked, Refusal):
            return refused(asked)
        until = self._clock() + timedelta(seconds=asked["wait_s"])
        while True:
            transport = call.request.transport
            if transport is None or transport.is_closing():
                return json_answer(200, _NOTHING)  # nobody would hear of a lease
            answer = await self._lease(call, asked["max"])
            left_s = (until - self._clock()).total_seconds()
            if answer is not None:
                return answer
            if left_s <= 0 or self._closing:
                return json_answer(200, _NOTHING)
            await self._mailboxes.changed(call.partner.id, left_s)

    async def _lease(self, call: Call, most: int) -> Answer | None:
        now = self._clock()
        until = now + timedelta(seconds=self._options.lease_s)
        lease = secrets.token_hex(16)
        held = await self._mailboxes.lease(
            call.partner.id,
            lease=lease,
            max_messages=most,
            max_bytes=self._options.mailbox_bytes,
            now=now,
            until=until,
        )
        if not held:
            return None
        messages = [each.message for each in held]
        opened = await self._opener.open(messages)
        events = [structured_event(message, data) for message, data in zip(messages, opened, strict=True)]
        return Answer(
            200, orjson.dumps({"lease": lease, "expires_at": rfc3339(until), "messages": events}), JSON
        )

    async def acknowledge(self, call: Call) -> Answer:
        """Receipts onto the ledger first, then the messages out of the mailbox. Repeats get the same answer."""
        said = read_acknowledgements(call.body, self._options)
        if isinstance(said, Refusal):
            return refused(said)
        names = [each.name for each in said if isinstance(each, Acknowledgement)]
        owed = await self._mailboxes.owed(call.partner.id, names)
        results: list[dict[str, object]] = []
        receipts: dict[Name, Receipt] = {}
        records: list[NewRecord] = []
        for each in said:
            if isinstance(each, Refusal):
                results.append(problem_of(each))
                continue
            held = owed.get(each.name)
            if held is None:
                results.append(await self._settled(call, each))
                continue
            first = receipts.get(each.name)
            if first is None:
                first = receipts[each.name] = self._receipt(call, each, held)
                records.append(self._record(first, held.message))
            results.append(_result(each, first.id, first.outcome, duplicate=False))
        if records:
            try:
                await self._ledger.write(records, deadline_s=self._options.write_deadline_s)
            except (NotDurable, Unreachable):
                return refused(NOT_DURABLE)
            await self._mailboxes.settle(call.partner.id, list(receipts))
        return json_answer(200, {"results": results})

    async def _settled(self, call: Call, said: Acknowledgement) -> dict[str, object]:
        """The answer for a message that is owed no receipt any more: the one that was given, if it was."""
        found: Whereabouts | None = await self._view.whereabouts(said.name)
        row = None if found is None or found.row.destination != Party(call.partner.id) else found.row
        if row is None or row.outcome is None or row.receipt_id is None:
            return {**problem_of(_NOT_LEASED), "id": said.name[1]}
        return _result(said, MessageId(row.receipt_id), Outcome(row.outcome), duplicate=True)

    def _receipt(self, call: Call, said: Acknowledgement, held: Held) -> Receipt:
        message = held.message
        return Receipt(
            acknowledged=message.name,
            recipient=call.partner.id,
            outcome=said.outcome,
            digest=message.digest,
            dataschema=message.dataschema,
            attempt=held.attempts,
            at=said.at or self._clock(),
            accepted_at=message.accepted_at,
            answer_code=said.code,
            detail=said.reason,
            reference=said.reference,
            redrive=message.redrive,
        )

    def _record(self, receipt: Receipt, acknowledged: Message) -> NewRecord:
        value = self._codec.encode(receipt.type, receipt.to_datum())
        schema = self._codec.schemas.latest(receipt.type)
        assert schema is not None, "a receipt was encoded with it"
        message = Message(
            id=receipt.id,
            source=BROKER,
            type=receipt.type,
            case=acknowledged.case,
            destination=acknowledged.source,
            time=self._clock(),
            message_class=MessageClass.RECEIPT,
            digest=value_digest(value),
            dataschema=schema.dataschema,
            value=value,
            correlation=acknowledged.name,
            traceparent=acknowledged.traceparent,
            source_position=acknowledged.source_position,
            part_of=acknowledged.part_of,
        )
        return NewRecord(
            topic=LEDGER,
            key=ledger_key(message.case),
            value=value,
            headers=to_headers(message),
            partition=ledger_partition(message.case, self._partitions),
        )


def _result(
    said: Acknowledgement, receipt: MessageId, outcome: Outcome, *, duplicate: bool
) -> dict[str, object]:
    """One result. The first word on a message stands: another outcome later is told which one stands."""
    if outcome != said.outcome:
        detail = "the message was acknowledged before with another outcome, which stands"
        other = Refusal(code="lease-unknown", detail=detail, facts=(("outcome", outcome.value),))
        return {**problem_of(other), "id": said.name[1]}
    return {
        "status": 202,
        "source": f"/partners/{said.name[0]}",
        "id": said.name[1],
        "receipt": receipt,
        "outcome": outcome.value,
        "duplicate": duplicate,
    }
