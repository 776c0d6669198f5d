"""The codec: round trips, strictness against hostile bytes, refusals that name fields and never values."""

from __future__ import annotations

import contextlib
import copy
import json
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any, Final

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.core.ids import PartnerId
from broker.core.problems import Refusal
from broker.core.receipts import Outcome, Receipt
from broker.errors import Corrupt, WrongUse
from broker.log.schema.schemas import Schema, SchemaSet, make_schema
from broker.log.values.codec import FRAME_BYTES, MAX_AVRO_BYTES, MAX_FAULTS, Codec, Examined
from tests.log.avro_data import data_of
from tests.schemas.examples import VALID

CODEC: Final = Codec(SchemaSet.load())
NOON: Final = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
TYPES: Final = sorted(schema.type for schema in CODEC.schemas)


def schema_of(message_type: str) -> Schema:
    found = CODEC.schemas.latest(message_type)
    assert found is not None
    return found


def bare(message_type: str, **datum: object) -> bytes:
    return CODEC.encode_bare(schema_of(message_type), datum)


def small(fields: list[dict[str, Any]]) -> tuple[Codec, Schema]:
    """A codec of one schema made for a test."""
    document = {"type": "record", "name": "cn.tongban.test.T", "fields": fields}
    schema = make_schema(json.dumps(document), schema_id=1, message_type="test.t", version=1)
    return Codec(SchemaSet([schema])), schema


EXAMPLES: Final = [
    (schema_of(each.type), CODEC.encode(each.type, datum))
    for each in VALID
    if not isinstance(datum := CODEC.from_json(schema_of(each.type), each.data), Refusal)
]
SCHEMA_DATA: Final = {schema.type: data_of(schema.model) for schema in CODEC.schemas}


def test_a_value_is_framed_as_confluent_does() -> None:
    value = CODEC.encode("case.rated", {"score": 5, "rated_at": NOON})
    assert value[:FRAME_BYTES] == b"\0" + struct.pack(">i", schema_of("case.rated").id)
    assert CODEC.decode(value).datum == {
        "score": 5,
        "rated_at": NOON,
        "channel": None,
        "tags": [],
        "sealed": None,
    }


