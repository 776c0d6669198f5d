"""The virtual loop: time, order, deadlocks, and processes that die and freeze."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from tests.simulation.loop import OWNER, Deadlock, Livelock, Process, State, VirtualLoop


def begin(loop: VirtualLoop, process: Process, work: Coroutine[Any, Any, None]) -> None:
    context = contextvars.Context()
    context.run(OWNER.set, process)
    loop.create_task(work, context=context)


def test_days_pass_in_milliseconds_and_timers_in_their_order() -> None:
    loop, woken = VirtualLoop(Random(1)), list[float]()

    async def sleeper(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append(loop.time())

    async def main() -> None:
        await asyncio.gather(*(sleeper(each) for each in (86400.0 * 3, 5.0, 0.001)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()

    began = time.monotonic()
    loop.run(main())
    assert time.monotonic() - began < 1
    assert woken == [0.001, 5.0, 259200.0]
    assert loop.time() == 259260.0


def test_the_order_of_what_is_ready_is_the_seeds() -> None:
    def order(seed: int, disorder: float) -> list[int]:
        loop, found = VirtualLoop(Random(seed), disorder=disorder), list[int]()

        async def main() -> None:
            for each in range(20):
                loop.call_soon(found.append, each)
            await asyncio.sleep(1)

        loop.run(main())
        return found

    assert order(1, 0.0) == order(2, 0.0) == list(range(20))
    assert order(1, 0.5) == order(1, 0.5)
    assert order(1, 0.5) != order(2, 0.5)
    assert sorted(order(3, 0.5)) == list(range(20))


def test_waiting_for_nothing_is_a_deadlock_and_turning_in_a_circle_a_livelock() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    async def turn() -> None:
        while True:
            await asyncio.sleep(0)

    loop = VirtualLoop(Random(1))
    process = Process("w")
    with pytest.raises(Deadlock):
        loop.run(wait())
    with pytest.raises(Livelock):
        VirtualLoop(Random(1), most_steps=1000).run(turn())
    loop.clear_up([process])


def test_a_killed_process_does_nothing_more_and_a_frozen_one_later() -> None:
    loop, done = VirtualLoop(Random(1)), list[tuple[str, float]]()
    dead, frozen = Process("dead"), Process("frozen")

    async def work(process: Process) -> None:
        try:
            while True:
                await asyncio.sleep(1)
                done.append((process.name, loop.time()))
        finally:
            done.append((f"{process.name} ended", loop.time()))

    async def main() -> None:
        begin(loop, dead, work(dead))
        begin(loop, frozen, work(frozen))
        await asyncio.sleep(2.5)
        dead.state, frozen.state = State.DEAD, State.FROZEN
        await asyncio.sleep(10)
        loop.thaw(frozen)
        await asyncio.sleep(1.2)

    loop.run(main())
    assert done == [
        ("dead", 1),
        ("frozen", 1),
        ("dead", 2),
        ("frozen", 2),
        ("frozen", 12.5),
        ("frozen", 13.5),
    ]
    loop.clear_up([dead, frozen])
    assert {what for what, _ in done[6:]} == {"dead ended", "frozen ended"}
    assert loop.faults == []


def test_what_nobody_catches_is_kept() -> None:
    loop = VirtualLoop(Random(1))

    async def main() -> None:
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    loop.run(main())
    assert [type(each["exception"]) for each in loop.faults] == [ZeroDivisionError]


def test_threads_are_refused() -> None:
    async def main() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(NotImplementedError):
        VirtualLoop(Random(1)).run(main())
