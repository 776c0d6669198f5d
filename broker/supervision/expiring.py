"""Agreements that are about to end: seen a month before, as gauges, and as one event a day for each.

What ends unnoticed stops new cases between two cities from one day to the next (``agreement-missing``).
Source: issue 5, 3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from broker.core.catalogue.directory import Agreement, Directory
from broker.core.times import china_day
from broker.telemetry import AGREEMENT_DAYS_LEFT, get_log

LOOK_EVERY_S: Final = 60.0
_log = get_log("supervision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """An agreement with an end. ``days_left``: 0 on its last day; negative once it has ended."""

    agreement: Agreement
    until: date
    days_left: int

    @property
    def name(self) -> str:
        """``<partner>--<partner>``, as its document is called."""
        return "--".join(sorted(self.agreement.partners))


def endings(directory: Directory, today: date) -> list[Ending]:
    """Every agreement that has an end, the first to end first. ``today`` is Asia/Shanghai's."""
    found = [
        Ending(agreement=each, until=each.until, days_left=(each.until - today).days)
        for each in directory.agreements.values()
        if each.until is not None
    ]
    return sorted(found, key=lambda each: (each.until, each.name))


def expiring(directory: Directory, today: date, within_days: int) -> list[Ending]:
    """Those that end within so many days from today, today included; what has ended already is not among them."""
    return [each for each in endings(directory, today) if 0 <= each.days_left <= within_days]


class Agreements:
    """Tells of agreements that are about to end."""

    def __init__(
        self, directory: Callable[[], Directory], now: Callable[[], datetime], *, within_days: int
    ) -> None:
        self._directory = directory
        self._now = now
        self._within_days = within_days
        self._told: tuple[date, frozenset[tuple[str, date]]] = (date.min, frozenset())

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> list[Ending]:
        """Set the gauges; those newly told today are given back: each is told once a day, and when its end changes."""
        directory, today = self._directory(), china_day(self._now())
        AGREEMENT_DAYS_LEFT.clear()
        for each in endings(directory, today):
            AGREEMENT_DAYS_LEFT.labels(each.name).set(each.days_left)
        close = expiring(directory, today, self._within_days)
        told = self._told[1] if self._told[0] == today else frozenset[tuple[str, date]]()
        new = [each for each in close if (each.name, each.until) not in told]
        for each in new:
            _log.warning(
                "agreement_expiring", agreement=each.name, until=str(each.until), days_left=each.days_left
            )
        self._told = (today, told | {(each.name, each.until) for each in new})
        return new
