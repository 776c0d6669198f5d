"""The stage: the windows of the cities, for a scenario to work, and their ledgers, for it to read."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping

import aiohttp

from deploy.demo.cast import CityEnded, Prepared, log_end
from deploy.demo.checks import Books, Ledgers
from deploy.demo.forms import Applicant

_LOOK_EVERY_S = 0.1


class Stage:
    """Cities at work. ``stop`` set: whoever waits here is let go, with what there is."""

    def __init__(
        self,
        prepared: Prepared,
        processes: Mapping[str, Process],
        session: aiohttp.ClientSession,
        stop: asyncio.Event,
    ) -> None:
        self.prepared = prepared
        self.stop = stop
        self._players = {player.id: player for player in prepared.players}
        self._processes = processes
        self._session = session

    def ledgers(self) -> Ledgers:
        """Every city's ledger as it now is."""
        return {player.id: Books.read(player.ledger) for player in self.prepared.players}

    async def open_case(self, city: str, *, to: str, item: str, mode: str, applicant: Applicant) -> str:
        """A window takes an application in. Returns the case id on the exchange."""
        wish = {"to": to, "item": item, "mode": mode, "applicant": applicant.to_json()}
        return f"{city}/{(await self._ask(city, '/cases', wish))['number']}"

    async def urge(self, case: str) -> None:
        """The opening city's window urges the other on (催办)."""
        city, _, number = case.partition("/")
        await self._ask(city, f"/cases/{number}/urge", {})

    async def repeat(self, city: str, message_id: str) -> dict[str, object]:
        """A city submits one of its messages once more. Returns what the exchange answered."""
        return await self._ask(city, f"/messages/{message_id}/repeat", {})

    async def outage(self, city: str, seconds: float) -> None:
        """A city answers 503 for so long; 0 ends it."""
        await self._ask(city, "/faults/outage", {"seconds": seconds})

    async def lose_answers(self, city: str, count: int) -> None:
        """A city's next ``count`` answers get lost after their effect."""
        await self._ask(city, "/faults/lost-answers", {"count": count})

    async def until(self, condition: Callable[[Ledgers], bool], patience_s: float) -> bool:
        """Wait until the ledgers say so. False: patience ran out, or the play was stopped. Raises CityEnded."""
        deadline = time.monotonic() + patience_s
        while not condition(self.ledgers()):
            self._all_there()
            if self.stop.is_set() or time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        return True

    def _all_there(self) -> None:
        for city, process in self._processes.items():
            if process.returncode is not None:
                raise CityEnded(f"{city} ended ({process.returncode}): {log_end(self._players[city])}")

    async def _ask(self, city: str, path: str, wish: Mapping[str, object]) -> dict[str, object]:
        async with self._session.post(self._players[city].window_url + path, json=wish) as response:
            response.raise_for_status()
            answer = await response.json()
        assert isinstance(answer, dict)
        return answer
