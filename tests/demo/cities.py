"""Cities as processes of their own, against the fake exchange."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from deploy.demo.cast import LEAD, Prepared, perform, prepare
from deploy.demo.stage import Stage
from tests.demo.fake_exchange import FakeExchange, Faults


@dataclass(slots=True)
class Town:
    """A fake exchange, four cities around it, and a stage to work them from."""

    prepared: Prepared
    exchange: FakeExchange
    stage: Stage
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    def ledger(self, city: str) -> Path:
        return next(player.ledger for player in self.prepared.players if player.id == city)


@asynccontextmanager
async def a_town(
    folder: Path, faults: Faults | None = None, cast: Sequence[str] = LEAD
) -> AsyncIterator[Town]:
    prepared = prepare(folder, cast)
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(
            FakeExchange(prepared.directory, faults or Faults()).serving()
        )
        processes = await stack.enter_async_context(
            perform(prepared, exchange_url=exchange.url, exchange_keys=[exchange.public_key], pace_s=0)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        stage = Stage(prepared, processes, session, asyncio.Event())
        yield Town(prepared=prepared, exchange=exchange, stage=stage, processes=dict(processes))


async def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait until it holds; fail with what it asked."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition.__qualname__}"
        await asyncio.sleep(0.05)
