"""Cases, cards, deadlines, figures and findings follow from the ledger alone: without the database they are the same."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from broker.core.message import SHANGHAI
from deploy.kafka.cluster import EmbeddedKafka
from tests.e2e.city import City
from tests.e2e.road import ITEM, A, B, Road, directory_in_force, three_cities, until, write

SECONDS = "xianshi-beian"
"""An item whose limit is a second and a half, so that its cards fall while the test looks."""
CASES = 12


def said_of(city: City, type_: str, case: str, to: str, tag: str = "", **data: object) -> dict[str, object]:
    """An event of the case with the type's example as its data, changed in ``data``."""
    identity = f"{case.rpartition('/')[2]}-{type_.rpartition('.')[2]}{tag}"
    event = city.event(type_, case, identity, to, item=SECONDS if "/s-" in case else ITEM, mode="collected")
    example = event["data"]
    assert isinstance(example, dict)
    event["data"] = {**example, **data}
    return event


async def a_life(a: City, b: City, number: int) -> None:
    """From application to rating; some charged, some badly rated, one decided before it was accepted."""
    case = f"{A}/l-{number}"
    await say(a, b, "case.submitted", case)
    if number == 3:
        await say(b, a, "case.decided", case, expected=(409,), tag="-early")
    await say(b, a, "case.accepted", case, responsible_number=f"HS-{number}")
    if number % 4 == 0:
        fee: dict[str, Any] = {"notice_number": f"JK-{number}", "amount_fen": 1500}
        await say(b, a, "fee.requested", case, **fee)
        await say(a, b, "fee.paid", case, channel="银行", **fee)
    await say(b, a, "case.decided", case, outcome="granted")
    await say(b, a, "case.result-issued", case, courier_number=None)
    await say(a, b, "case.delivered", case, courier_number=None)
    await say(a, b, "case.rated", case, score=1 if number == 5 else 5)


async def say(
    speaker: City,
    to: City,
    type_: str,
    case: str,
    *,
    expected: tuple[int, ...] = (202,),
    tag: str = "",
    **data: object,
) -> None:
    before = len(to.effects)
    answer = await speaker.submit_surely(said_of(speaker, type_, case, to.id, tag, **data))
    assert answer.status in expected, answer.body
    if expected == (202,):
        await until(lambda: len(to.effects) > before, what=f"{type_} at {to.id}")


def cards_of(city: City) -> int:
    return sum(each.type == "notice.deadline" for each in city.effects)


def documents(folder: Path) -> None:
    write(
        folder / "items" / f"{SECONDS}.toml",
        f'code = "{SECONDS}"\nname = "限时备案"\npromised_days = 0\ninstant = true\nminutes = 0.025\n',
    )
    for pair in (f"{B}--{A}", f"350200--{A}", f"350200--{B}"):
        path = folder / "agreements" / f"{pair}.toml"
        path.write_text(path.read_text(encoding="utf-8").replace(f'["{ITEM}"]', f'["{ITEM}", "{SECONDS}"]'))


async def history(road: Road, a: City, b: City) -> None:
    folder = road.folder / "directory"
    documents(folder)
    await asyncio.to_thread(road.tongban, "directory", "apply", str(folder), "--by", "test")
    road.serve()
    await road.ready()
    await directory_in_force(a)
    for number in range(CASES):
        await a_life(a, b, number)
    for number in range(3):
        await say(a, b, "case.submitted", f"{A}/s-{number}")
        await say(b, a, "case.accepted", f"{A}/s-{number}", promised_days=0)
    await until(
        lambda: cards_of(a) == cards_of(b) == 6, what="a yellow and a red card of each, at both sides"
    )
    listed = road.folder / "list.csv"
    listed.write_text("number,item,decided_on,fee_fen\nHS-1,,,\nHS-UNKNOWN,,,4200\n", encoding="utf-8")
    month = datetime.now(SHANGHAI).strftime("%Y-%m")
    actor = ("--month", month, "--partner", B, "--by", "核对员", "--reason", "月度对账")
    await asyncio.to_thread(road.tongban, "audit", "reconcile", str(listed), *actor)
    await asyncio.sleep(1)


def derived(road: Road, folder: Path) -> Mapping[str, object]:
    """What people are told from the view: all of it, the deadlines, the findings, the figures."""
    month = datetime.now(SHANGHAI).strftime("%Y-%m")
    road.tongban("figures", "--month", month, "--to", str(folder), "--small", "1")
    return {
        "view": road.tongban("export").stdout,
        "deadlines": road.tongban("deadlines", "list", "--within", "400d", "--json", check=None).stdout,
        "findings": road.tongban("audit", "findings", "--json", check=1).stdout,
        "figures": (folder / "figures.csv").read_bytes(),
        "parquet": (folder / "figures.parquet").read_bytes(),
    }


@pytest.mark.timeout(200)
async def test_cases_cards_deadlines_figures_and_findings_are_the_same_without_the_database(
    tmp_path: Path,
) -> None:
    async with EmbeddedKafka() as kafka:
        road = Road(tmp_path, kafka.bootstrap)
        try:
            async with three_cities(road) as (a, b, _):
                await history(road, a, b)
                road.stop()
                before = derived(road, tmp_path / "before")
                for file in tmp_path.glob("tongban.db*"):
                    file.unlink()
                road.tongban("rebuild")
                after = derived(road, tmp_path / "after")
        finally:
            road.stop()
    for name, was in before.items():
        assert after[name] == was, name
    findings = str(before["findings"])
    for kind in ("decided-before-accepted", "outside-the-exchange"):
        assert kind in findings
    assert str(before["view"]).count('"table":"card"') == 6