@given(st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_datum_of_every_schema_comes_back_and_reads_as_fastavro_reads_it(data: st.DataObject) -> None:
    schema = schema_of(data.draw(st.sampled_from(TYPES)))
    datum: Any = data.draw(SCHEMA_DATA[schema.type])
    value = CODEC.encode(schema.type, datum)
    assert CODEC.decode(value).datum == datum
    assert CODEC.check(schema, value[FRAME_BYTES:]) == datum
    assert fastavro.schemaless_reader(BytesIO(value[FRAME_BYTES:]), schema.parsed, None) == datum
    assert CODEC.from_json(schema, CODEC.to_json(schema, datum)) == datum


def test_json_has_what_is_not_plain_as_text_and_leaves_the_datum_as_it_is() -> None:
    stamp: dict[str, Any] = {"type": "long", "logicalType": "timestamp-millis"}
    inner = {
        "type": "record",
        "name": "cn.tongban.test.Inner",
        "fields": [{"name": "at", "type": stamp}, {"name": "text", "type": "string"}],
    }
    codec, schema = small(
        [
            {"name": "plain", "type": {"type": "array", "items": "string"}},
            {"name": "days", "type": {"type": "map", "values": ["null", "bytes"]}},
            {"name": "inner", "type": ["null", inner]},
        ]
    )
    datum = {
        "plain": ["a"],
        "days": {"one": b"\x00", "none": None},
        "inner": {"at": NOON, "text": "b"},
    }
    kept = copy.deepcopy(datum)
    assert codec.to_json(schema, datum) == {
        "plain": ["a"],
        "days": {"one": "AA==", "none": None},
        "inner": {"at": "2026-03-02T04:00:00.000Z", "text": "b"},
    }
    assert datum == kept
    assert codec.to_json(schema, {"inner": None}) == {"inner": None}


@given(st.sampled_from(EXAMPLES), st.data())
@settings(max_examples=600, deadline=None)
def test_flipped_bytes_are_refused_or_read_as_fastavro_reads_them(
    example: tuple[Schema, bytes], data: st.DataObject
) -> None:
    schema, value = example
    raw = bytearray(value[FRAME_BYTES:])
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    found = CODEC.check(schema, bytes(raw))
    if isinstance(found, Refusal):
        assert found.code == "schema-invalid"
        assert found.errors
    else:
        assert fastavro.schemaless_reader(BytesIO(bytes(raw)), schema.parsed, None) == found
        assert CODEC.check(schema, CODEC.encode_bare(schema, found)) == found


@given(st.sampled_from(EXAMPLES), st.data())
@settings(max_examples=300, deadline=None)
def test_cut_grown_or_spliced_bytes_are_refused_or_read(
    example: tuple[Schema, bytes], data: st.DataObject
) -> None:
    schema, value = example
    raw = value[FRAME_BYTES:]
    at = data.draw(st.integers(0, len(raw)))
    grown = raw[:at] + data.draw(st.binary(max_size=12)) + raw[data.draw(st.integers(at, len(raw))) :]
    found = CODEC.check(schema, grown)
    if not isinstance(found, Refusal):
        assert CODEC.check(schema, CODEC.encode_bare(schema, found)) == found


@given(st.sampled_from(TYPES), st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_noise_is_refused_or_corrupt_and_nothing_else(message_type: str, noise: bytes) -> None:
    CODEC.check(schema_of(message_type), noise)
    with contextlib.suppress(Corrupt):
        CODEC.decode(b"\0" + struct.pack(">i", schema_of(message_type).id) + noise)


def rated(score: bytes = b"\x0a", rated_at: bytes = b"\x00", rest: bytes = b"\x00\x00\x00") -> bytes:
    """case.rated: score, rated_at, channel, tags, sealed."""
    return score + rated_at + rest


HOSTILE: Final[list[tuple[str, bytes, str, str]]] = [
    ("nothing", b"", "/score", "more bytes"),
    ("cut", rated()[:-1], "/sealed", "more bytes"),
    ("a byte after it", rated() + b"\x00", "", "no bytes after the value: 1"),
    ("two values", rated() * 2, "", "no bytes after the value: 5"),
    ("over-long integer", rated(b"\x8a\x00"), "/score", "shortest form"),
    ("over-long zero", rated(b"\x80\x80\x00"), "/score", "shortest form"),
    ("integer of 11 bytes", rated(b"\x80" * 10 + b"\x01"), "/score", "10 bytes"),
    ("integer of 70 bits", rated(b"\xff" * 9 + b"\x7f"), "/score", "64 bits"),
    ("endless integer", b"\xff" * 100_000, "/score", "10 bytes"),
    ("int beyond 32 bits", rated(b"\x80\x80\x80\x80\x10"), "/score", "32 bits"),
    (
        "time beyond year 9999",
        rated(rated_at=b"\xfe" + b"\xff" * 8 + b"\x01"),
        "/rated_at",
        "years 1 to 9999",
    ),
    ("time before year 1", rated(rated_at=b"\xff" * 9 + b"\x01"), "/rated_at", "years 1 to 9999"),
    ("negative branch", rated(rest=b"\x01\x00\x00"), "/channel", "branch's index"),
    ("branch too high", rated(rest=b"\x04\x00\x00"), "/channel", "branch's index"),
    ("over-long branch", rated(rest=b"\x80\x00\x00\x00"), "/channel", "shortest form"),
    ("negative length", rated(rest=b"\x02\x01\x00\x00"), "/channel", "not negative"),
    ("over-long length", rated(rest=b"\x02\x82\x00a\x00\x00"), "/channel", "shortest form"),
    ("length beyond the end", rated(rest=b"\x02\x7ea\x00"), "/channel", ""),
    ("length of 2^62", rated(rest=b"\x02\xfe" + b"\xff" * 8 + b"\x01a\x00"), "/channel", "more bytes"),
    ("not UTF-8", rated(rest=b"\x02\x02\xff\x00\x00"), "/channel", "UTF-8"),
    ("a surrogate in UTF-8", rated(rest=b"\x02\x06\xed\xa0\x80\x00\x00"), "/channel", "UTF-8"),
    ("U+0000", rated(rest=b"\x02\x02\x00\x00\x00"), "/channel", "U+0000"),
    ("count beyond the end", rated(rest=b"\x00\xfe" + b"\xff" * 8 + b"\x01\x00"), "/tags", "count"),
    ("count of -2^63", rated(rest=b"\x00" + b"\xff" * 9 + b"\x01\x02\x00"), "/tags", "count"),
    ("block of no bytes", rated(rest=b"\x00\x01\x00\x02a\x00\x00"), "/tags", "block's size"),
    ("negative block size", rated(rest=b"\x00\x01\x01\x02a\x00\x00"), "/tags", "block's size"),
    ("block that lies", rated(rest=b"\x00\x01\x02\x02a\x00\x00"), "/tags", "size that it states"),
    ("array without end", rated(rest=b"\x00\x02\x02a"), "/tags", "more bytes"),
    ("an item's fault", rated(rest=b"\x00\x04\x02a\x02\xff\x00\x00"), "/tags/1", "UTF-8"),
    (
        "sealed by the sender",
        rated(rest=b"\x00\x00\x04\x00\x02\x00\x18" + b"n" * 12 + b"\x02c"),
        "/sealed",
        "Papers",
    ),
]


@pytest.mark.parametrize(
    ("raw", "pointer", "expected"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE]
)
def test_hostile_bytes_are_refused_at_their_field(raw: bytes, pointer: str, expected: str) -> None:
    assert isinstance(CODEC.check(schema_of("case.rated"), rated()), dict)
    refusal = CODEC.check(schema_of("case.rated"), raw)
    assert isinstance(refusal, Refusal)
    assert refusal.errors[0].pointer == pointer
    assert expected in refusal.errors[0].expected


def test_an_array_in_blocks_with_sizes_is_as_good_as_in_one() -> None:
    found = CODEC.check(schema_of("case.rated"), rated(rest=b"\x00\x01\x04\x02a\x02\x02b\x00\x00"))
    assert isinstance(found, dict)
    assert found["tags"] == ["a", "b"]


@pytest.mark.parametrize(
    ("raw", "pointer", "expected"),
    [
        (b"\x02", "/f", "boolean"),
        (b"\xff", "/f", "boolean"),
    ],
)
def test_a_boolean_is_0_or_1(raw: bytes, pointer: str, expected: str) -> None:
    codec, schema = small([{"name": "f", "type": "boolean"}])
    refusal = codec.check(schema, raw)
    assert isinstance(refusal, Refusal)
    assert (refusal.errors[0].pointer, expected in refusal.errors[0].expected) == (pointer, True)


def test_an_enum_has_no_negative_index() -> None:
    codec, schema = small([{"name": "f", "type": {"type": "enum", "name": "E", "symbols": ["a", "b"]}}])
    assert codec.check(schema, b"\x02") == {"f": "b"}
    for raw in (b"\x01", b"\x04", b"\x03"):
        assert isinstance(codec.check(schema, raw), Refusal)


def test_not_a_number_is_no_number() -> None:
    codec, schema = small([{"name": "f", "type": "double"}])
    assert codec.check(schema, struct.pack("<d", 1.5)) == {"f": 1.5}
    for number in (float("nan"), float("inf"), float("-inf")):
        assert isinstance(codec.check(schema, struct.pack("<d", number)), Refusal)


def test_a_decimal_of_a_million_digits_is_refused_at_once() -> None:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
    codec, schema = small([{"name": "f", "type": decimal}])
    raw = codec.encode_bare(schema, {"f": Decimal("-12.34")})
    assert str(codec.check(schema, raw)) == "{'f': Decimal('-12.34')}"
    huge = b"\x80\xea\x30" + b"\x7f" * 400_000
    refusal = codec.check(schema, huge)
    assert isinstance(refusal, Refusal)
    assert "decimal of 1 to" in refusal.errors[0].expected


def test_a_map_has_no_key_twice_and_never_tells_its_keys() -> None:
    codec, schema = small([{"name": "f", "type": {"type": "map", "values": "string"}}])
    assert codec.check(schema, b"\x02\x02k\x02v\x00") == {"f": {"k": "v"}}
    twice = codec.check(schema, b"\x04\x02k\x02v\x02k\x02v\x00")
    assert isinstance(twice, Refusal)
    assert "distinct" in twice.errors[0].expected
    inside = codec.check(schema, b"\x02\x02k\x02\xff\x00")
    assert isinstance(inside, Refusal)
    assert inside.errors[0].pointer == "/f"


def test_more_items_than_the_schema_takes_are_refused_before_they_are_read() -> None:
    codec, schema = small([{"name": "f", "type": {"type": "array", "items": "int"}}])
    assert isinstance(codec.check(schema, b"\xd0\x0f" + b"\x00" * 1001), dict)
    many = codec.check(schema, b"\xd2\x0f" + b"\x00" * 1002)
    assert isinstance(many, Refusal)
    assert "at most 1000" in many.errors[0].expected
    blocks = codec.check(schema, b"\x02\x00" * 1001 + b"\x00")
    assert isinstance(blocks, Refusal)


def test_too_large_is_told_as_such() -> None:
    refusal = CODEC.check(schema_of("case.rated"), b"\0" * (MAX_AVRO_BYTES + 1))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "too-large"


def test_every_fault_of_the_facets_is_told() -> None:
    codec, schema = small(
        [
            {"name": "score", "type": {"type": "int", "minimum": 1, "maximum": 5}},
            {"name": "title", "type": {"type": "string", "maxLength": 3}},
            {"name": "list", "type": {"type": "array", "items": {"type": "string", "format": "sha256"}}},
        ]
    )
    refusal = codec.check(schema, b"\x0c" + b"\x08abcd" + b"\x02\x02x\x00")
    assert isinstance(refusal, Refusal)
    assert [error.pointer for error in refusal.errors] == ["/score", "/title", "/list/0"]


def test_a_refusal_never_repeats_a_value() -> None:
    secret = "11010519491231002X"
    papers = {
        "applicant": {"name": secret, "id_number": secret * 3, "phone": secret},
        "form": {secret: secret * 2000},
    }
    schema = schema_of("case.withdrawn")
    at = "2026-03-02T09:00:00Z"
    data = {"withdrawn_at": at, "reason": "", "sealed": {**papers, secret: secret}, secret: secret}
    as_json = CODEC.from_json(schema, data)
    assert isinstance(as_json, Refusal)
    assert secret not in repr(as_json)
    assert len(as_json.errors) >= 4
    with pytest.raises(WrongUse) as fault:
        CODEC.encode("case.withdrawn", {"withdrawn_at": NOON, "reason": "r", "sealed": papers})
    assert secret not in str(fault.value)


def test_a_refusal_lists_a_bounded_number_of_faults() -> None:
    refusal = CODEC.from_json(schema_of("case.rated"), {"tags": [1] * 1000})
    assert isinstance(refusal, Refusal)
    assert len(refusal.errors) == MAX_FAULTS


MISUSES: Final[list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]], str]]] = [
    ("missing", lambda datum: {"rated_at": NOON}, "/score: expected to be present"),
    ("unknown", lambda datum: {**datum, "more": 1}, "no fields but"),
    ("text for a number", lambda datum: {**datum, "score": "5"}, "/score: expected an integer"),
    ("true for a number", lambda datum: {**datum, "score": True}, "/score: expected an integer"),
    ("out of bounds", lambda datum: {**datum, "score": 9}, "/score: expected 1 to 5"),
    ("naive time", lambda datum: {**datum, "rated_at": datetime(2026, 3, 2)}, "/rated_at: expected a moment"),  # noqa: DTZ001
    (
        "day for a moment",
        lambda datum: {**datum, "rated_at": date(2026, 3, 2)},
        "/rated_at: expected a moment",
    ),
    ("lone surrogate", lambda datum: {**datum, "channel": "\ud800"}, "/channel: expected text or null"),
    ("null in a list", lambda datum: {**datum, "tags": ["a", None]}, "/tags/1: expected text"),
    ("papers that are none", lambda datum: {**datum, "sealed": {"name": "x"}}, "/sealed"),
]


