"""``POST /v1/messages``: one event, a batch of them, or one in binary mode over a trusted channel."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Mapping
from typing import Final

import orjson
from prometheus_client import Counter

from broker.core.events import BATCH_MEDIA_TYPE, MEDIA_TYPE
from broker.core.message import Message
from broker.core.problems import FieldError, Refusal
from broker.intake.http.answers import JSON, Answer, problem_of, refused
from broker.intake.http.auth import Proof
from broker.intake.http.routes import Call
from broker.intake.options import IntakeOptions
from broker.intake.submitting.attributes import TRACEPARENT
from broker.intake.submitting.events import Origin, Submission, check
from broker.intake.submitting.gather import Gatherer
from broker.intake.submitting.strict_json import NotStrict, read, read_array
from broker.intake.submitting.verdicts import NOT_DURABLE, Accepted, Verdict
from broker.log.values.codec import Codec
from broker.telemetry import ACCEPTED, REFUSED

MOST_BETWEEN: Final = 64
"""Bytes between two events of a batch: they are kept in a header, so that the signature stays provable."""

AT_ONCE: Final = 25
"""Events of a batch that are checked before others get their turn: a few milliseconds."""

_BINARY_TYPES: Final = frozenset({"application/avro", "avro/binary", "application/json"})


class Submissions:
    """The handler of submissions: checks, hands to the gatherer, words the answers."""

    def __init__(self, options: IntakeOptions, codec: Codec, gatherer: Gatherer) -> None:
        self._options = options
        self._codec = codec
        self._gatherer = gatherer
        self._accepted: dict[str, Counter] = {}

    async def post(self, call: Call) -> Answer:
        """202 once durable; a problem otherwise. A batch answers one result per event, 207 when they differ."""
        media_type = call.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type == MEDIA_TYPE:
            return await self._single(call)
        if media_type == BATCH_MEDIA_TYPE:
            return await self._batch(call)
        if media_type in _BINARY_TYPES and "ce-specversion" in call.request.headers:
            return await self._binary(call, media_type)
        return refused(Refusal(code="media-type-unsupported", detail="not a CloudEvents media type"))

    async def _single(self, call: Call) -> Answer:
        if len(call.body) > self._options.message_bytes:
            return refused(too_large(self._options.message_bytes))
        try:
            event = read(call.body, depth=self._options.json_depth)
        except NotStrict as fault:
            return self._answer(call, None, _not_json(fault))
        return await self._take(call, event, call.body, _origin(call, _signed(call.proof, 0, 1)))

    async def _binary(self, call: Call, media_type: str) -> Answer:
        try:
            event = _event_of(call, media_type, self._options.json_depth)
        except NotStrict as fault:
            return self._answer(call, None, _not_json(fault))
        return await self._take(call, event, orjson.dumps(event), _origin(call, None))

    async def _take(self, call: Call, event: object, verbatim: bytes, origin: Origin) -> Answer:
        checked = check(event, origin, self._codec, call.now)
        if isinstance(checked, Refusal):
            return self._answer(call, None, checked)
        verdict = self._gatherer.submit(checked, verbatim)
        if isinstance(verdict, asyncio.Future):
            verdict = await verdict
        return self._answer(call, checked.message, verdict)

    async def _batch(self, call: Call) -> Answer:
        try:
            elements = read_array(call.body, depth=self._options.json_depth)
        except NotStrict as fault:
            return refused(_not_json(fault))
        between = [_around(call.body, elements, index) for index in range(len(elements))]
        refusal = _not_a_batch(between, self._options.batch_messages)
        if refusal is not None:
            return refused(refusal)
        plain = _origin(call, None)
        found: list[tuple[Submission | Refusal, int, int]] = []
        for index, (event, start, end) in enumerate(elements):
            if end - start > self._options.message_bytes:
                found.append((too_large(self._options.message_bytes), start, end))
                continue
            signed = _signed(call.proof, index, len(elements), *between[index])
            origin = Origin(plain.caller, plain.signature, signed, plain.traceparent)
            checked = check(event, origin, self._codec, call.now)
            found.append((checked, start, end))
            if index % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)  # a large batch must not keep all others waiting
        # Without a pause between them: so the order of a batch is the order on the ledger, case by case.
        taken = [self._submit(checked, call.body[start:end]) for checked, start, end in found]
        told = [
            (checked, await verdict if isinstance(verdict, asyncio.Future) else verdict)
            for checked, verdict in taken
        ]
        self._count(call, [verdict for _, verdict in told])
        results = [_result_of(checked, verdict) for checked, verdict in told]
        statuses = {result["status"] for result in results}
        if statuses == {503}:
            return refused(NOT_DURABLE)
        # 207 as WebDAV has it (RFC 4918): 202 for a batch is a yes to every one of its events.
        return Answer(202 if statuses == {202} else 207, orjson.dumps({"results": results}), JSON)

    def _submit(
        self, checked: Submission | Refusal, verbatim: bytes
    ) -> tuple[Submission | None, asyncio.Future[Verdict] | Verdict]:
        if isinstance(checked, Refusal):
            return None, checked
        return checked, self._gatherer.submit(checked, verbatim)

    def _answer(self, call: Call, message: Message | None, verdict: Verdict) -> Answer:
        self._count(call, [verdict])
        if isinstance(verdict, Refusal):
            return refused(verdict)
        assert message is not None
        body = receipt_of(message, verdict)
        return Answer(202, orjson.dumps(body), JSON, {"Location": f"/v1/messages/{message.name}"})

    def _count(self, call: Call, verdicts: Iterable[Verdict]) -> None:
        partner = call.partner.id
        accepted = 0
        for verdict in verdicts:
            match verdict:
                case Accepted():
                    accepted += 1
                case Refusal(code=code):
                    REFUSED.labels(partner, code).inc()
        if accepted:
            counter = self._accepted.get(partner)
            if counter is None:
                counter = self._accepted[partner] = ACCEPTED.labels(partner)
            counter.inc(accepted)


def _result_of(checked: Submission | None, verdict: Verdict) -> dict[str, object]:
    """What the answer to a batch says of one of its events."""
    if isinstance(verdict, Refusal):
        problem = problem_of(verdict)
        if checked is not None:
            problem["id"] = checked.message.id
        return problem
    assert checked is not None
    return {"status": 202, **receipt_of(checked.message, verdict)}


def receipt_of(message: Message, accepted: Accepted) -> dict[str, object]:
    """What 202 says: the message, its place on the ledger, and where to ask for it."""
    position = accepted.position
    return {
        "id": message.id,
        "case": message.case,
        "digest": message.digest,
        "position": {"topic": position.topic, "partition": position.partition, "offset": position.offset},
        "duplicate": accepted.duplicate,
        "links": {"status": f"/v1/messages/{message.name}", "case": f"/v1/cases/{message.case}"},
    }


def too_large(limit_bytes: int) -> Refusal:
    return Refusal(code="too-large", detail=f"at most {limit_bytes} bytes")


def _not_json(fault: NotStrict) -> Refusal:
    return Refusal(code="json-invalid", detail="the body is not strict JSON", errors=(fault.error,))


def _origin(call: Call, signed: str | None) -> Origin:
    traceparent = call.request.headers.get("traceparent")
    if traceparent is not None and not TRACEPARENT.fullmatch(traceparent):
        traceparent = None  # W3C: a trace context that does not read is dropped, not refused
    signature = call.proof.signature if call.proof is not None else None
    return Origin(caller=call.partner.id, signature=signature, signed=signed, traceparent=traceparent)


def _signed(proof: Proof | None, index: int, count: int, lead: bytes = b"", tail: bytes = b"") -> str:
    """What the signature covers besides the verbatim event (``tongban-signed``).

    ``lead`` and ``tail``: the bytes between the events of a batch where they are not just ``[``, ``,`` and
    ``]``, in hex. With them the signed body can be put together again from its events, years later.
    """
    assert proof is not None
    text = f"id={proof.webhook_id};timestamp={proof.timestamp};index={index};count={count}"
    if lead:
        text += f";lead={lead.hex()}"
    return f"{text};tail={tail.hex()}" if tail else text


def _not_a_batch(between: list[tuple[bytes, bytes]], most: int) -> Refusal | None:
    if not between:
        empty = FieldError(pointer="", expected="at least one event")
        return Refusal(code="event-invalid", detail="the batch is empty", errors=(empty,))
    if len(between) > most:
        return Refusal(code="too-large", detail=f"a batch has at most {most} messages")
    if max(max(len(lead), len(tail)) for lead, tail in between) > MOST_BETWEEN:
        return Refusal(
            code="json-invalid", detail=f"at most {MOST_BETWEEN} bytes between two events of a batch"
        )
    return None


def _around(body: bytes, elements: list[tuple[object, int, int]], index: int) -> tuple[bytes, bytes]:
    """The bytes before one event of a batch, and after the last; empty for the plain ``[``, ``,`` and ``]``."""
    start = elements[index][1]
    lead = body[elements[index - 1][2] if index else 0 : start]
    tail = body[elements[index][2] :] if index == len(elements) - 1 else b"]"
    plain = b"," if index else b"["
    return (b"" if lead == plain else lead), (b"" if tail == b"]" else tail)


def _event_of(call: Call, media_type: str, depth: int) -> Mapping[str, object]:
    """A binary-mode request as the structured event that it stands for. Raises NotStrict for JSON data."""
    headers = call.request.headers
    event: dict[str, object] = {
        name[3:].lower(): headers[name] for name in headers if name.lower().startswith("ce-")
    }
    if event.get("class") in {"0", "1"}:
        event["class"] = int(str(event["class"]))
    event["datacontenttype"] = media_type
    if media_type == JSON:
        event["data"] = read(call.body, depth=depth)
    else:
        event["data_base64"] = base64.b64encode(call.body).decode()
    return event
