"""The generated reader of a record takes and refuses what its fields' own readers do, in the same words."""

from __future__ import annotations

import io
from typing import Any, Final

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.avro.avro_model import RecordType
from broker.core.avro.avro_parser import read_record
from broker.log.values.avro_reader import compile_reader
from broker.log.values.avro_record import Field, compile_fields
from broker.log.values.avro_scalars import SHORT, Misfit, write_long
from tests.log.avro_data import data_of
from tests.log.test_avro_reader import ANYTHING

TEXTS: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Texts",
    "fields": [
        {"name": "free", "type": "string"},
        {"name": "short", "type": {"type": "string", "minLength": 1, "maxLength": 3}},
        {"name": "least", "type": {"type": "string", "minLength": 2}},
        {"name": "form", "type": {"type": "string", "format": "code"}},
        {"name": "perhaps", "type": ["null", {"type": "string", "minLength": 1, "maxLength": 3}]},
        {"name": "other", "type": ["null", {"type": "string", "format": "code"}]},
        {"name": "number", "type": ["null", {"type": "int", "minimum": 0, "maximum": 9}]},
        {"name": "one", "type": {"type": "enum", "name": "One", "symbols": ["a", "b"]}},
        {"name": "some", "type": {"type": "array", "items": "string", "minItems": 1, "maxItems": 2}},
        {"name": "any", "type": {"type": "array", "items": "string", "maxItems": 2}},
        {"name": "last", "type": {"type": "string", "maxLength": 200}},
    ],
}
RECORDS: Final = {
    name: (read_record(record), fastavro.parse_schema(record))
    for name, record in (("anything", ANYTHING), ("texts", TEXTS))
}


def fields_of(record: RecordType, *, bounded: bool) -> list[Field]:
    return [
        Field(each.name, each.type, compile_reader(each.type, bounded=bounded), bounded)
        for each in record.fields
    ]


def plainly(fields: list[Field], buffer: bytes) -> object:
    """Field by field, each by its own reader."""
    datum: dict[str, object] = {}
    at, name = 0, ""
    try:
        for name, _, read, _ in fields:
            datum[name], at = read(buffer, at)
    except Misfit as misfit:
        return (f"/{name}{misfit.pointer}", misfit.expected)
    except IndexError:
        return (f"/{name}", SHORT)
    return (datum, at)


def generated(fields: list[Field], buffer: bytes) -> object:
    try:
        return compile_fields(fields)(buffer, 0)
    except Misfit as misfit:
        return (misfit.pointer, misfit.expected)


@pytest.mark.parametrize("name", RECORDS)
@given(st.data(), st.booleans())
@settings(deadline=None, max_examples=300)
def test_it_reads_as_the_fields_readers_do(name: str, data: st.DataObject, bounded: bool) -> None:
    record, parsed = RECORDS[name]
    fields = fields_of(record, bounded=bounded)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed, data.draw(data_of(record)))
    raw = bytearray(out.getvalue())
    assert generated(fields, bytes(raw)) == plainly(fields, bytes(raw))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        if not raw:
            break
    assert generated(fields, bytes(raw)) == plainly(fields, bytes(raw))


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize(
    "text",
    [b"", b"a", "中中中".encode(), b"abcd", b"a\0b", b"\xff", b"x" * 63, b"x" * 64, b"x" * 10_000],
    ids=["empty", "one", "three", "four", "NUL", "not UTF-8", "63", "64", "long"],
)
def test_a_text_at_the_end_of_the_bytes(text: bytes, bounded: bool) -> None:
    for each in read_record(TEXTS).fields:
        field = Field(each.name, each.type, compile_reader(each.type, bounded=bounded), bounded)
        for lead in (b"", b"\x02"):
            whole = lead + write_long(len(text)) + text
            for buffer in (whole, whole + b"more", *(whole[:cut] for cut in range(min(len(whole), 80)))):
                assert generated([field], buffer) == plainly([field], buffer)


@pytest.mark.parametrize("name", RECORDS)
def test_whatever_byte_a_field_begins_with(name: str) -> None:
    for field in fields_of(RECORDS[name][0], bounded=True):
        for first in range(256):
            for rest in (b"", b"\x00", b"\x01", b"\x02a", b"\x02" * 300):
                buffer = bytes((first,)) + rest
                assert generated([field], buffer) == plainly([field], buffer)


def test_nothing_is_read_of_no_fields() -> None:
    assert compile_fields([])(b"rest", 2) == ({}, 2)