@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in MISUSES], ids=[case[0] for case in MISUSES]
)
def test_encoding_what_does_not_fit_names_the_field(
    change: Callable[[dict[str, Any]], dict[str, Any]], expected: str
) -> None:
    with pytest.raises(WrongUse) as fault:
        CODEC.encode("case.rated", change({"score": 5, "rated_at": NOON}))
    assert expected in str(fault.value)


def test_encoding_an_unknown_type_is_wrong_use() -> None:
    with pytest.raises(WrongUse, match=r"case\.unheard"):
        CODEC.encode("case.unheard", {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", "without Confluent framing"),
        (b"\x00\x00\x00\x00\x01", "without Confluent framing"),
        (b"\x01\x00\x00\x00\x01\x00", "without Confluent framing"),
        (b"\x00\x00\x00\x03\xe7\x00", "schema 999, which is not registered"),
        (b"\x00\xff\xff\xff\xff\x00", "not registered"),
        (b"\x00\x00\x00\x00\x0e\x0a", "schema 14: /rated_at"),
    ],
)
def test_a_value_that_does_not_read_is_corrupt(value: bytes, expected: str) -> None:
    with pytest.raises(Corrupt, match=expected):
        CODEC.decode(value)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_receipts_of_the_core_fit_their_schemas(outcome: Outcome) -> None:
    receipt = Receipt(
        acknowledged="451300/m-1",
        recipient=PartnerId("430423"),
        outcome=outcome,
        digest=f"sha-256:{'5e' * 32}",
        dataschema="/schemas/ids/1",
        attempt=1,
        at=NOON,
    )
    assert CODEC.decode(CODEC.encode(receipt.type, receipt.to_datum())).datum == receipt.to_datum()


def test_json_is_examined_as_its_avro_would_be() -> None:
    for each in VALID:
        schema = schema_of(each.type)
        from_json = CODEC.examine_json(schema, each.data)
        assert isinstance(from_json, Examined)
        assert CODEC.examine(schema, from_json.avro) == from_json


def test_json_that_does_not_fit_is_not_examined() -> None:
    assert isinstance(CODEC.examine_json(schema_of("case.rated"), {"score": 6}), Refusal)


def test_the_dataschema_is_that_of_the_latest_version() -> None:
    assert CODEC.dataschema("case.rated") == f"/schemas/ids/{schema_of('case.rated').id}"
