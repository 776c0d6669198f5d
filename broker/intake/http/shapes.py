"""JSON schemas (2020-12) of what the partner API takes and gives, for ``/openapi.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Shape = Mapping[str, object]

_TEXT: Final[Shape] = {"type": "string"}
_TIME: Final[Shape] = {"type": "string", "format": "date-time"}
_INTEGER: Final[Shape] = {"type": "integer"}
OBJECT: Final[Shape] = {"type": "object"}
PAGE: Final[Shape] = {"type": "string", "description": "HTML, Chinese first"}
STRINGS: Final[Shape] = {"type": "array", "items": _TEXT}
INTEGERS: Final[Shape] = {"type": "array", "items": _INTEGER}
BINARY: Final[Shape] = {
    "type": "string",
    "format": "binary",
    "description": "Binary mode (ce-* headers): only over a trusted channel",
}


def _object(required: str, **properties: Shape) -> Shape:
    return {"type": "object", "required": required.split(), "properties": properties}


_POSITION: Final = _object("topic partition offset", topic=_TEXT, partition=_INTEGER, offset=_INTEGER)

EVENT: Final = _object(
    "specversion id source type time subject destination",
    specversion={"const": "1.0"},
    id={"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    source={"type": "string", "pattern": "^/partners/[0-9]{6}(-[a-z0-9]{1,24})?$"},
    type={"type": "string", "pattern": r"^cn\.tongban\."},
    time=_TIME,
    subject={"type": "string", "description": "The case: <partner that opened it>/<number>"},
    destination={"type": "string", "pattern": "^/partners/[0-9]{6}(-[a-z0-9]{1,24})?$"},
    item=_TEXT,
    mode={"enum": ["online", "collected", "joint"]},
    **{"class": {"enum": [0, 1]}},
    correlationid=_TEXT,
    expirytime=_TIME,
    sequence=_TEXT,
    traceparent=_TEXT,
    dataschema={"type": "string", "pattern": "^/schemas/ids/[0-9]+$"},
    datacontenttype={"enum": ["application/avro", "application/json"]},
    data={"type": "object", "description": "The data as JSON; or data_base64"},
    data_base64={"type": "string", "contentEncoding": "base64", "description": "The data as Avro"},
)
BATCH: Final[Shape] = {"type": "array", "minItems": 1, "maxItems": 1000, "items": EVENT}

_ACCEPTED: Final = _object(
    "id case digest position duplicate links",
    id=_TEXT,
    case=_TEXT,
    digest=_TEXT,
    position=_POSITION,
    duplicate={"type": "boolean"},
    links=OBJECT,
)
ACCEPTED_OR_RESULTS: Final[Shape] = {
    "oneOf": [_ACCEPTED, _object("results", results={"type": "array", "items": OBJECT})]
}

STATUS: Final = _object(
    "source id state digest position attempts receipts",
    source=_TEXT,
    id=_TEXT,
    state={
        "enum": [
            "accepted",
            "routed",
            "delivering",
            "parked",
            "delivered",
            "rejected",
            "expired",
            "on-the-desk",
            "returned",
            "skipped",
        ]
    },
    digest=_TEXT,
    position=_POSITION,
    attempts={"type": "array", "items": OBJECT},
    receipts={"type": "array", "items": OBJECT},
    desk={
        **_object(
            "status cause opened_at redrives",
            status={"enum": ["open", "redriven", "delivered", "returned", "skipped"]},
            cause=_TEXT,
            opened_at=_TIME,
            closed_at=_TIME,
            redrives=_INTEGER,
        ),
        "description": "Only of a message that is, or was, on the desk of operations (办不成事)",
    },
)
MAILBOX: Final = _object(
    "lease expires_at messages",
    lease={"type": ["string", "null"]},
    expires_at={"type": ["string", "null"], "format": "date-time"},
    messages={"type": "array", "items": OBJECT},
)
RECEIPTS: Final = _object(
    "receipts",
    receipts={
        "type": "array",
        "minItems": 1,
        "items": _object(
            "source id outcome",
            source=_TEXT,
            id=_TEXT,
            outcome={"enum": ["delivered", "rejected"]},
            code=_TEXT,
            reason=_TEXT,
            reference=_TEXT,
            at=_TIME,
        ),
    },
)
RECEIPT_RESULTS: Final = _object("results", results={"type": "array", "items": OBJECT})
CASE: Final = _object(
    "case opening responsible status role allowed", case=_TEXT, opening=_TEXT, responsible=_TEXT, status=_TEXT,
    role=_TEXT, allowed=STRINGS,
)  # fmt: skip

PROBLEM: Final = _object(
    "type title status detail code",
    type=_TEXT,
    title=_TEXT,
    status=_INTEGER,
    detail=_TEXT,
    code=_TEXT,
    errors={
        "type": "array",
        "items": _object("pointer expected", pointer=_TEXT, expected=_TEXT, got=_TEXT),
    },
)


def listing(name: str) -> Shape:
    """An object that holds one array of objects."""
    return _object(name, **{name: {"type": "array", "items": OBJECT}})
