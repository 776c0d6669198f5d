"""A CloudEvent in structured JSON, as this city reads and writes it.

Source: CloudEvents 1.0, JSON event format; contract, "What a partner receives" and "Message types".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

MEDIA_TYPE = "application/cloudevents+json"
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"
TYPE_PREFIX = "cn.tongban."
BROKER = "tongban"
"""The source of receipts and notices, which the broker says itself."""

_RECEIPTS = ("receipt.", "notice.", "operator.")


class NotAnEvent(ValueError):
    """The body is not an event of the contract. The message names the attribute and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event that has arrived. ``type`` is without ``cn.tongban.``; parties are plain ids (``451300``)."""

    id: str
    source: str
    type: str
    case: str
    digest: str
    item: str | None
    mode: str | None
    correlation: str | None
    """``<partner>/<id>`` of the message answered or acknowledged."""
    data: Mapping[str, object]
    verbatim: bytes

    @property
    def name(self) -> str:
        """What an answer to this event puts into ``correlationid``."""
        return f"{self.source}/{self.id}"

    @property
    def webhook_id(self) -> str:
        """The id that is the same over all attempts: the key of "once"."""
        return f"{self.source}_{self.id}"

    @property
    def is_about_ours(self) -> bool:
        """Whether the broker tells us about a message of our own: a receipt, a notice, an act of its operators."""
        return self.type.startswith(_RECEIPTS)


def read_event(body: bytes) -> Event:
    """Read one structured event. Raises :class:`NotAnEvent`."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise NotAnEvent("expected a JSON object") from None
    if not isinstance(fields, dict) or fields.get("specversion") != "1.0":
        raise NotAnEvent("specversion: expected 1.0")
    return event_of(fields, body)


def event_of(fields: Mapping[str, object], verbatim: bytes) -> Event:
    """The event that a JSON object holds. Raises :class:`NotAnEvent`."""
    full_type = _text(fields, "type")
    if not full_type.startswith(TYPE_PREFIX):
        raise NotAnEvent(f"type: expected {TYPE_PREFIX}<name>")
    data = fields.get("data")
    return Event(
        id=_text(fields, "id"),
        source=_text(fields, "source").rpartition("/")[2],
        type=full_type.removeprefix(TYPE_PREFIX),
        case=_text(fields, "subject"),
        digest=_optional(fields, "digest") or f"sha-256:{hashlib.sha256(verbatim).hexdigest()}",
        item=_optional(fields, "item"),
        mode=_optional(fields, "mode"),
        correlation=_optional(fields, "correlationid"),
        data=data if isinstance(data, dict) else {},
        verbatim=verbatim,
    )


def party_path(party: str) -> str:
    """A party as an event names it: ``/partners/451300``; ``/tongban``, which finds a complaint's city itself."""
    return f"/{BROKER}" if party == BROKER else f"/partners/{party}"


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise NotAnEvent(f"{name}: expected text")
    return value


def _optional(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None
