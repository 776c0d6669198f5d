"""The strict reader agrees with fastavro on everything that fastavro writes, for every kind of type."""

from __future__ import annotations

import io
from typing import Any, Final

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.avro.avro_parser import read_record, read_schema
from broker.log.values.avro_reader import RecordReader, compile_reader
from broker.log.values.avro_scalars import Misfit, read_long, write_long
from tests.log.avro_data import data_of

ANYTHING: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Anything",
    "fields": [
        {"name": "nothing", "type": "null"},
        {"name": "boolean", "type": "boolean"},
        {"name": "int", "type": "int"},
        {"name": "long", "type": "long"},
        {"name": "float", "type": "float"},
        {"name": "double", "type": "double"},
        {"name": "bytes", "type": "bytes"},
        {"name": "string", "type": "string"},
        {"name": "fixed", "type": {"type": "fixed", "name": "Two", "size": 2}},
        {"name": "enum", "type": {"type": "enum", "name": "E", "symbols": [f"s{n}" for n in range(100)]}},
        {"name": "decimal", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}},
        {
            "name": "narrow",
            "type": {
                "type": "fixed",
                "name": "N",
                "size": 8,
                "logicalType": "decimal",
                "precision": 18,
                "scale": 2,
            },
        },
        {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "moment", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "list", "type": {"type": "array", "items": {"type": "array", "items": "string"}}},
        {"name": "map", "type": {"type": "map", "values": ["null", "int", "string"]}},
        {"name": "again", "type": ["string", "Two", "null"]},
    ],
}
MODEL: Final = read_record(ANYTHING)
PARSED: Final = fastavro.parse_schema(ANYTHING)
READER: Final = RecordReader(MODEL)


@given(data_of(MODEL))
@settings(deadline=None)
def test_what_fastavro_writes_is_read_as_fastavro_reads_it(datum: Any) -> None:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, PARSED, datum)
    found, last_at = READER.read(out.getvalue(), 0)
    assert found == fastavro.schemaless_reader(io.BytesIO(out.getvalue()), PARSED, None)
    assert last_at == READER.last_field_at(out.getvalue(), 0)
    shifted = b"12345" + out.getvalue()
    assert READER.read(shifted, 5) == (found, last_at + 5)
    for cut in {0, 1, len(out.getvalue()) // 2, len(out.getvalue()) - 1}:
        with pytest.raises(Misfit):
            READER.read(out.getvalue()[:cut], 0)


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_has_one_form(number: int) -> None:
    raw = write_long(number)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", number)
    assert raw == out.getvalue()
    assert read_long(raw, 0) == (number, len(raw))
    longer = raw[:-1] + bytes((raw[-1] | 0x80, 0))
    with pytest.raises(Misfit):
        read_long(longer, 0)


@given(st.binary(max_size=12))
def test_any_bytes_are_an_integer_in_its_one_form_or_none(raw: bytes) -> None:
    try:
        number, end = read_long(raw, 0)
    except (Misfit, IndexError):
        return
    assert write_long(number) == raw[:end]


@pytest.mark.parametrize(
    "text", ["12345678-1234-1234-1234-123456789ABC", "{12345678-1234-1234-1234-123456789abc}", "x"]
)
def test_a_uuid_has_one_form(text: str) -> None:
    read = compile_reader(read_schema({"type": "string", "logicalType": "uuid"}))
    with pytest.raises(Misfit, match="UUID"):
        read(write_long(len(text)) + text.encode(), 0)


def test_bounds_are_held_only_where_asked() -> None:
    node = read_schema({"type": "array", "items": {"type": "string", "maxLength": 1}})
    raw = b"\x02\x04ab\x00"
    assert compile_reader(node)(raw, 0)[0] == ["ab"]
    with pytest.raises(Misfit, match="0 to 1 long") as misfit:
        compile_reader(node, bounded=True)(raw, 0)
    assert misfit.value.pointer == "/0"


def test_a_recursive_type_is_not_compiled() -> None:
    node = read_schema({"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]})
    with pytest.raises(ValueError, match="recursive"):
        compile_reader(node)
