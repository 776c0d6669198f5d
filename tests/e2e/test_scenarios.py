"""Every founding scenario, by the real command: one run of all, then each by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.demo.scenarios import scenarios
from tests.e2e.road import environment

WITHIN_S = 280
Run = tuple[int, Mapping[str, Mapping[str, Any]], str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """``tongban scenario run all --json``: its exit code, what it says of each scenario, what it wrote beside."""
    folder: Path = tmp_path_factory.mktemp("scenarios")
    done = subprocess.run(
        [sys.executable, "-m", "broker.cli", "scenario", "run", "all", "--json", "--folder", str(folder)],
        capture_output=True, text=True, timeout=WITHIN_S, check=False, env=environment(),
    )  # fmt: skip
    told = [orjson.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {each["name"]: each for each in told}, done.stderr


@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_ends_in_its_expected_state_on_both_sides(run: Run, name: str) -> None:
    _, told, notes = run
    assert name in told, notes
    scenario = told[name]
    missing = [f"{check['zh']}: {check['found']}" for check in scenario["checks"] if not check["holds"]]
    assert scenario["fault"] is None, scenario["fault"]
    assert missing == []
    assert scenario["ok"] is True
    cases = {moment["case"].partition("~")[0] for moment in scenario["timeline"]}
    assert cases == set(scenario["cases"]), "a timeline of each case"


def test_the_command_says_by_its_exit_code_that_all_went_well(run: Run) -> None:
    code, told, notes = run
    assert (code, set(told)) == (0, set(scenarios())), notes


def test_a_name_that_is_none_is_told_with_those_that_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "broker.cli", "scenario", "run", "nowhere"],
        capture_output=True, text=True, timeout=60, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert "newborn-hukou" in done.stderr
