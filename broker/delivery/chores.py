"""Tasks that somebody owns: kept while they run, ended together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Final

from broker.telemetry import get_log

_LOG: Final = get_log("delivery")


class Chores:
    """Tasks of one owner. None outlives :meth:`close`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            # Its owner is told nothing: what it worked on is taken up again, or waits for the next start.
            _LOG.error("chore_failed", kind=type(fault).__name__, reason=str(fault))
