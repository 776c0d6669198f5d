"""The data of a submitted event: Avro in base64, raw or framed, or plain JSON; examined by its schema."""

from __future__ import annotations

import binascii
from typing import Final

from broker.core.problems import FieldError, Refusal
from broker.intake.submitting.attributes import Reading
from broker.log.schema.schemas import Schema
from broker.log.values.codec import FRAME_BYTES, Codec, Examined

_AVRO_TYPES: Final = frozenset({"application/avro", "avro/binary", "application/vnd.apache.avro+binary"})
_JSON_TYPES: Final = frozenset({"application/json"})


def examined(read: Reading, codec: Codec, schema: Schema | None) -> Examined | None:
    """The data, or None once its faults are noted. Without a ``schema`` only its form can be checked."""
    event = read.event
    if ("data" in event) == ("data_base64" in event):
        read.fault("data", "either data or data_base64")
        return None
    as_json = "data" in event
    kind = "application/json with data" if as_json else "application/avro with data_base64"
    stated = read.text("datacontenttype", kind, required=False)
    if stated is not None and stated not in (_JSON_TYPES if as_json else _AVRO_TYPES):
        read.fault("datacontenttype", kind)
        return None
    raw = None if as_json else _decoded(read)
    if schema is None or (raw is None and not as_json):
        return None
    result = _of_json(codec, schema, event["data"]) if raw is None else _of_avro(codec, schema, raw)
    if isinstance(result, Refusal):
        _note(read, result, "/data" if as_json else "/data_base64")
        return None
    return result


def _decoded(read: Reading) -> bytes | None:
    text = read.text("data_base64", "Avro in base64 (RFC 4648)", required=True)
    try:
        return None if text is None else binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        read.fault("data_base64", "base64 (RFC 4648, section 4) without spaces")
        return None


def _note(read: Reading, refusal: Refusal, under: str) -> None:
    errors = refusal.errors or (FieldError(pointer="", expected=refusal.detail),)
    for each in errors:
        pointer = each.pointer if each.pointer.startswith(under) else under + each.pointer
        read.faults.append((refusal.code, FieldError(pointer=pointer, expected=each.expected, got=each.got)))


def _of_avro(codec: Codec, schema: Schema, raw: bytes) -> Examined | Refusal:
    """Raw Avro, or Avro in Confluent framing whose id is that of ``dataschema``."""
    framed = len(raw) > FRAME_BYTES and raw[0] == 0
    if framed and int.from_bytes(raw[1:FRAME_BYTES], "big") == schema.id:
        inner = codec.examine(schema, raw[FRAME_BYTES:])
        if not isinstance(inner, Refusal):
            return inner
        outer = codec.examine(schema, raw)
        return inner if isinstance(outer, Refusal) else outer
    found = codec.examine(schema, raw)
    if isinstance(found, Refusal) and framed:
        other = codec.schemas.by_id(int.from_bytes(raw[1:FRAME_BYTES], "big"))
        if other is not None:
            wrong = FieldError(
                pointer="", expected=f"framing with the id of dataschema, {schema.id}", got=f"{other.id}"
            )
            return Refusal(code="schema-invalid", detail="framed with another schema", errors=(wrong,))
    return found


def _of_json(codec: Codec, schema: Schema, data: object) -> Examined | Refusal:
    datum = codec.from_json(schema, data)
    if isinstance(datum, Refusal):
        return datum
    return codec.examine(schema, codec.encode_bare(schema, datum))
