"""Letters: what the office wants said, and the CloudEvent that says it, in JSON or in Avro.

Source: CloudEvents 1.0, JSON event format; contract, "Topics" (attributes) and "Partner API" (structured mode).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Final, Protocol

import fastavro
import orjson
from fastavro.types import Schema

from deploy.demo.client import RegisteredSchema
from deploy.demo.events import TYPE_PREFIX, party_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message to be said. ``type`` without ``cn.tongban.``; ``time`` RFC 3339 with an offset.

    ``answers`` is ``<partner>/<id>`` of the message that this one answers. ``item`` and ``mode`` may be empty:
    a complaint need not name them.
    """

    id: str
    type: str
    case: str
    destination: str
    time: str
    item: str
    mode: str
    answers: str | None
    data: Mapping[str, object]

    def to_bytes(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Letter:
        return cls(**orjson.loads(raw))


def message_id(number: str, type_: str, earlier: int) -> str:
    """The id of a message: our number for the case, the step, and its count where a step repeats.

    Deterministic, so that whatever crashes, the same step never gets two ids.
    """
    step = f"{number}-{type_.rpartition('.')[2]}"
    return step if earlier == 0 else f"{step}-{earlier + 1}"


class JsonEvents:
    """Events with ``data`` as JSON: the simplest way to speak."""

    def __init__(self, partner: str) -> None:
        self._partner = partner

    async def body(self, letter: Letter) -> bytes:
        """The event's bytes."""
        event = _envelope(self._partner, letter)
        return orjson.dumps({**event, "datacontenttype": "application/json", "data": letter.data})


class Registry(Protocol):
    """Where schemas come from: the exchange's registry, which speaks Confluent's API."""

    async def schema(self, subject: str) -> RegisteredSchema:
        """The latest version of a subject. Raises ExchangeAway."""
        ...


class AvroEvents:
    """Events with ``data_base64`` in Avro, by the schema that the exchange's registry serves."""

    def __init__(self, partner: str, registry: Registry) -> None:
        self._partner = partner
        self._registry = registry
        self._schemas: dict[str, tuple[str, Schema]] = {}

    async def body(self, letter: Letter) -> bytes:
        """The event's bytes. Raises ExchangeAway while the schema cannot be fetched."""
        dataschema, schema = await self._schema(subject_of(letter.type))
        avro = io.BytesIO()
        fastavro.schemaless_writer(avro, schema, typed(schema, letter.data), strict_allow_default=True)
        event = _envelope(self._partner, letter)
        return orjson.dumps(
            {
                **event,
                "dataschema": dataschema,
                "datacontenttype": "application/avro",
                "data_base64": base64.b64encode(avro.getvalue()).decode(),
            }
        )

    async def _schema(self, subject: str) -> tuple[str, Schema]:
        if subject not in self._schemas:
            registered = await self._registry.schema(subject)
            self._schemas[subject] = (
                registered.dataschema,
                fastavro.parse_schema(orjson.loads(registered.text)),
            )
        return self._schemas[subject]


Events = JsonEvents | AvroEvents


def subject_of(type_: str) -> str:
    """The registry's subject for a type: its record's name, ``cn.tongban.case.SupplementRequested``."""
    family, _, name = type_.rpartition(".")
    return f"{TYPE_PREFIX}{family}.{''.join(word.capitalize() for word in name.split('-'))}"


def typed(schema: Schema, data: Mapping[str, object]) -> dict[str, object]:
    """The data with its times and days as Avro's writer wants them; in JSON they are text."""
    kinds = {str(field["name"]): _logical_type(field["type"]) for field in _fields(schema)}
    return {
        name: _FROM_TEXT[kind](value)
        if isinstance(value, str) and (kind := kinds.get(name)) in _FROM_TEXT
        else value
        for name, value in data.items()
    }


def _fields(schema: Schema) -> list[dict[str, object]]:
    assert isinstance(schema, dict)
    fields: list[dict[str, object]] = schema["fields"]
    return fields


def _logical_type(kind: object) -> str | None:
    """The logical type of a field, also where it may be null."""
    branches = kind if isinstance(kind, list) else [kind]
    return next(
        (
            branch["logicalType"]
            for branch in branches
            if isinstance(branch, dict) and "logicalType" in branch
        ),
        None,
    )


_FROM_TEXT: Final[Mapping[str | None, Callable[[str], date]]] = {
    "timestamp-millis": datetime.fromisoformat,
    "date": date.fromisoformat,
}


def _envelope(partner: str, letter: Letter) -> dict[str, object]:
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": letter.id,
        "source": party_path(partner),
        "type": TYPE_PREFIX + letter.type,
        "time": letter.time,
        "subject": letter.case,
        "destination": party_path(letter.destination),
    }
    optional = {"item": letter.item, "mode": letter.mode, "correlationid": letter.answers}
    event.update({name: value for name, value in optional.items() if value})
    return event
