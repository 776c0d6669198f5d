from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from broker.core.documents import FORBID_UNKNOWN, DocumentInvalid, Fault, read_record, read_toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    width_mm: Annotated[int, Field(ge=1)]
    locked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    name: str
    door: Door


def faults_of(text: str) -> dict[str, str]:
    with pytest.raises(DocumentInvalid) as caught:
        read_record("hall.toml", Hall, read_toml("hall.toml", text))
    assert all(fault.file == "hall.toml" for fault in caught.value.faults)
    return {fault.key: fault.expected for fault in caught.value.faults}


def test_a_document_becomes_a_record() -> None:
    tables = read_toml("hall.toml", 'name = "来宾"\n[door]\nwidth_mm = 900\n')
    assert read_record("hall.toml", Hall, tables) == Hall(name="来宾", door=Door(width_mm=900))


def test_every_fault_is_told_at_once_with_its_key() -> None:
    faults = faults_of('nam = "x"\n[door]\nwidth_mm = 0\nlockd = true\n')
    assert set(faults) == {"name", "nam", "door.width_mm", "door.lockd"}
    assert faults["name"] == "missing"
    assert "greater than or equal to 1" in faults["door.width_mm"]


def test_unknown_keys_name_the_near_and_the_known() -> None:
    faults = faults_of('name = "x"\ndor = 1\n[door]\nwidth_mm = 1\nlockd = true\n')
    assert faults["dor"] == "unknown key, did you mean door; known: name, door"
    assert faults["door.lockd"] == "unknown key, did you mean locked; known: width_mm, locked"
    assert faults_of('name = "x"\nzzz = 1\n[door]\nwidth_mm = 1\n')["zzz"] == "unknown key; known: name, door"


def test_what_stood_there_is_never_repeated() -> None:
    faults = faults_of('name = 1\n[door]\nwidth_mm = "whsec_top-secret"\n')
    assert set(faults) == {"name", "door.width_mm"}
    assert "top-secret" not in str(faults)


def test_no_toml_at_all() -> None:
    with pytest.raises(DocumentInvalid, match=r"hall\.toml: -: expected TOML"):
        read_toml("hall.toml", "name = ")


def test_the_error_lists_every_fault_on_a_line_of_its_own() -> None:
    faults = (Fault(file="a", key="b", expected="c"), Fault(file="d", key="e", expected="f"))
    assert str(DocumentInvalid(faults)) == "a: b: c\nd: e: f"
