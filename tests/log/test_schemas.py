"""The set of released schemas: what it finds, and what it does not load."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from broker.errors import Corrupt
from broker.log.schema.schemas import SchemaSet, make_schema

SCHEMAS: Final = SchemaSet.load()


def record(*fields: dict[str, Any]) -> str:
    return json.dumps({"type": "record", "name": "cn.tongban.test.Thing", "fields": list(fields)})


A: Final = {"name": "a", "type": "int"}
B: Final = {"name": "b", "type": "int", "default": 0}


def test_a_schema_is_found_by_id_type_and_uri() -> None:
    schema = SCHEMAS.latest("case.decided")
    assert schema is not None
    assert schema.subject == "cn.tongban.case.Decided"
    assert SCHEMAS.by_id(schema.id) is schema
    assert SCHEMAS.by_dataschema(schema.dataschema) is schema
    assert SCHEMAS.versions(schema.subject) == {1: schema}
    assert len(SCHEMAS) == len(list(SCHEMAS))


@pytest.mark.parametrize(
    "uri",
    ["", "1", "/schemas/ids/", "/schemas/ids/0", "/schemas/ids/01", "/schemas/ids/-1", "/schemas/ids/999999",
     "/schemas/ids/1/", "/schemas/ids/1\n", "/schemas/ids/١", "/schemas/ids/1e0", "x/schemas/ids/1",
     "/schemas/ids/" + "9" * 5000],
)  # fmt: skip
def test_what_is_no_dataschema_of_ours_is_not_found(uri: str) -> None:
    assert SCHEMAS.by_dataschema(uri) is None


def test_what_is_not_there_is_none() -> None:
    assert SCHEMAS.latest("case.unheard") is None
    assert SCHEMAS.by_id(0) is None
    assert SCHEMAS.versions("cn.tongban.case.Unheard") == {}


def test_the_latest_is_the_highest_version_whatever_the_order() -> None:
    one = make_schema(record(A), schema_id=7, message_type="test.thing", version=1)
    two = make_schema(record(A, B), schema_id=3, message_type="test.thing", version=2)
    schemas = SchemaSet([two, one])
    assert schemas.latest("test.thing") is two
    assert list(schemas.versions(one.subject)) == [1, 2]
    assert [each.id for each in schemas] == [3, 7]


def test_docs_do_not_change_the_fingerprint_and_types_do() -> None:
    def fingerprint(text: str) -> str:
        return make_schema(text, schema_id=1, message_type="test.thing", version=1).fingerprint

    assert fingerprint(record({**A, "doc": "said"})) == fingerprint(record(A))
    assert fingerprint(record({**A, "type": "long"})) != fingerprint(record(A))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "7", json.dumps({"type": "array", "items": "null"}),
     record({"name": "a", "type": ["null", "cn.tongban.test.Thing"]})],
    ids=["empty", "cut", "deep", "number", "array of null", "recursive"],
)  # fmt: skip
def test_a_dangerous_schema_is_not_made(text: str) -> None:
    with pytest.raises(Corrupt):
        make_schema(text, schema_id=1, message_type="test.thing", version=1)
