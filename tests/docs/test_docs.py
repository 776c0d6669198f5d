"""The docs' commands run, their links lead somewhere, and what is made from tables is what the tables say."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.kafka.cluster import EmbeddedKafka
from tests.e2e.road import Road, environment
from tests.mutants import MUTANTS, Mutant

HERE = Path(__file__).parents[2]
PAGES = sorted([*HERE.glob("*.md"), *(HERE / "docs").rglob("*.md")])


def blocks(page: Path, kind: str) -> str:
    found = re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no {kind} blocks"
    return "\n".join(found)


async def test_the_tutorial_runs_with_curl_and_openssl_alone(tmp_path: Path) -> None:
    script = blocks(HERE / "docs" / "tutorial" / "connect-a-city.md", "sh")
    async with EmbeddedKafka() as kafka:
        road = Road(tmp_path, kafka.bootstrap)
        try:
            road.write_config()
            road.tongban("setup")
            road.serve()
            await road.ready()
            variables = environment() | {
                "BROKER": road.url,
                "TONGBAN_CONFIG": str(road.config),
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            }
            done = await asyncio.to_thread(
                subprocess.run, ["bash", "-euo", "pipefail", "-c", script],
                cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
        finally:
            road.stop()
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert '"duplicate":true' in done.stdout
    assert '"state":"delivered"' in done.stdout
    assert "HS-77" in done.stdout


def test_generated_pages_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HERE)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_command_that_the_readme_names_exists() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    for command in sorted(set(re.findall(r"^tongban ([a-z]+)", text, re.MULTILINE))):
        done = subprocess.run(
            [sys.executable, "-m", "broker.cli", command, "--help"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_every_test_and_mutant_that_the_promises_name_exists() -> None:
    text = (HERE / "docs" / "reference" / "promises.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[^`]+\.py)::(\w+)`", text)
    assert len(named) > 20
    for file, name in named:
        assert f"def {name}(" in (HERE / file).read_text(encoding="utf-8"), f"{file}::{name}"
    known = {mutant.name for mutant in MUTANTS}
    listed = {
        each
        for row in re.findall(r"\|([^|\n]*)\|$", text, re.MULTILINE)
        for each in re.findall(r"`([\w-]+)`", row)
    }
    assert listed == known, "the table of promises and tests/mutants.py name the same mutants"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_still_finds_its_place(mutant: Mutant) -> None:
    assert (HERE / mutant.file).read_text(encoding="utf-8").count(mutant.before) == 1
