"""kill -9 between any two steps of the road: nothing lost, nothing out of order, one effect for each message id.

One history over all kills: the broker is killed at every step in turn, and started again at once, while two
cities are being sent cases. What happened is read from the partners' own ledgers.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import time
from functools import partial
from typing import get_args

import pytest

from broker.telemetry import Step
from deploy.kafka.cluster import EmbeddedKafka
from tests.e2e.city import City
from tests.e2e.road import ITEM, A, B, C, Road, three_cities, until

STEPS: tuple[str, ...] = get_args(Step)
WRITERS = 6
MESSAGES_A_CASE = 4


async def open_case(city: City, to: str, number: str, accepted: list[str]) -> None:
    """Say a case's messages one after the other, each until its yes is certain."""
    case = f"{city.id}/{number}"
    for step in range(MESSAGES_A_CASE):
        identity = f"{number}-{step}"
        event = (
            city.event("case.submitted", case, identity, to, item=ITEM, mode="online")
            if step == 0
            else city.event("case.urged", case, identity, to)
        )
        answer = await city.submit_surely(event)
        while answer.body.get("code") in {"caller-unknown", "partner-unknown", "item-unknown"}:
            await asyncio.sleep(0.2)  # the first process has not taken in the directory yet
            answer = await city.submit_surely(event)
        assert answer.status == 202, answer.body
        accepted.append(f"{city.id}_{identity}")


def ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


async def pull_for_ever(city: City) -> None:
    while True:
        try:
            await city.pull(wait_s=1)
        except (AssertionError, OSError, TimeoutError, ValueError):
            await asyncio.sleep(0.1)
        except Exception as fault:
            if "aiohttp" not in type(fault).__module__:
                raise
            await asyncio.sleep(0.1)


async def say_until(stopping: asyncio.Event, city: City, number: int, accepted: list[str]) -> None:
    """One case after the other, until told to stop; a case that was begun is finished."""
    count = 0
    while not stopping.is_set():
        await open_case(city, (B, B, C)[number % 3], f"w{number}-c{count}", accepted)
        count += 1
        await asyncio.sleep(0.2)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("databases", ["sqlite", "postgresql"], indirect=True)
async def test_kill_at_every_step_loses_nothing_doubles_nothing_and_keeps_order(
    tmp_path_factory: pytest.TempPathFactory, databases: tuple[str, str]
) -> None:
    draw = random.Random(20260101)
    accepted: list[str] = []
    stopping = asyncio.Event()
    async with EmbeddedKafka() as kafka:
        road = Road(tmp_path_factory.mktemp("kills"), kafka.bootstrap, *databases, settings="lease_s = 2.0\n")
        try:
            async with three_cities(road) as (a, b, c):
                tasks = [
                    asyncio.create_task(say_until(stopping, a, each, accepted)) for each in range(WRITERS)
                ]
                pulling = asyncio.create_task(pull_for_ever(c))
                for step in STEPS:
                    process = road.serve(crash=f"{step}:{draw.randint(1, 5)}")
                    await until(partial(ended, process), within_s=40, what=f"the kill at {step}")
                    assert process.returncode == -signal.SIGKILL, road.log()[-2000:]
                    road.processes.clear()
                road.serve()
                stopping.set()
                await asyncio.gather(*tasks)
                await judge(a, b, c, accepted)
                pulling.cancel()
        finally:
            road.stop()


async def judge(a: City, b: City, c: City, accepted: list[str]) -> None:
    """By the partners' ledgers: every accepted message once, in order, and a receipt for each."""
    began = time.monotonic()

    def receipts() -> set[str]:
        return {
            str(effect.event["correlationid"]) for effect in a.effects if effect.type == "receipt.delivered"
        }

    await until(lambda: len(receipts()) >= len(accepted), within_s=90, what="a receipt for every message")
    names = [effect.name for city in (b, c) for effect in city.effects]
    assert sorted(names) == sorted(accepted), "one effect for each accepted message, and no phantom"
    assert receipts() == {name.replace("_", "/", 1) for name in accepted}
    for city in (b, c):
        said: dict[str, list[str]] = {}
        for effect in city.effects:
            said.setdefault(effect.case, []).append(effect.name)
        for case, order in said.items():
            number = case.partition("/")[2]
            assert order == [f"{A}_{number}-{step}" for step in range(MESSAGES_A_CASE)], f"order of {case}"
    receipt_names = [effect.name for effect in a.effects if effect.type == "receipt.delivered"]
    assert len(receipt_names) == len(set(receipt_names)), "each receipt once"
    assert b.bad_signatures == 0
    attempts = sum(b.attempts.values())
    print(
        f"\nkills {len(STEPS)}, messages {len(accepted)}, attempts per effect at B "
        f"{attempts / len(b.effects):.3f}, settled {time.monotonic() - began:.1f} s after the last start"
    )
