"""Asking a cluster again within seconds: a coordinator that moves, a leader that is being elected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tenacity import AsyncRetrying, retry_if_exception, wait_exponential

from broker.errors import Unreachable
from broker.log.faults import FOREIGN, translated, translating

T = TypeVar("T")
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0


async def patiently(ask: Callable[[], Awaitable[T]], *, doing: str, timeout_s: float) -> T:
    """Ask until there is an answer. Raises what the last fault translates to after ``timeout_s``.

    A fault that asking again cannot heal (no right, a wrong setting) is raised at once.
    """
    last: Exception = TimeoutError()

    def may_pass(fault: BaseException) -> bool:
        nonlocal last
        if not isinstance(fault, FOREIGN):
            return False
        last = fault
        return isinstance(translated(fault, doing), Unreachable)

    async def once() -> T:
        return await ask()

    retrying = AsyncRetrying(
        wait=wait_exponential(_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S),
        retry=retry_if_exception(may_pass),
        reraise=True,
    )
    limit = asyncio.timeout(timeout_s)
    with translating(doing):
        try:
            async with limit:
                return await retrying(once)
        except TimeoutError:
            if limit.expired():
                raise last from None
            raise
