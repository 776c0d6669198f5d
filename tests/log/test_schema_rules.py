"""The rules of the house, each by a schema that breaks it."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from broker.core.avro.avro_parser import read_record
from broker.log.schema.schema_changes import changes
from broker.log.schema.schema_rules import house_faults, judge
from broker.log.schema.schemas import SchemaSet

SCHEMAS: Final = SchemaSet.load()


def released(message_type: str) -> str:
    schema = SCHEMAS.latest(message_type)
    assert schema is not None
    return schema.text


def record(*fields: dict[str, Any], name: str = "cn.tongban.notice.Thing", doc: str = "d") -> dict[str, Any]:
    return {"type": "record", "name": name, "doc": doc, "fields": list(fields)}


def field(type_: Any, doc: str = "d") -> dict[str, Any]:
    return {"name": "f", "type": type_, "doc": doc}


@pytest.mark.parametrize("message_type", ["case.submitted", "receipt.delivered", "directory.applied"])
def test_what_is_released_stands(message_type: str) -> None:
    verdict = judge(released(message_type), SCHEMAS)
    assert verdict.faults == ()
    latest = SCHEMAS.latest(message_type)
    assert latest is not None
    assert verdict.version == latest.version


def test_a_compatible_change_becomes_the_next_version() -> None:
    document = json.loads(released("case.rated"))
    document["fields"].insert(
        0, {"name": "visit", "type": ["null", "string"], "default": None, "doc": "到访"}
    )
    verdict = judge(json.dumps(document, ensure_ascii=False), SCHEMAS)
    assert (verdict.subject, verdict.version, verdict.faults) == ("cn.tongban.case.Rated", 2, ())


def test_an_incompatible_change_is_refused() -> None:
    verdict = judge(released("case.rated").replace('"score"', '"stars"'), SCHEMAS)
    assert any("does not read" in fault for fault in verdict.faults)


def test_a_shared_type_in_other_words_is_a_drift() -> None:
    verdict = judge(released("case.rated").replace("Who applies (申请人).", "Who asks."), SCHEMAS)
    assert "cn.tongban.Person: differs from its definition in the released schemas" in verdict.faults


def test_a_danger_is_told_and_nothing_more() -> None:
    verdict = judge(json.dumps(record(field({"type": "array", "items": "null"}))), SCHEMAS)
    assert verdict.faults == ("cn.tongban.notice.Thing.f[]: array of items that may take no bytes",)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "7", '["null"]', '"int"'])
def test_what_is_no_record_is_told(text: str) -> None:
    assert judge(text, SCHEMAS).faults


BROKEN: Final = [
    ("no doc", record(doc=""), "cn.tongban.notice.Thing: expected a doc"),
    ("no doc of a field", record(field("int", doc="")), "cn.tongban.notice.Thing.f: expected a doc"),
    ("another namespace", record(name="org.other.Thing"), "expected a name cn.tongban.<family>.<Name>"),
    ("no namespace", record(name="Thing"), "expected a name"),
    (
        "no sealed field",
        record(field("int"), name="cn.tongban.case.Thing"),
        "expected sealed to be its last field",
    ),
    ("no field at all", record(name="cn.tongban.fee.Thing"), "expected sealed to be its last field"),
    ("union of three", record(field(["null", "int", "string"])), "expected a union of null and one type"),
    ("union without null", record(field(["int", "string"])), "expected a union of null and one type"),
    (
        "inner doc",
        record(field({"type": "array", "items": record(name="In", doc="")})),
        "cn.tongban.notice.In: expected a doc",
    ),
]


@pytest.mark.parametrize(("schema", "fault"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_rule_is_told(schema: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in house_faults(read_record(schema)))


def test_changes_are_told_field_by_field() -> None:
    old = read_record(record(field("int"), {"name": "gone", "type": "string", "doc": "d"}))
    inner = record({"name": "x", "type": "int", "doc": "d"}, name="In")
    new = read_record(
        record(
            field({"type": "int", "minimum": 1}),
            {"name": "more", "type": {"type": "array", "items": inner}, "doc": "d"},
        )
    )
    assert [(each.field, each.kind) for each in changes(old, new)] == [
        ("f", "changed"),
        ("gone", "removed"),
        ("more", "added"),
        ("more/x", "added"),
    ]
    assert changes(old, old) == []
