"""Back-pressure: intake slows down when the exchange cannot keep up, instead of growing a backlog without end.

Measured: offered more than it carries, a road without this takes in more and delivers less. What a sick
partner leaves on its outbox is no reason to slow anybody else down, so only the ledger's backlog counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from broker.errors import TongbanError
from broker.store.access.engine import Store
from broker.store.view import ledger_view
from broker.telemetry import get_log

RETRY_AFTER_S: Final = 1.0
LOOK_EVERY_S: Final = 1.0
_log = get_log("supervision")

Ends = Callable[[], Awaitable[Mapping[int, int]]]
"""The ledger's end offsets, by partition."""


class Backlog:
    """How many ledger records the view has not taken in, looked at once a second."""

    def __init__(self, store: Store, ends: Ends, *, most: int) -> None:
        self._store = store
        self._ends = ends
        self._most = most
        self.records = 0

    def pressure(self) -> float | None:
        """Seconds that a caller is asked to wait, or None while the exchange keeps up."""
        return RETRY_AFTER_S if self.records > self._most else None

    async def look(self) -> None:
        """Count again. Raises :class:`Unreachable`; the last count then stands."""
        ends = await self._ends()
        positions = await self._store.read(ledger_view.positions, list(ends))
        behind = (end - positions[each][0] if each in positions else end for each, end in ends.items())
        self.records = sum(max(each, 0) for each in behind)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except TongbanError as fault:
                _log.warning("dependency_lost", stage="supervision", reason=str(fault))
            await asyncio.sleep(LOOK_EVERY_S)
