"""A sample of the campaign, its determinism, the store's doubles against the real statements, and mutants' places."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation import sights
from tests.simulation.campaign import print_result
from tests.simulation.history import digest
from tests.simulation.making import make_plan
from tests.simulation.run import simulate
from tests.simulation.safeguards import MUTANTS, Mutant
from tests.simulation.store import InSqlite

HERE = Path(__file__).parents[2]
SEEDS = 150
_DIGEST = re.compile(r"^\d+ [0-9a-f]{64}$", re.MULTILINE)


def command(*arguments: str, hash_seed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=HERE,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_sample_of_seeds_breaks_no_promise_and_sees_what_it_has_to() -> None:
    done = command("--seeds", str(SEEDS), hash_seed="0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"seeds {SEEDS}," in done.stdout
    assert "anomalies in 0 seeds" in done.stdout


def test_a_seed_is_the_same_history_in_every_process() -> None:
    """Whatever hash seed the shell has: sets of texts must not order anything."""
    some = ("--from", "3", "--seeds", "12", "--digests")
    first, second = (command(*some, hash_seed=each) for each in ("1", "random"))
    digests = _DIGEST.findall(first.stdout)
    assert len(digests) == 12
    assert digests == _DIGEST.findall(second.stdout)


@pytest.mark.parametrize("seed", [2, 9, 20])
def test_a_seed_is_the_same_history_twice(seed: int) -> None:
    plan = make_plan(seed)
    assert digest(simulate(plan).history) == digest(simulate(plan).history)


@pytest.mark.parametrize("seed", range(12))
def test_the_doubles_do_what_the_statements_do(seed: int) -> None:
    """The same seed on SQLite, by the store's own functions, makes the same history."""
    databases: list[InSqlite] = []

    def database() -> InSqlite:
        databases.append(InSqlite())
        return databases[-1]

    plan = make_plan(seed)
    in_memory, in_sqlite = simulate(plan).history, simulate(plan, database=database).history
    databases[0].close()
    for number, (ours, theirs) in enumerate(zip(in_memory, in_sqlite, strict=False)):
        assert ours == theirs, f"event {number}"
    assert len(in_memory) == len(in_sqlite)


def test_a_failing_plan_is_told_with_its_steps_and_history(capsys: pytest.CaptureFixture[str]) -> None:
    result = simulate(make_plan(1))
    print_result(result, all_events=True)
    told = capsys.readouterr().out
    assert told.startswith("seed 1: ")
    assert all(str(step) in told for step in result.plan.steps)
    assert "process   started" in told


def test_a_campaign_that_saw_too_little_says_what() -> None:
    assert sights.missing({}, seeds=10) == list(sights.CORE)
    assert sights.missing(dict.fromkeys(sights.ALL, 1), seeds=20_000) == []
    assert "second failure" in sights.missing(dict.fromkeys(sights.CORE, 1), seeds=20_000)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_s_place_is_there_once(mutant: Mutant) -> None:
    assert (HERE / mutant.file).read_text(encoding="utf-8").count(mutant.before) == 1
