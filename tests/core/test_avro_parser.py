"""Reading a schema: names, namespaces, facets and defaults become the model that they state."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from broker.core.avro.avro_defaults import default_value, integer_value
from broker.core.avro.avro_model import (
    EnumType,
    Facets,
    Primitive,
    RecordType,
    Recursive,
    SchemaInvalid,
    UnionType,
)
from broker.core.avro.avro_parser import read_record, read_schema


def test_namespaces_are_inherited_and_overridden() -> None:
    model = read_record(
        {
            "type": "record",
            "name": "Top",
            "namespace": "a.b",
            "fields": [
                {"name": "inner", "type": {"type": "enum", "name": "E", "symbols": ["x"]}},
                {"name": "short", "type": "E"},
                {"name": "full", "type": ["null", "a.b.E"]},
                {"name": "other", "type": {"type": "record", "name": "c.R", "fields": [
                    {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["y"]}}]}},
                {"name": "theirs", "type": "c.E"},
            ],
        }
    )  # fmt: skip
    types = {each.name: each.type for each in model.fields}
    assert types["inner"] == types["short"] == EnumType(name="a.b.E", symbols=("x",))
    assert isinstance(types["full"], UnionType)
    assert types["full"].branches[1] is types["inner"]
    assert types["theirs"] == EnumType(name="c.E", symbols=("y",))
    assert isinstance(types["other"], RecordType)


def test_a_reference_to_a_record_from_within_it_is_recursive() -> None:
    model = read_record({"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]})
    union = model.fields[0].type
    assert isinstance(union, UnionType)
    assert union.branches[1] == Recursive(name="R")


def test_facets_are_read() -> None:
    assert read_schema({"type": "string", "minLength": 1, "maxLength": 9}) == Primitive(
        kind="string", facets=Facets(min_length=1, max_length=9)
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "maxLength": "9"},
        {"type": "string", "maxLength": True},
        {"type": "string", "format": ["code"]},
        {"type": "int", "format": "code"},
        {"type": "string", "format": "code", "maxLength": 3},
        {"type": "fixed", "name": "F"},
        {"type": "fixed", "name": "F", "size": -1},
        {"type": "enum", "name": "E", "symbols": ["a", "a"]},
        {"type": "enum", "name": "E", "symbols": [1]},
        {"type": "record", "name": "R"},
        {"type": "record", "name": "R", "fields": ["f"]},
        {"type": "record", "name": "int", "fields": []},
        {"type": "record", "name": "R", "namespace": 1, "fields": []},
        {"type": "error", "name": "R", "fields": []},
        {"type": None},
        {},
    ],
    ids=repr,
)
def test_what_is_not_avro_is_said(schema: Any) -> None:
    with pytest.raises(SchemaInvalid):
        read_schema(schema)


def test_only_a_record_is_a_message() -> None:
    with pytest.raises(SchemaInvalid, match="expected a record"):
        read_record("int")


@pytest.mark.parametrize(
    ("schema", "default", "expected"),
    [
        ("bytes", "\u00ff", b"\xff"),
        ("double", 1, 1.0),
        (["null", "int"], None, None),
        ({"type": "int", "logicalType": "date"}, 1, date(1970, 1, 2)),
        ({"type": "long", "logicalType": "timestamp-millis"}, 1000, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 2}]}, {"a": 1}, {"a": 1, "b": 2}),
        ({"type": "fixed", "name": "F", "size": 1}, "\u00ff", b"\xff"),
    ],
)  # fmt: skip
def test_a_default_becomes_the_value_it_stands_for(schema: Any, default: object, expected: object) -> None:
    assert default_value(read_schema(schema), default) == expected


def test_a_moment_outside_the_calendar_is_none() -> None:
    for logical, number in (
        ("date", 2**31 - 1),
        ("timestamp-millis", -(2**63)),
        ("timestamp-micros", 2**63 - 1),
    ):
        with pytest.raises(ValueError, match="years 1 to 9999"):
            integer_value(logical, number)
