"""One submitted event: every attribute checked, every fault named, and the message that it makes.

Source: CloudEvents 1.0 (JSON format); contract, "Ids", "Topics" and "Message types"; ADR 0004 (digest).
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, TypeVar

from broker.core.ids import PART_MARK, PartnerId, Party, case_id, message_id
from broker.core.message import Message, make_message
from broker.core.problems import FieldError, Refusal
from broker.intake.submitting.attributes import CORRELATION, ITEM, SEQUENCE, TRACEPARENT, Reading
from broker.intake.submitting.event_data import examined
from broker.log.values.codec import Codec, Examined

T = TypeVar("T")

_PRECEDENCE = ("event-invalid", "type-unknown", "schema-unknown", "too-large", "schema-invalid")


class Origin(NamedTuple):
    """What vouches for an event: its caller, and the signature or the channel. ``signed``: see ``Message``."""

    caller: PartnerId
    signature: str | None
    signed: str | None
    traceparent: str | None = None

    @property
    def trusted_channel(self) -> bool:
        return self.signature is None


class Submission(NamedTuple):
    """An event that holds together: its message (``value`` still empty) and its data, examined."""

    message: Message
    examined: Examined


def check(event: object, origin: Origin, codec: Codec, now: datetime) -> Submission | Refusal:
    """Check one event whole. A refusal names every fault at once; ``now`` decides what has expired."""
    if not isinstance(event, dict):
        return _refusal([("event-invalid", FieldError(pointer="", expected="a CloudEvent: a JSON object"))])
    read = Reading(event)
    rule = read.rule()
    read.frame(origin.caller)
    identity = read.id("id", message_id)
    case = read.id("subject", case_id)
    if case is not None and rule is not None and rule.opens and PART_MARK in case:
        read.fault(
            "subject", f"a case number without {PART_MARK!r}: the broker names a bundle's parts with it"
        )
    destination = read.destination()
    said_at = read.time("time", required=True)
    expires = read.time("expirytime") if "expirytime" in event else None
    schema = read.schema(codec, rule)
    submitted = rule is not None and rule.name == "case.submitted"
    item = read.matching("item", ITEM, "an item code", required=submitted)
    mode = read.mode(required=submitted)
    message_class = read.message_class(rule)
    correlation = read.matching("correlationid", CORRELATION, "<partner>/<id> of the message answered")
    sequence = read.matching("sequence", SEQUENCE, "1 to 64 visible ASCII characters")
    traceparent = read.matching("traceparent", TRACEPARENT, "W3C trace context, version 00")
    data = examined(read, codec, schema)
    digest = read.digest()
    if read.faults:
        return _refusal(read.faults)
    if expires is not None and now >= expires:
        past = FieldError(pointer="/expirytime", expected="a time still to come")
        return Refusal(code="expired", detail="the message expired before it came", errors=(past,))
    assert rule is not None
    assert schema is not None
    assert data is not None
    message = make_message(
        id=_sure(identity),
        source=Party(origin.caller),
        type=rule.name,
        case=_sure(case),
        destination=_sure(destination),
        time=_sure(said_at),
        message_class=_sure(message_class),
        digest=_sure(digest),
        dataschema=schema.dataschema,
        value=b"",
        item=item,
        mode=mode,
        correlation=correlation,
        expires=expires,
        sequence=sequence,
        signature=origin.signature,
        signed=origin.signed,
        traceparent=traceparent or origin.traceparent,
        trusted_channel=origin.trusted_channel,
    )
    return Submission(message=message, examined=data)


def _sure(found: T | None) -> T:
    """What is there, since a missing one is a fault and faults have been refused."""
    assert found is not None
    return found


def _refusal(faults: list[tuple[str, FieldError]]) -> Refusal:
    code = min((code for code, _ in faults), key=_PRECEDENCE.index)
    count = len(faults)
    detail = f"{count} fault{'s' if count > 1 else ''} in the event; see errors"
    return Refusal(code=code, detail=detail, errors=tuple(error for _, error in faults))
