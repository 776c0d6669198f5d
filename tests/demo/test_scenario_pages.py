"""The scenarios' pages are what the scenarios say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo.scenarios import scenarios

HERE = Path(__file__).parents[2]
PAGES = HERE / "docs" / "scenarios"


def test_the_pages_are_what_the_scenarios_say() -> None:
    done = subprocess.run(
        [sys.executable, "docs/scenario_pages.py", "--check"],
        cwd=HERE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", scenarios())
def test_a_page_tells_place_figures_and_what_is_checked(name: str) -> None:
    scenario = scenarios()[name]
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    for told in (scenario.zh, scenario.en, scenario.place, scenario.happened, scenario.summary):
        assert told in page
    assert f"tongban scenario run {name}\n" in page
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    assert f"]({name}.md)" in index


def test_there_is_no_page_too_many() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == {*scenarios(), "README"}
