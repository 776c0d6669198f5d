"""The event as JSON: what a partner receives, and the digest of what a partner submitted.

Source: CloudEvents 1.0 JSON format (structured mode); contract, "What a partner receives"; RFC 8785 (ADR 0004).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import orjson
import rfc8785

from broker.core.ids import key_case, party_path
from broker.core.message import TYPE_PREFIX, Message, rfc3339

MEDIA_TYPE = "application/cloudevents+json"
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"

_EXACT = 2**53 - 1  # RFC 8785 knows numbers as IEEE 754 doubles only


class NotCanonical(ValueError):
    """The event holds a number that RFC 8785 has no form for: beyond 2^53 - 1, or not finite."""


def structured_event(message: Message, data: Mapping[str, object] | None) -> dict[str, object]:
    """The event as its recipient gets it: all attributes, ``data`` as JSON with the papers opened.

    ``data`` is what ``Codec.to_json`` makes of the opened value (or the partner's own mapping of it); None
    leaves it out. A message on one part of a bundle says with ``parent`` whose part it is, so that its recipient's
    system can group them. The keys stand in the contract's order, absent facts have none: equal messages give
    equal bytes, so that every attempt is signed over the same body.
    """
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": message.id,
        "source": party_path(message.source),
        "type": TYPE_PREFIX + message.type,
        "time": rfc3339(message.time),
        "subject": message.case,
        "dataschema": message.dataschema,
        "datacontenttype": "application/json",
        "destination": party_path(message.destination),
        "class": int(message.message_class),
        "digest": message.digest,
    }
    if message.item is not None:
        event["item"] = message.item
    if message.mode is not None:
        event["mode"] = message.mode.value
    if message.correlation is not None:
        event["correlationid"] = message.correlation
    if message.expires is not None:
        event["expirytime"] = rfc3339(message.expires)
    if message.sequence is not None:
        event["sequence"] = message.sequence
    if message.traceparent is not None:
        event["traceparent"] = message.traceparent
    if message.accepted_at is not None:
        event["acceptedtime"] = rfc3339(message.accepted_at)
    if (parent := key_case(message.case)) is not message.case:
        event["parent"] = parent
    if data is not None:
        event["data"] = data
    return event


def compartment_aad(message: Message) -> bytes:
    """What a message's sealed compartment is bound to (``aad`` of ``broker/log/values/compartment.py``).

    Case, source and id: ciphertext moved to another message or case does not open. The same on the ledger
    and on every outbox, whose records carry the value untouched; so do the copies for a bundle's parts, which are
    bound to what they are copies of: the parent's case and message.
    """
    if message.part_of is not None:
        return f"{key_case(message.case)}\n{message.part_of}".encode()
    return f"{message.case}\n{message.source}/{message.id}".encode()


def event_digest(event: Mapping[str, object]) -> str:
    """``sha-256:<hex>`` over the canonical JSON (RFC 8785) of an event as its sender submitted it.

    Two texts of the same event (spaces, order of keys, escapes) have one digest. Raises
    :class:`NotCanonical`.
    """
    return f"sha-256:{hashlib.sha256(canonical(event)).hexdigest()}"


def canonical(event: Mapping[str, object]) -> bytes:
    """RFC 8785 canonical JSON of ``event``, whose values come from strict JSON. Raises :class:`NotCanonical`.

    The quick way holds where both agree: no floats, exact integers, keys of ASCII (RFC 8785 sorts keys by
    UTF-16 unit, orjson by code point: the same order below the surrogates, and certainly in ASCII).
    """
    if _plain(event):
        return orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
    try:
        return rfc8785.dumps(event)  # type: ignore[arg-type]
    except rfc8785.CanonicalizationError as fault:
        raise NotCanonical(str(fault)) from None


def _plain(node: object) -> bool:
    kind = type(node)
    if kind is str or kind is bool or node is None:
        return True
    if kind is int:
        return -_EXACT <= node <= _EXACT  # type: ignore[operator]
    if kind is dict:
        for key, value in node.items():  # type: ignore[attr-defined]
            if not key.isascii() or not (type(value) is str or _plain(value)):
                return False
        return True
    return kind is list and all(map(_plain, node))  # type: ignore[call-overload]
