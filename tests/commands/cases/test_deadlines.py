"""``tongban deadlines list`` and ``tongban directory expiring``, on a view that the exchange has made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import Connection, text
from typer.testing import CliRunner, Result

from broker.commands.cases import deadlines
from broker.commands.cases.deadlines import ahead
from broker.commands.catalogue import directory
from broker.core.ids import CaseId
from broker.core.message import SHANGHAI
from broker.errors import WrongUse
from broker.store.access.engine import Store
from tests.supervision.card_world import A, B, World, documents

GROUPS = {"deadlines": deadlines.app, "directory": directory.app}
LATE, SOON = CaseId(f"{A}/LATE"), CaseId(f"{A}/SOON")
TODAY = datetime.now(SHANGHAI).date()


def agreed() -> dict[str, str]:
    """Answers within 30 minutes; the agreement ends in twelve days."""
    of = documents(days=0, extra="instant=true\nminutes=30")
    name = f"agreements/{B}--{A}.toml"
    return of | {name: f'{of[name]}until={TODAY + timedelta(days=12)}\ncontacts={{"{A}"="窗口 07"}}\n'}


@pytest_asyncio.fixture
async def config(tmp_path: Path) -> AsyncIterator[Path]:
    """One case is late and has both cards; another has 25 minutes left, and nothing has fallen."""
    async with World.open(tmp_path, agreed()) as world:
        for case, minutes in ((LATE, 60), (SOON, 5)):
            world.ledger.now = datetime.now(UTC) - timedelta(minutes=minutes)
            world.say("case.submitted", case=case)
            world.say("case.accepted", B, case=case)
        await world.judge()
        world.ledger.now = datetime.now(UTC)
        await world.issue()
        path = tmp_path / "tongban.toml"
        path.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/view.db"\n', encoding="utf-8")
        yield path


async def invoke(config: Path, group: str, *words: str) -> Result:
    """The command, in a thread of its own: it runs an event loop."""
    return await asyncio.to_thread(CliRunner().invoke, GROUPS[group], [*words, "--config", str(config)])


async def run(config: Path, *words: str, code: int = 0) -> Result:
    result = await invoke(config, *words)
    assert result.exit_code == code, result.output
    return result


async def listed(config: Path, *words: str, code: int = 1) -> list[tuple[object, object, bool]]:
    """Case, light, and whether the card is out."""
    result = await run(config, "deadlines", "list", *words, "--json", code=code)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return [(row["case"], row["light"], row["issued_at"] is not None) for row in rows]


async def test_what_is_out_comes_first_then_what_falls_next(config: Path) -> None:
    assert await listed(config, "--within", "15min") == [(LATE, "red", True), (SOON, "yellow", False)]
    assert await listed(config, "--within", "2h") == [
        (LATE, "red", True),
        (SOON, "yellow", False),
        (SOON, "red", False),
    ]
    assert await listed(config, "--within", "1min") == [(LATE, "red", True)]


async def test_by_colour_and_partner(config: Path) -> None:
    assert await listed(config, "--light", "yellow", "--within", "1h", code=0) == [
        (LATE, "yellow", True),
        (SOON, "yellow", False),
    ]
    assert await listed(config, "--partner", "350200", code=0) == []
    assert len(await listed(config, "--partner", B)) == 3


async def test_for_a_person(config: Path) -> None:
    result = await run(config, "deadlines", "list", "--within", "1h", code=1)
    assert "红牌" in result.stdout
    assert "黄牌" in result.stdout
    nothing = await run(config, "deadlines", "list", "--partner", "350200", code=0)
    assert "no card is out" in nothing.stdout


async def test_planned_anew_after_another_edition_of_the_holidays(config: Path) -> None:
    url = f"sqlite:///{config.parent / 'view.db'}"
    store = await Store.open(url, create=False)
    try:
        await store.call(_late_plan)
        assert await listed(config, "--within", "1h") == [(LATE, "red", True)]
        result = await run(config, "deadlines", "replan", "--json")
        assert json.loads(result.stdout) == {"cases": 1, "replanned": 1}
    finally:
        await store.close()
    assert (SOON, "yellow", False) in await listed(config, "--within", "1h")
    result = await run(config, "deadlines", "replan")
    assert result.stdout == "1 cases with a limit looked at, 0 planned anew\n"


def _late_plan(connection: Connection) -> None:
    connection.execute(text("UPDATE case_view SET falls_at = falls_at + 86400000 WHERE falls_at IS NOT NULL"))


async def test_wrong_use_is_told(config: Path) -> None:
    for words in (["--within", "soon"], ["--partner", "Laibin"]):
        result = await invoke(config, "deadlines", "list", *words)
        assert isinstance(result.exception, WrongUse)
        assert words[0] in str(result.exception)


async def test_an_agreement_that_ends_soon_is_shown(config: Path) -> None:
    result = await run(config, "directory", "expiring", "--json", code=1)
    row = json.loads(result.stdout)
    assert row["days_left"] == 12
    assert row["contacts"] == f"{A}: 窗口 07"
    assert (await run(config, "directory", "expiring", "--within", "11")).stdout.startswith("no agreement")


@pytest.mark.parametrize(("within", "seconds"), [("90min", 5400), ("12h", 43_200), ("3d", 259_200)])
def test_how_far_ahead(within: str, seconds: int) -> None:
    assert ahead(within).total_seconds() == seconds
