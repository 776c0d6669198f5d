"""From plain JSON: each kind of leaf, and every fault at once."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.avro.avro_parser import read_schema
from broker.core.problems import FieldError
from broker.log.values.json_parse import compile_parse
from broker.log.values.json_render import compile_render

MILLIS: Final = {"type": "long", "logicalType": "timestamp-millis"}
MICROS: Final = {"type": "long", "logicalType": "timestamp-micros"}
DAY: Final = {"type": "int", "logicalType": "date"}
MONEY: Final = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
FIXED: Final = {"type": "fixed", "name": "F", "size": 2}
UID: Final = {"type": "string", "logicalType": "uuid"}
PAIR: Final = {
    "type": "record",
    "name": "Pair",
    "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": ["null", "string"], "default": None}],
}


def parse(schema: Any, value: object) -> tuple[object, list[FieldError]]:
    faults: list[FieldError] = []
    return compile_parse(read_schema(schema))(value, "/data", faults), faults


TAKEN: Final[list[tuple[Any, object, object]]] = [
    ("int", 2**31 - 1, 2**31 - 1),
    ("long", -(2**63), -(2**63)),
    ("double", 1.5, 1.5),
    ("double", 2, 2),
    ("boolean", True, True),
    ("string", "通办 😀", "通办 😀"),
    ("bytes", "AP8=", b"\x00\xff"),
    ("bytes", "", b""),
    (FIXED, "AP8=", b"\x00\xff"),
    (UID, "12345678-1234-1234-1234-123456789abc", UUID("12345678-1234-1234-1234-123456789abc")),
    (DAY, "2026-03-02", date(2026, 3, 2)),
    (MONEY, "-1234.5", Decimal("-1234.5")),
    (MILLIS, "2026-03-02T09:00:00+08:00", datetime(2026, 3, 2, 1, tzinfo=UTC)),
    (MILLIS, "2026-03-02t01:00:00.5z", datetime(2026, 3, 2, 1, 0, 0, 500_000, tzinfo=UTC)),
    (MILLIS, "2026-03-02T01:00:00.123999999Z", datetime(2026, 3, 2, 1, 0, 0, 123_000, tzinfo=UTC)),
    (MICROS, "2026-03-02T01:00:00.123456Z", datetime(2026, 3, 2, 1, 0, 0, 123_456, tzinfo=UTC)),
    (["null", "string"], None, None),
    (["null", "string"], "x", "x"),
    (["null", PAIR], {"a": 1}, {"a": 1, "b": None}),
    ({"type": "array", "items": "int"}, [1, 2], [1, 2]),
    ({"type": "map", "values": "int"}, {"k": 1}, {"k": 1}),
    ({"type": "enum", "name": "E", "symbols": ["x"]}, "x", "x"),
]

REFUSED: Final[list[tuple[Any, object, str, str]]] = [
    ("int", 2**31, "/data", "an integer of 32 bits"),
    ("int", 1.0, "/data", "an integer of 32 bits"),
    ("int", True, "/data", "an integer of 32 bits"),
    ("long", 2**63, "/data", "an integer of 64 bits"),
    ("long", 10**400, "/data", "an integer of 64 bits"),
    ("long", "1", "/data", "an integer of 64 bits"),
    ("double", float("nan"), "/data", "a finite number"),
    ("double", "1", "/data", "a finite number"),
    ("boolean", 1, "/data", "true or false"),
    ("string", 1, "/data", "text"),
    ("string", "\ud800", "/data", "text"),
    ("string", "a\0b", "/data", "text"),
    ("bytes", "AP8", "/data", "base64"),
    ("bytes", "AP 8=", "/data", "base64"),
    ("bytes", "_-8=", "/data", "base64"),
    ("bytes", "通办", "/data", "base64"),
    (FIXED, "AA==", "/data", "2 bytes in base64"),
    (UID, "12345678123412341234123456789abc", "/data", "UUID"),
    (DAY, "2026-02-29", "/data", "a date"),
    (DAY, "20260302", "/data", "a date"),
    (DAY, "2026-W10-1", "/data", "a date"),
    (DAY, "٢٠٢٦-٠٣-٠٢", "/data", "a date"),
    (MONEY, "12345.67", "/data", "at most 6 digits"),
    (MONEY, "1.234", "/data", "at most 6 digits"),
    (MONEY, "1e3", "/data", "at most 6 digits"),
    (MONEY, "NaN", "/data", "at most 6 digits"),
    (MONEY, 1.5, "/data", "text that is a decimal"),
    (MILLIS, "2026-03-02T09:00:00", "/data", "RFC 3339"),
    (MILLIS, "2026-03-02 09:00:00Z", "/data", "RFC 3339"),
    (MILLIS, "2026-03-02T24:00:00Z", "/data", "RFC 3339"),
    (MILLIS, "2026-03-02T09:00:60Z", "/data", "RFC 3339"),
    (MILLIS, "0001-01-01T00:00:00+08:00", "/data", "RFC 3339"),
    (MILLIS, "9999-12-31T23:59:59-08:00", "/data", "RFC 3339"),
    (MILLIS, 1772413200000, "/data", "RFC 3339"),
    (["null", "string"], 1, "/data", "text or null"),
    (["null", DAY], "x", "/data", "a date"),
    (["null", PAIR], {"a": "x"}, "/data/a", "an integer of 32 bits"),
    (PAIR, [], "/data", "an object"),
    (PAIR, {}, "/data/a", "to be present"),
    (PAIR, {"a": 1, "c": 1}, "/data/c", "no fields but a, b"),
    (PAIR, {"a": 1, "13800000000": 1}, "/data", "no fields but a, b"),
    ({"type": "array", "items": "int"}, {}, "/data", "a list"),
    ({"type": "array", "items": "int"}, [1, "x"], "/data/1", "an integer of 32 bits"),
    ({"type": "array", "items": "int"}, [0] * 1001, "/data", "0 to 1000 items"),
    ({"type": "array", "items": "int", "minItems": 1}, [], "/data", "1 to 1000 items"),
    ({"type": "map", "values": "int"}, {"secret": "x"}, "/data", "in each value, an integer"),
    ({"type": "map", "values": "int"}, {"\ud800": 1}, "/data", "keys that are text"),
    ({"type": "map", "values": "int", "maxItems": 1}, {"a": 1, "b": 2}, "/data", "0 to 1 items"),
    ({"type": "enum", "name": "E", "symbols": ["x"]}, "X", "/data", "one of x"),
    ({"type": "string", "format": "sha256"}, "AB", "/data", "64 lower-case hex"),
    ({"type": "string", "format": "code"}, "a\n", "/data", "a code"),
    ({"type": "int", "minimum": 1}, 0, "/data", "1 or more"),
]


@pytest.mark.parametrize(("schema", "value", "expected"), TAKEN, ids=repr)
def test_json_that_fits_is_taken(schema: Any, value: object, expected: object) -> None:
    assert parse(schema, value) == (expected, [])


@pytest.mark.parametrize(
    ("schema", "value", "pointer", "expected"), REFUSED, ids=lambda value: repr(value)[:40]
)
def test_json_that_does_not_fit_is_refused_at_its_place(
    schema: Any, value: object, pointer: str, expected: str
) -> None:
    _, faults = parse(schema, value)
    assert len(faults) == 1
    assert faults[0].pointer == pointer
    assert expected in faults[0].expected


def test_every_fault_is_told_at_once() -> None:
    pairs = {"type": "array", "items": PAIR}
    _, faults = parse(pairs, [{"a": "x", "b": 1}, {"z": 1}, 7])
    assert [(fault.pointer, fault.got) for fault in faults] == [
        ("/data/0/a", "text"),
        ("/data/0/b", "a number"),
        ("/data/1/a", "nothing"),
        ("/data/1/z", "an unknown field"),
        ("/data/2", "a number"),
    ]


def test_a_branch_that_is_not_offered_is_not_taken() -> None:
    secret = {"type": "record", "name": "Secret", "fields": [{"name": "key", "type": "string"}]}
    node = read_schema(["null", PAIR, secret])
    faults: list[FieldError] = []
    assert compile_parse(node)({"key": "k"}, "", faults) == {"key": "k"}
    assert not faults
    compile_parse(node, without=frozenset({"Secret"}))({"key": "k"}, "", faults)
    assert faults


@given(st.binary(max_size=40))
def test_bytes_come_back_from_base64(raw: bytes) -> None:
    node = read_schema("bytes")
    render = compile_render(node)
    assert render is not None
    assert render(raw) == base64.b64encode(raw).decode()
    assert parse("bytes", render(raw)) == (raw, [])


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.just("a"), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.sampled_from([each[0] for each in TAKEN]), JSON)
def test_any_json_is_taken_or_refused(schema: Any, value: object) -> None:
    found, faults = parse(schema, value)
    if not faults:
        render = compile_render(read_schema(schema))
        assert parse(schema, found if render is None else render(found)) == (found, [])
