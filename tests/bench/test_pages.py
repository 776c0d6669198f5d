"""The page of the benchmarks, the head of a section, and how a bench ends."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from bench import pages
from bench.processes import BenchFailed, measured
from tests.bench.hall_samples import occasion


def test_a_section_takes_the_place_of_its_own_and_of_no_other() -> None:
    page = "# Benchmarks\n\n## One\n\na\n"
    two = pages.with_section(page, "## Two", "## Two\n\nb\n")
    three = pages.with_section(two, "## Three", "## Three\n\nc\n")
    again = pages.with_section(three, "## Two", "## Two\n\nnew\n")
    assert again == "# Benchmarks\n\n## One\n\na\n\n## Two\n\nnew\n\n## Three\n\nc\n"
    assert pages.section_of(again, "## Two") == "## Two\n\nnew\n"
    assert pages.section_of(again, "## Four") == ""


def test_a_page_made_anew_keeps_what_others_made() -> None:
    before = "# Old\n\n## Two\n\nb\n\n## Three\n\nc\n"
    assert (
        pages.kept("# New\n", before, ("## Three", "## Two", "## Four"))
        == "# New\n\n## Three\n\nc\n\n## Two\n\nb\n"
    )


def test_what_is_published_is_kept_and_written_into_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "OUT", tmp_path / "out")
    page = tmp_path / "page.md"
    page.write_text("# Benchmarks\n\n## Two\n\nb\n")
    pages.publish("one", occasion(), "## One", "## One\n\na\n", page)
    assert page.read_text() == "# Benchmarks\n\n## Two\n\nb\n\n## One\n\na\n"
    assert (tmp_path / "out" / "one.md").read_text() == "## One\n\na\n"
    assert orjson.loads((tmp_path / "out" / "one.json").read_bytes())["command"] == "c"
    assert capsys.readouterr().out == "## One\n\na\n\n"


def test_the_head_of_a_section_names_the_command_and_who_else_was_at_work() -> None:
    command, machine = occasion(others=0.5, seconds=7.4).lines(" (quick)")
    assert command == "- command: `c`, d, 7 s (quick)"
    assert machine == (
        "- machine: cores 2; other programs used 0% of it before the run, 50% during it;"
        " **the figures say little**"
    )


def test_a_failed_or_interrupted_bench_ends_with_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setenv("TONGBAN_KAFKA__BOOTSTRAP", "elsewhere:1")

    async def ends(how: type[BaseException] | None) -> str | None:
        if how is not None:
            raise how("the road stands still")
        return os.environ.get("TONGBAN_KAFKA__BOOTSTRAP")

    assert measured("hall", ends(None)) is None, "no setting of the shell's reaches the broker"
    for how, code in ((BenchFailed, 1), (KeyboardInterrupt, 130)):
        with pytest.raises(SystemExit) as ended:
            measured("hall", ends(how))
        assert ended.value.code == code
    assert "hall: failed: the road stands still" in capsys.readouterr().err
