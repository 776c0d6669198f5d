"""What is released never changes: files, ids, subjects, fingerprints."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from broker.core.case.lifecycle import MESSAGE_TYPES
from broker.errors import Corrupt
from broker.log.schema.compatibility import conflicts
from broker.log.schema.schema_rules import PARTNER_FAMILIES, drifts, house_faults, named_types
from broker.log.schema.schemas import SchemaSet
from tests.schemas.examples import ROOT

GOLDEN = sorted(Path(__file__).parent.glob("released-*.toml"))
SCHEMAS = SchemaSet.load()


def _entries(file: Path) -> dict[int, dict[str, Any]]:
    return {entry["id"]: entry for entry in tomllib.loads(file.read_text(encoding="utf-8"))["schema"]}


@pytest.mark.parametrize("release", GOLDEN, ids=lambda file: file.stem)
def test_an_entry_of_any_release_stands_unchanged(release: Path) -> None:
    now = _entries(ROOT / "released.toml")
    for schema_id, entry in _entries(release).items():
        assert now.get(schema_id) == entry


def test_there_is_a_release_to_compare_with() -> None:
    assert GOLDEN


def test_every_type_of_the_life_cycle_has_a_schema_and_no_other() -> None:
    assert {schema.type for schema in SCHEMAS} == set(MESSAGE_TYPES)


def test_every_file_is_released() -> None:
    released = {entry["file"] for entry in _entries(ROOT / "released.toml").values()}
    files = {str(file.relative_to(ROOT)) for file in ROOT.glob("*/*.avsc") if file.parent.name != "shared"}
    assert files == released


def test_ids_start_at_1_and_leave_no_gap() -> None:
    assert [schema.id for schema in SCHEMAS] == list(range(1, len(SCHEMAS) + 1))


def test_subjects_and_files_are_named_after_their_type() -> None:
    for entry in _entries(ROOT / "released.toml").values():
        family, _, name = entry["type"].partition(".")
        record = "".join(word.capitalize() for word in name.split("-"))
        assert entry["subject"] == f"cn.tongban.{family}.{record}"
        suffix = "" if entry["version"] == 1 else f".v{entry['version']}"
        assert entry["file"] == f"{family}/{name}{suffix}.avsc"


def test_versions_of_a_subject_read_each_other() -> None:
    for subject in SCHEMAS.subjects():
        versions = SCHEMAS.versions(subject)
        for schema in versions.values():
            assert conflicts(schema.text, versions.values()) == []


def test_every_schema_keeps_the_rules_of_the_house() -> None:
    for schema in SCHEMAS:
        assert house_faults(schema.model) == []
        assert drifts(json.loads(schema.text), SCHEMAS) == []


def test_what_partners_say_ends_with_the_sealed_field_and_nothing_else_has_one() -> None:
    for schema in SCHEMAS:
        said_by_partners = schema.type.partition(".")[0] in PARTNER_FAMILIES
        assert schema.has_compartment is said_by_partners
        names = [each.name for each in schema.model.fields]
        assert names.count("sealed") == said_by_partners


@pytest.mark.parametrize("shared", sorted(ROOT.glob("shared/*.avsc")), ids=lambda file: file.stem)
def test_shared_types_are_the_same_in_every_file(shared: Path) -> None:
    for name, text in named_types(json.loads(shared.read_text(encoding="utf-8"))).items():
        for schema in SCHEMAS:
            assert named_types(json.loads(schema.text)).get(name, text) == text, schema.type


def test_docs_name_the_field_in_english_and_chinese() -> None:
    for schema in SCHEMAS:
        for each in schema.model.fields:
            assert any("\u4e00" <= character <= "\u9fff" for character in each.doc), (schema.type, each.name)
            assert each.doc[0].isascii(), (schema.type, each.name)


def test_a_changed_file_does_not_load(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "schemas")
    file = tmp_path / "schemas" / "case" / "decided.avsc"
    file.write_text(file.read_text(encoding="utf-8").replace("办结结果", "办结"), encoding="utf-8")
    with pytest.raises(Corrupt, match=r"case/decided\.avsc is not as it was released"):
        SchemaSet.load_from(tmp_path / "schemas")


def test_a_wrong_fingerprint_does_not_load(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "schemas")
    listed = tmp_path / "schemas" / "released.toml"
    first = _entries(listed)[1]["fingerprint"]
    listed.write_text(listed.read_text(encoding="utf-8").replace(first, "0" * 64), encoding="utf-8")
    with pytest.raises(Corrupt, match="subject and fingerprint"):
        SchemaSet.load_from(tmp_path / "schemas")
