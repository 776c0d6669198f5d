from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from broker.delivery.ending.gatherer import Gatherer
from broker.errors import Unreachable
from tests.delivery.fakes import wait_for


async def test_what_comes_during_a_write_goes_into_the_next() -> None:
    written: list[list[int]] = []

    async def write(items: Sequence[int]) -> None:
        written.append(list(items))
        await asyncio.sleep(0.01)

    gatherer = Gatherer[int]("test", write, most=4)
    running = asyncio.create_task(gatherer.run())
    gatherer.add(0)
    await wait_for(lambda: len(written) == 1)
    for n in range(1, 7):
        gatherer.add(n)
    await wait_for(lambda: sum(map(len, written)) == 7)
    assert written == [[0], [1, 2, 3, 4], [5, 6]]
    running.cancel()


async def test_the_same_items_are_written_again_while_the_part_is_away() -> None:
    tries: list[list[str]] = []
    away = True

    async def write(items: Sequence[str]) -> None:
        tries.append(list(items))
        if away:
            raise Unreachable("away")

    gatherer = Gatherer[str]("the ledger", write, wait_most_s=0.05)
    running = asyncio.create_task(gatherer.run())
    gatherer.add("a")
    await wait_for(lambda: len(tries) >= 3)
    gatherer.add("b")
    assert gatherer.trouble == "the ledger: away"
    away = False
    await wait_for(lambda: ["b"] in tries)
    assert tries == [["a"]] * (len(tries) - 1) + [["b"]]
    await wait_for(lambda: gatherer.trouble is None)
    running.cancel()


async def test_another_fault_ends_it() -> None:
    async def write(items: Sequence[str]) -> None:
        raise ValueError

    gatherer = Gatherer[str]("test", write)
    gatherer.add("a")
    with pytest.raises(ValueError, match=r"^$"):
        await asyncio.wait_for(gatherer.run(), 1)
