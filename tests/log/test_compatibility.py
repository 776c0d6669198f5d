"""FULL_TRANSITIVE: each change of a schema is allowed or refused in both directions, over all versions."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from broker.errors import WrongUse
from broker.log.schema.compatibility import conflicts
from broker.log.schema.schemas import Schema, make_schema


def text(*fields: dict[str, Any], name: str = "cn.tongban.test.Thing") -> str:
    return json.dumps({"type": "record", "name": name, "fields": list(fields)})


def version(number: int, *fields: dict[str, Any]) -> Schema:
    return make_schema(text(*fields), schema_id=number, message_type="test.thing", version=number)


A: Final = {"name": "a", "type": "int"}
B: Final = {"name": "b", "type": ["null", "string"], "default": None}
E: Final = {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["x", "y"]}}
E3: Final = {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["x", "y", "z"]}}

ALLOWED: Final = [
    ("the same", (A,), (A,)),
    ("a field with default more", (A,), (A, B)),
    ("a field with default less", (A, B), (A,)),
    ("another order", (A, B), (B, A)),
    ("a doc", (A,), ({**A, "doc": "said"},)),
]
REFUSED: Final = [
    ("a field without default more", (A,), (A, {"name": "c", "type": "int"})),
    ("a field without default less", (A, {"name": "c", "type": "int"}), (A,)),
    ("another name", (A,), ({**A, "name": "z"},)),
    ("a wider number", (A,), ({**A, "type": "long"},)),
    ("another type", (A,), ({**A, "type": "string"},)),
    ("a symbol more", (E,), (E3,)),
    ("a symbol less", (E3,), (E,)),
    ("no longer null", (B,), ({"name": "b", "type": "string", "default": ""},)),
]


@pytest.mark.parametrize(("old", "new"), [case[1:] for case in ALLOWED], ids=[case[0] for case in ALLOWED])
def test_a_change_that_both_sides_read_is_allowed(old: tuple[Any, ...], new: tuple[Any, ...]) -> None:
    assert conflicts(text(*new), [version(1, *old)]) == []


@pytest.mark.parametrize(("old", "new"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_change_that_one_side_cannot_read_is_refused(old: tuple[Any, ...], new: tuple[Any, ...]) -> None:
    found = conflicts(text(*new), [version(1, *old)])
    assert found
    assert "does not read" in str(found[0])


def test_every_earlier_version_counts_not_only_the_last() -> None:
    versions = [version(1, A, {"name": "b", "type": "int", "default": 1}), version(2, A)]
    assert conflicts(text(A, {"name": "b", "type": "string", "default": ""}), versions[1:]) == []
    assert {
        each.writer for each in conflicts(text(A, {"name": "b", "type": "string", "default": ""}), versions)
    } == {
        "version 1",
        "the new version",
    }


@pytest.mark.parametrize(
    "candidate", ["", "{", "7", '"int', '{"type":"array","items":"null"}', "[" * 100_000]
)
def test_what_is_no_safe_schema_is_wrong_use(candidate: str) -> None:
    with pytest.raises(WrongUse):
        conflicts(candidate, [version(1, A)])
