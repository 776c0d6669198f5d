"""Whether the broker is alive and ready: one sentence for each dependency, never a bare light."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from broker.telemetry import DEPENDENCY_UP

Check = Callable[[], Awaitable[str | None]]
"""None while the dependency answers, else the sentence that says what it waits for."""

CHECK_DEADLINE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One dependency: whether it is ready, and the sentence."""

    dependency: str
    ready: bool
    sentence: str


class Health:
    """Asks every dependency, all at once and each within a deadline: one that hangs does not hide the rest."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)

    async def findings(self) -> list[Finding]:
        names = list(self._checks)
        sentences = await asyncio.gather(*(self._ask(self._checks[name]) for name in names))
        found = [
            Finding(dependency=name, ready=sentence is None, sentence=sentence or "answers")
            for name, sentence in zip(names, sentences, strict=True)
        ]
        for each in found:
            DEPENDENCY_UP.labels(each.dependency).set(each.ready)
        return found

    async def _ask(self, check: Check) -> str | None:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(check(), CHECK_DEADLINE_S)
        return f"does not answer within {CHECK_DEADLINE_S:g} s"
