"""``tongban schema``: what it prints and how it exits."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from broker.commands.catalogue.schema import app
from broker.errors import WrongUse
from tests.schemas.examples import ROOT

RATED = ROOT / "case" / "rated.avsc"


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def changed(tmp_path: Path, old: str, new: str) -> Path:
    file = tmp_path / "rated.avsc"
    file.write_text(RATED.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return file


def next_version(tmp_path: Path) -> Path:
    document = json.loads(RATED.read_text(encoding="utf-8"))
    document["fields"].insert(0, {"name": "visit", "type": ["null", "string"], "default": None, "doc": "v"})
    file = tmp_path / "rated.v2.avsc"
    file.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return file


def test_list_names_every_schema() -> None:
    code, text = run("list", "--json")
    assert code == 0
    assert lines(text)[0]["type"] == "case.submitted"
    assert [row["id"] for row in lines(text)] == list(range(1, len(lines(text)) + 1))
    assert run("list")[0] == 0


def test_list_of_an_unknown_type_finds_nothing() -> None:
    assert run("list", "--type", "case.unheard", "--json") == (1, "")


def test_check_passes_what_is_released() -> None:
    code, text = run("check", str(RATED), str(ROOT / "case" / "decided.avsc"))
    assert code == 0
    assert text.count("as released") == 2


def test_check_prints_the_entry_of_a_next_version(tmp_path: Path) -> None:
    code, text = run("check", str(next_version(tmp_path)))
    assert code == 0
    entry = tomllib.loads(text.partition("\n")[2])["schema"][0]
    assert (entry["type"], entry["version"], entry["subject"]) == ("case.rated", 2, "cn.tongban.case.Rated")


def test_check_finds_what_stands_against_a_file(tmp_path: Path) -> None:
    code, text = run("check", "--json", str(RATED), str(changed(tmp_path, '"score"', '"stars"')))
    assert code == 1
    assert [bool(row["faults"]) for row in lines(text)] == [False, True]


@pytest.mark.parametrize("text", ["", "[" * 100_000, '{"type": "array", "items": "null"}'])
def test_check_survives_any_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "any.avsc"
    file.write_text(text)
    assert run("check", str(file))[0] == 1


def test_diff_shows_fields_that_differ(tmp_path: Path) -> None:
    assert run("diff", str(RATED)) == (0, f"{RATED}: the same fields as version 1\n")
    code, text = run("diff", "--json", str(next_version(tmp_path)))
    assert code == 1
    assert [(row["field"], row["kind"]) for row in lines(text)] == [("visit", "added")]
    assert run("diff", str(next_version(tmp_path)))[0] == 1


def test_what_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="No such file"):
        run("check", str(tmp_path / "none.avsc"))
    with pytest.raises(WrongUse, match="no such released version"):
        run("diff", "--version", "9", str(RATED))
    with pytest.raises(WrongUse):
        run("diff", str(changed(tmp_path, "{", "")))
