"""The view can be dropped: rebuilt from the ledger it is the same, byte for byte, and the road goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy.kafka.cluster import EmbeddedKafka
from tests.e2e.city import City
from tests.e2e.road import ITEM, A, B, C, Road, directory_in_force, three_cities, until

CASES = 30


async def say_something_of_everything(a: City, b: City) -> None:
    """Cases that go on, one that is rejected, one for a mailbox, one refused, one repeated."""
    for number in range(CASES):
        case, to = f"{A}/rb-{number}", C if number % 10 == 9 else B
        event = a.event("case.submitted", case, f"rb-{number}", to, item=ITEM, mode="collected")
        if number == 5:
            b.failures.append(422)
        assert (await a.submit_surely(event)).status == 202
        if number == 5:
            await until(lambda: any(effect.type == "receipt.rejected" for effect in a.effects))
        assert (await a.submit_surely(event)).status == 202
        if to == B:
            await a.submit_surely(a.event("case.urged", case, f"rb-{number}-urged", B))
    await a.submit_surely(a.event("case.rated", f"{A}/rb-0", "rb-rated", B))


def settled(a: City) -> int:
    return sum(effect.type.startswith("receipt.") for effect in a.effects)


@pytest.mark.timeout(200)
async def test_rebuild_after_deleting_the_database_gives_the_same_view_byte_for_byte(tmp_path: Path) -> None:
    async with EmbeddedKafka() as kafka:
        road = Road(tmp_path, kafka.bootstrap)
        try:
            async with three_cities(road) as (a, b, c):
                road.serve()
                await road.ready()
                await directory_in_force(a)
                await say_something_of_everything(a, b)
                expected = 2 * CASES - 2 * (CASES // 10)
                await until(lambda: settled(a) >= expected, what="receipts for what was pushed")
                await asyncio.sleep(0.5)
                busy = road.tongban("rebuild", check=2)
                assert "stop" in busy.stderr
                road.stop()
                before = road.tongban("export").stdout
                for file in tmp_path.glob("tongban.db*"):
                    file.unlink()
                done = road.tongban("rebuild")
                assert "rebuilt" in done.stdout
                assert road.tongban("export").stdout == before
                assert before.count("\n") > 2 * CASES
                await the_road_goes_on(road, a, b, c)
        finally:
            road.stop()


async def the_road_goes_on(road: Road, a: City, b: City, c: City) -> None:
    """What lay in the mailbox is there again, nothing has a second effect, new cases flow."""
    effects = len(b.effects)
    road.serve()
    await road.ready()
    await directory_in_force(a)
    pulled = 0
    for _ in range(40):
        pulled += await c.pull(wait_s=1)
        if pulled >= CASES // 10:
            break
    assert {effect.case for effect in c.effects} == {f"{A}/rb-{number}" for number in range(9, CASES, 10)}
    event = a.event("case.submitted", f"{A}/after", "after", B, item=ITEM, mode="collected")
    assert (await a.submit_surely(event)).status == 202
    await until(lambda: len(b.effects) > effects)
    await asyncio.sleep(1)
    assert [effect.case for effect in b.effects[effects:]] == [f"{A}/after"]
    assert len({effect.name for effect in b.effects}) == len(b.effects)
