"""Dangerous schemas are refused, each for its reason; safe ones pass; nothing makes the check itself hang."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.avro.schema_safety import dangers


def record(*fields: Any, name: str = "R") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def field(type_: Any, name: str = "f", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


def nested(depth: int) -> Any:
    inner: Any = "int"
    for level in range(depth):
        inner = record(field(inner), name=f"R{level}")
    return inner


def doubling(levels: int) -> Any:
    """Each record holds the one below twice: written out, 2**levels of them."""
    inner: Any = record(field("null"), name="R0")
    for level in range(1, levels):
        inner = record(field(inner, "a"), field(f"R{level - 1}", "b"), name=f"R{level}")
    return inner


SAFE: list[Any] = [
    record(field("string")),
    record(field(["null", "long"], default=None), field({"type": "array", "items": "int"}, "g", default=[])),
    record(field({"type": "map", "values": {"type": "array", "items": "string"}}, default={})),
    record(field({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2})),
    record(field({"type": "fixed", "name": "F", "size": 16, "logicalType": "decimal", "precision": 38})),
    record(
        field({"type": "int", "logicalType": "date"}),
        field({"type": "long", "logicalType": "timestamp-millis"}, "g"),
    ),
    record(field({"type": "enum", "name": "E", "symbols": ["a", "b"]}), field("E", "g")),
    record(field("null"), field("int", "g")),
    record(
        field({"type": "string", "maxLength": 3}, default="x"),
        field({"type": "string", "format": "code"}, "g"),
    ),
    nested(11),
]

DANGEROUS: list[tuple[str, Any, str]] = [
    ("recursive record", record(field(["null", "R"])), "recursive type R"),
    ("recursion over two", record(field(record(field(["null", "R"]), name="S"))), "recursive type R"),
    ("recursion in a list", record(field({"type": "array", "items": "R"})), "recursive type R"),
    ("array of null", {"type": "array", "items": "null"}, "array of items that may take no bytes"),
    ("array of empty records", {"type": "array", "items": record()}, "array of items that may take no bytes"),
    ("array of records of null", {"type": "array", "items": record(field("null"))}, "may take no bytes"),
    (
        "array of empty fixed",
        {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
        "may take no bytes",
    ),
    ("map of null", {"type": "map", "values": "null"}, "map of values that may take no bytes"),
    ("decimal without precision", {"type": "bytes", "logicalType": "decimal"}, "decimal without a precision"),
    (
        "decimal too precise",
        {"type": "bytes", "logicalType": "decimal", "precision": 39},
        "decimal without a precision",
    ),
    (
        "decimal on a wide fixed",
        {"type": "fixed", "name": "F", "size": 17, "logicalType": "decimal", "precision": 5},
        "16 bytes",
    ),
    ("decimal scale", {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}, "scale above"),
    ("fixed too large", {"type": "fixed", "name": "F", "size": 5000}, "fixed of more than"),
    ("too deep", nested(13), "nest deeper"),
    ("far too deep", nested(60), "nest deeper"),
    (
        "too many fields",
        record(*(field("int", f"f{number}") for number in range(129))),
        "more than 128 fields",
    ),
    ("too many symbols", {"type": "enum", "name": "E", "symbols": [f"s{n}" for n in range(513)]}, "symbols"),
    (
        "too many branches",
        ["null", *({"type": "fixed", "name": f"F{n}", "size": 1} for n in range(16))],
        "branches",
    ),
    ("too large", record(field("int", doc="x" * 300_000)), "larger than"),
    ("doubling records", doubling(20), "written out"),
    ("unknown logical type", {"type": "string", "logicalType": "duration"}, "not read here"),
    ("logical type on another", {"type": "string", "logicalType": "date"}, "logical type date on string"),
    ("default of another type", record(field("int", default="x")), "default that does not fit"),
    ("default of the second branch", record(field(["null", "int"], default=1)), "default that does not fit"),
    (
        "default of too many bits",
        record(field({"type": "int", "logicalType": "date"}, default=10**9)),
        "default",
    ),
    (
        "list as default",
        record(field({"type": "array", "items": "int"}, default=[1])),
        "default that does not fit",
    ),
    ("unknown name", record(field("Missing")), "not defined"),
    ("union in a union", record(field(["null", ["int"]])), "union directly within"),
    ("same branch twice", ["null", "int", "int"], "two branches of one kind"),
    ("empty union", record(field([])), "union without branches"),
    ("name twice", record(field(record(name="S"), "a"), field(record(name="S"), "b")), "defined twice"),
    ("field twice", record(field("int"), field("int")), "defined twice"),
    ("name with a hyphen", record(field("int", "a-b")), "field names"),
    ("pattern of its own", record(field({"type": "string", "format": "(a+)+$"})), "format to be one of"),
    ("not a schema", 7, "expected a type name"),
    ("not JSON", {"type": object()}, "not JSON"),
]


@pytest.mark.parametrize("schema", SAFE, ids=repr)
def test_a_safe_schema_has_no_dangers(schema: Any) -> None:
    assert dangers(schema) == []


@pytest.mark.parametrize(
    ("schema", "reason"), [case[1:] for case in DANGEROUS], ids=[case[0] for case in DANGEROUS]
)
def test_a_dangerous_schema_is_refused_for_its_reason(schema: Any, reason: str) -> None:
    assert any(reason in danger for danger in dangers(schema)), dangers(schema)


def test_every_danger_is_reported() -> None:
    schema = record(
        field({"type": "array", "items": "null"}, "a"),
        field({"type": "bytes", "logicalType": "decimal"}, "b"),
    )
    assert len(dangers(schema)) == 2


def test_json_nested_without_end_is_refused() -> None:
    deep: Any = "int"
    for _ in range(100_000):
        deep = {"type": "array", "items": deep}
    assert dangers(deep) == ["schema: JSON nested too deeply"]


def test_defaults_of_doubling_records_take_no_time() -> None:
    inner: Any = record(field("int", default=1), name="R0")
    for level in range(1, 10):
        inner = record(
            field(inner, "a", default={}), field(f"R{level - 1}", "b", default={}), name=f"R{level}"
        )
    started = time.monotonic()
    dangers(inner)
    assert time.monotonic() - started < 2


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["int", "null", "record", "R", "array", "map", "x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "name", "fields", "items", "values", "symbols", "size", "default", "logicalType"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@given(JSON)
def test_whatever_it_is_given_it_answers(schema: Any) -> None:
    assert isinstance(dangers(schema), list)
