"""Cards, end to end: they fall although supervision was down, and once although two workers look.

The item's limit is in seconds; supervision is a process of its own, started when both cards have fallen.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from deploy.kafka.cluster import EmbeddedKafka
from tests.e2e.city import City
from tests.e2e.road import ITEM, A, B, Road, directory_in_force, three_cities, until, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT_S = 3.0
WITHOUT_SUPERVISION = "intake,exchange,delivery"
BOTH_LIGHTS = [("decision", "yellow"), ("decision", "red")]


def cards(city: City, case: str) -> list[tuple[object, object]]:
    """Kind and light of the cards that a city took in, in the order of arrival."""
    found = []
    for effect in city.effects:
        if effect.type == "notice.deadline" and effect.case == case:
            data = effect.event["data"]
            assert isinstance(data, dict)
            found.append((data["kind"], data["light"]))
    return found


async def open_and_accept(a: City, b: City, number: str) -> str:
    case = f"{A}/{number}"
    submitted = a.event("case.submitted", case, f"{number}-s", B, item=ITEM, mode="collected")
    assert (await a.submit_surely(submitted)).status == 202
    await until(lambda: any(each.case == case for each in b.effects), what="the case's arrival")
    accepted = b.event("case.accepted", case, f"{number}-a", A, item=ITEM, mode="collected")
    assert (await b.submit_surely(accepted)).status == 202
    await until(
        lambda: any(each.case == case and each.type == "case.accepted" for each in a.effects),
        what="the acceptance's arrival",
    )
    return case


async def test_both_cards_fall_once_although_supervision_was_down_and_two_workers_look(
    tmp_path: Path,
) -> None:
    async with EmbeddedKafka() as kafka:
        road = Road(tmp_path, kafka.bootstrap, settings="\n[supervision]\ndeadlines_every_s = 0.2\n")
        try:
            async with three_cities(road) as (a, b, _):
                write(
                    tmp_path / "directory" / "items" / f"{ITEM}.toml",
                    f'code = "{ITEM}"\nname = "新生儿入户"\npromised_days = 0\ninstant = true\n'
                    f"minutes = {LIMIT_S / 60}\n",
                )
                await asyncio.to_thread(
                    road.tongban, "directory", "apply", str(tmp_path / "directory"), "--by", "test"
                )
                road.serve(stage=WITHOUT_SUPERVISION)
                await road.ready()
                await directory_in_force(a)
                case = await open_and_accept(a, b, "K-1")
                await asyncio.sleep(LIMIT_S + 1)
                assert cards(a, case) == []

                for _ in range(2):
                    road.serve(stage="supervision")
                for city in (a, b):
                    await until(lambda city=city: len(cards(city, case)) == 2, what="both cards")  # type: ignore[misc]
                listed = await asyncio.to_thread(_listed, road)
                assert [(each["light"], each["issued_at"] is not None) for each in listed] == [("red", True)]

                other = await open_and_accept(a, b, "K-2")
                for city in (a, b):
                    await until(lambda city=city: len(cards(city, other)) == 2, what="both cards")  # type: ignore[misc]
                await asyncio.sleep(1.0)
                for city in (a, b):
                    assert cards(city, case) == BOTH_LIGHTS
                    assert cards(city, other) == BOTH_LIGHTS
                    assert all(count == 1 for count in city.attempts.values())
        finally:
            road.stop()


def _listed(road: Road) -> list[dict[str, object]]:
    """What the command shows; 1 is its exit code while a red card is out."""
    done = road.tongban("deadlines", "list", "--within", "1h", "--json", check=1)
    return [orjson.loads(line) for line in done.stdout.splitlines()]
