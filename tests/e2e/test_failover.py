"""Three Kafka nodes, a leader killed under load: nothing lost, nothing doubled at the partners, no false yes."""

from __future__ import annotations

import asyncio
import time

import pytest

from deploy.kafka.cluster import EmbeddedKafka
from tests.e2e.city import City
from tests.e2e.road import ITEM, A, B, Road, directory_in_force, three_cities, until

WRITERS = 8
LOAD_S = 14.0


async def say_until(city: City, number: int, end: float, accepted: list[str]) -> None:
    """One case after another, two messages each; an answer that was no clear yes or no is asked again."""
    count = 0
    while time.monotonic() < end:
        case = f"{A}/w{number}-{count}"
        for step, message_type in enumerate(("case.submitted", "case.urged")):
            identity = f"w{number}-{count}-{step}"
            attributes = {"item": ITEM, "mode": "online"} if step == 0 else {}
            answer = await city.submit_surely(city.event(message_type, case, identity, B, **attributes))
            assert answer.status == 202, answer.body
            accepted.append(f"{A}_{identity}")
        count += 1


@pytest.mark.timeout(240)
async def test_a_leader_killed_under_load_loses_nothing_and_doubles_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    accepted: list[str] = []
    async with EmbeddedKafka(nodes=3) as kafka:
        road = Road(tmp_path_factory.mktemp("failover"), kafka.bootstrap, replicas=3)
        try:
            async with three_cities(road) as (a, b, _):
                road.serve()
                await road.ready()
                await directory_in_force(a)
                end = time.monotonic() + LOAD_S
                writers = [
                    asyncio.create_task(say_until(a, number, end, accepted)) for number in range(WRITERS)
                ]
                await asyncio.sleep(2)
                for node in (1, 2):
                    await kafka.kill_node(node)
                    await asyncio.sleep(3)
                    await kafka.start_node(node)
                await asyncio.gather(*writers)
                await until(
                    lambda: sum(effect.type == "receipt.delivered" for effect in a.effects) >= len(accepted),
                    within_s=60,
                    what="a receipt for every yes",
                )
                assert sorted(effect.name for effect in b.effects) == sorted(accepted)
                for number in range(WRITERS):
                    mine = [effect.name for effect in b.effects if effect.case.startswith(f"{A}/w{number}-")]
                    assert len(mine) == len(set(mine))
                print(
                    f"\n{len(accepted)} messages, {sum(b.attempts.values()) - len(b.effects)} repeated attempts"
                )
        finally:
            road.stop()


@pytest.mark.timeout(120)
async def test_without_a_quorum_the_answer_is_503_and_never_a_false_yes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with EmbeddedKafka() as kafka:
        road = Road(tmp_path_factory.mktemp("away"), kafka.bootstrap, settings="write_deadline_s = 3.0\n")
        try:
            async with three_cities(road) as (a, b, _):
                road.serve()
                await road.ready()
                await directory_in_force(a)
                await kafka.kill_node(1)
                event = a.event("case.submitted", f"{A}/away", "away", B, item=ITEM, mode="online")
                answer = await a.submit(event)
                assert (answer.status, answer.body["code"]) == (503, "not-durable")
                async with a.session.get(f"{road.url}/readyz") as ready:
                    assert ready.status == 503
                    sentences = {
                        each["dependency"]: each["sentence"] for each in (await ready.json())["dependencies"]
                    }
                    assert sentences["kafka"] != "answers"
                await kafka.start_node(1)
                assert (await a.submit_surely(event)).status == 202
                await until(lambda: [effect.name for effect in b.effects] == [f"{A}_away"], within_s=60)
        finally:
            road.stop()
