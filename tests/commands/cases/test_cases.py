"""``tongban case show``, on a view that the exchange has made: what a clerk reads, and what a program reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from broker.commands.cases import cases
from broker.core.ids import CaseId
from tests.supervision.card_world import CASE, MONDAY, B, World, documents

WAITING = CaseId("451300/WAITING")
WITH_STEP = documents(extra='[[steps]]\ncode="CS"\nname="初审"\ndays=9')


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World.open(tmp_path, WITH_STEP) as made:
        yield made


async def show(tmp_path: Path, case: CaseId, *words: str) -> Result:
    """The command, in a thread of its own: it runs an event loop."""
    config = tmp_path / "tongban.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/view.db"\n', encoding="utf-8")
    arguments = ["show", case, *words, "--config", str(config)]
    return await asyncio.to_thread(CliRunner(env={"COLUMNS": "160"}).invoke, cases.app, arguments)


async def lines(tmp_path: Path, case: CaseId) -> dict[str, str]:
    shown = await show(tmp_path, case)
    assert shown.exit_code == 0, shown.output
    cells = [line.split("│") for line in shown.output.splitlines() if line.startswith("│")]
    return {each[1].strip(): each[2].strip() for each in cells}


async def test_a_clerk_reads_what_was_promised_and_what_falls_next_in_chinas_time(
    world: World, tmp_path: Path
) -> None:
    world.say("case.submitted")
    world.say("case.accepted", B)
    world.at(day=3)
    world.say("case.paused", B)
    world.at(day=5)
    world.say("case.resumed", B)
    world.say("case.extended", B)
    await world.judge()
    world.at(day=6, hour=12)
    shown = await lines(tmp_path, CASE)
    assert shown["opened_at"] == "2026-03-02 12:00:00"
    assert shown["item"] == "ruhu 新生儿入户"
    assert shown["promised"] == "5 working days from 2026-03-02, 3 more with approval, 2 stood still"
    assert shown["due"] == "2026-03-16"
    assert shown["now"].startswith("late by")
    assert (
        shown["next card"]
        == "yellow for 办结 decision at 2026-03-13 00:00:00, due 2026-03-16, at 430423's side"
    )
    assert "clock" not in shown


async def test_a_case_that_stands_still_says_since_when(world: World, tmp_path: Path) -> None:
    world.say("case.submitted")
    world.say("case.accepted", B)
    world.at(day=3)
    world.say("case.paused", B)
    await world.judge()
    shown = await lines(tmp_path, CASE)
    assert shown["stands still since"] == "2026-03-03 12:00:00"
    assert "next card" not in shown


async def test_before_acceptance_what_falls_next_is_told_too(world: World, tmp_path: Path) -> None:
    world.say("case.submitted", case=WAITING)
    await world.judge()
    assert (await lines(tmp_path, WAITING))["next card"] == (
        "yellow for 受理 acceptance at 2026-03-06 00:00:00, due 2026-03-09, at 430423's side"
    )
    facts = json.loads((await show(tmp_path, WAITING, "--json")).output)
    assert facts["standing"]["next"]["kind"] == "acceptance"


async def test_a_program_gets_the_state_as_it_is(world: World, tmp_path: Path) -> None:
    world.say("case.submitted")
    world.say("case.accepted", B)
    world.say("case.decided", B, decided_at=MONDAY)
    await world.judge()
    facts = json.loads((await show(tmp_path, CASE, "--json")).output)
    assert facts["clock"]["days"] == 5
    assert facts["opened_at"] == "2026-03-02T04:00:00Z"
    assert (facts["standing"]["late"], facts["standing"]["due_on"]) == (False, "2026-03-09")
    assert (await lines(tmp_path, CASE))["at the decision"] == "5 working days left"


async def test_the_cards_that_are_out_are_told_in_words(world: World, tmp_path: Path) -> None:
    world.say("case.submitted")
    world.say("case.accepted", B)
    await world.judge()
    world.at(day=13, hour=0)
    await world.issue()
    shown = await lines(tmp_path, CASE)
    assert shown["cards"] == "yellow for 办结 decision, red for 办结 decision, yellow for 环节 step CS"
    assert shown["now"].startswith("late by")


async def test_no_such_case(world: World, tmp_path: Path) -> None:
    await world.judge()
    shown = await show(tmp_path, CaseId("451300/none"))
    assert shown.exit_code == 1
    assert "replay --case 451300/none" in shown.output


@pytest.mark.parametrize("words", [(), ("--json",)])
async def test_what_is_no_case_at_all_is_wrong_use(
    world: World, tmp_path: Path, words: tuple[str, ...]
) -> None:
    await world.judge()
    shown = await show(tmp_path, CaseId("no-case"), *words)
    assert shown.exit_code != 0
    assert shown.exception is not None
