"""Many small writes made few: what comes while one write is under way goes into the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from broker.errors import Unreachable
from broker.telemetry import get_log

T = TypeVar("T")
_LOG: Final = get_log("delivery")
_SMALL: Final = 100


class Gatherer(Generic[T]):
    """One write at a time, in order, repeated until it succeeds while its part is away.

    ``write`` is given what has gathered, at most ``most`` items, and raises Unreachable to be asked again with
    the same items. ``gather_s``: how long the first few items wait for company, seconds. ``part`` names what is written to, for the log and :attr:`trouble`.
    """

    def __init__(
        self,
        part: str,
        write: Callable[[Sequence[T]], Awaitable[None]],
        *,
        most: int = 2000,
        gather_s: float = 0.0,
        wait_most_s: float = 5.0,
    ) -> None:
        self._part = part
        self._write = write
        self._most = most
        self._gather_s = gather_s
        self._waiting: list[T] = []
        self._some = asyncio.Event()
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unreachable),
            wait=wait_random_exponential(multiplier=0.1, max=wait_most_s),
            before_sleep=self._note,
            reraise=True,
        )
        self.trouble: str | None = None
        """Why nothing can be written now, as a sentence; None while writing works."""

    def add(self, item: T) -> None:
        self._waiting.append(item)
        if not self._some.is_set():
            self._some.set()

    async def run(self) -> None:
        """Write what gathers until cancelled."""
        while True:
            await self._some.wait()
            if self._gather_s and len(self._waiting) < _SMALL:
                await asyncio.sleep(self._gather_s)
            items = self._waiting[: self._most]
            del self._waiting[: self._most]
            if not self._waiting:
                self._some.clear()
            try:
                await self._write(items)
            except Unreachable as away:
                self._begin_trouble(str(away))
                await self._retrying(self._write, items)
            self._end_trouble()

    def _note(self, state: RetryCallState) -> None:
        if state.outcome is not None and state.outcome.failed:
            self.trouble = f"{self._part}: {state.outcome.exception()}"

    def _begin_trouble(self, reason: str) -> None:
        self.trouble = f"{self._part}: {reason}"
        _LOG.warning("dependency_lost", dependency=self._part, reason=reason)

    def _end_trouble(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            _LOG.info("dependency_found", dependency=self._part)
