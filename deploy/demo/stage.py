"""The stage: the windows of the halls, for a scenario to work, their ledgers, to read, and the operator's desk."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import aiohttp

from deploy.demo.cast import CityEnded, Player, Prepared, log_end
from deploy.demo.checks import Books, Ledgers
from deploy.demo.hall import Ticket, Wish, Word

_LOOK_EVERY_S: Final = 0.1


class WindowRefused(Exception):
    """A hall's window would not do what a scenario asked of it: the scenario is wrong."""


class NotReached(Exception):
    """What a scenario waited for on its way did not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a command of the broker's operators told: its exit code, its JSON documents, what it wrote beside."""

    exit: int
    rows: tuple[Mapping[str, object], ...] = ()
    notes: str = ""


Ask = Callable[[Sequence[str]], Awaitable[Told]]
"""Runs one command of the broker's operators, ``("desk", "list")``, and reads its JSON."""


class Library(Mapping[str, Books]):
    """Every hall's ledger, each read when it is asked for and again only when its file has changed."""

    def __init__(self, players: Sequence[Player]) -> None:
        self._players = {player.id: player for player in players}
        self._read: dict[str, tuple[tuple[int, ...], Books]] = {}

    def __getitem__(self, hall: str) -> Books:
        path = self._players[hall].ledger
        mark = _mark(path)
        known = self._read.get(hall)
        if known is None or known[0] != mark:
            known = self._read[hall] = (mark, Books.read(path))
        return known[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._players)

    def __len__(self) -> int:
        return len(self._players)


class Snapshot(Mapping[str, Books]):
    """The ledgers as they are while one question is answered: a hall's is read once at most."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._seen: dict[str, Books] = {}

    def __getitem__(self, hall: str) -> Books:
        if hall not in self._seen:
            self._seen[hall] = self._library[hall]
        return self._seen[hall]

    def __iter__(self) -> Iterator[str]:
        return iter(self._library)

    def __len__(self) -> int:
        return len(self._library)


class Stage:
    """Halls at work. ``stop`` set: whoever waits here is let go, with what there is."""

    def __init__(
        self,
        prepared: Prepared,
        processes: Mapping[str, Process],
        session: aiohttp.ClientSession,
        stop: asyncio.Event,
        ask: Ask | None = None,
    ) -> None:
        self.prepared = prepared
        self.stop = stop
        self._players = {player.id: player for player in prepared.players}
        self._processes = processes
        self._session = session
        self._library = Library(prepared.players)
        self._ask_broker = ask

    def ledgers(self) -> Ledgers:
        """Every hall's ledger as it now is."""
        return Snapshot(self._library)

    async def tongban(self, *arguments: str) -> Told:
        """Run a command as the broker's operators do. Raises :class:`NotReached` where nobody offers them."""
        if self._ask_broker is None:
            raise NotReached("the broker's operators cannot be asked here")
        return await self._ask_broker(arguments)

    async def open_case(self, hall: str, wish: Wish) -> str:
        """A window takes an application in. Returns the case id on the exchange."""
        return f"{hall}/{(await self._ask(hall, '/cases', asdict(wish)))['number']}"

    async def complain(self, hall: str, ticket: Ticket) -> str:
        """A window or hotline takes a complaint in. Returns its case id on the exchange."""
        return f"{hall}/{(await self._ask(hall, '/complaints', asdict(ticket)))['number']}"

    async def say(self, hall: str, type_: str, case: str, fields: Mapping[str, object] | None = None) -> str:
        """A hall's staff say something on a case, right or wrong. Returns the message's id."""
        return (await self.say_together(hall, Word(type=type_, case=case, fields=fields or {})))[-1]

    async def say_together(self, hall: str, *words: Word) -> list[str]:
        """The same for several words, which leave the hall in one batch where it sends batches."""
        answer = await self._ask(hall, "/letters", {"letters": [asdict(word) for word in words]})
        identities = answer["ids"]
        assert isinstance(identities, list)
        return identities

    async def handle(self, hall: str, item: str, procedure: str) -> None:
        """From now on a hall handles an item so."""
        await self._ask(hall, "/procedures", {"item": item, "procedure": procedure})

    async def urge(self, case: str) -> None:
        """The opening hall's window urges the other on (催办)."""
        hall, _, number = case.partition("/")
        await self._ask(hall, f"/cases/{number}/urge", {})

    async def repeat(self, hall: str, message_id: str) -> dict[str, object]:
        """A hall submits one of its messages once more. Returns what the exchange answered."""
        return await self._ask(hall, f"/messages/{message_id}/repeat", {})

    async def outage(self, hall: str, seconds: float) -> None:
        """A hall answers 503 for so long; 0 ends it."""
        await self._ask(hall, "/faults/outage", {"seconds": seconds})

    async def lose_answers(self, hall: str, count: int) -> None:
        """A hall's next ``count`` answers get lost after their effect."""
        await self._ask(hall, "/faults/lost-answers", {"count": count})

    async def until(self, condition: Callable[[Ledgers], bool], patience_s: float = 60.0) -> bool:
        """Wait until the ledgers say so. False: patience ran out, or the play was stopped. Raises CityEnded."""
        deadline = time.monotonic() + patience_s
        while not condition(self.ledgers()):
            self._all_there()
            if self.stop.is_set() or time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        return True

    async def reach(self, condition: Callable[[Ledgers], bool], patience_s: float = 60.0) -> None:
        """Wait until the ledgers say so; on the way of a scenario, where nothing further makes sense without it.

        Raises :class:`NotReached` when patience runs out. Stopped, it goes on at once.
        """
        if not await self.until(condition, patience_s) and not self.stop.is_set():
            raise NotReached(f"not within {patience_s:g} s")

    async def until_answered(self, hall: str, message_id: str, patience_s: float = 60.0) -> None:
        """Wait until the exchange has said yes or no to one of a hall's messages, at the door or by a notice."""
        await self.until(lambda ledgers: _answered(ledgers, hall, message_id), patience_s)

    def _all_there(self) -> None:
        for name, process in self._processes.items():
            if process.returncode is not None:
                players = self.prepared.processes[name]
                raise CityEnded(f"{name} ended ({process.returncode}): {log_end(players[0])}")

    async def _ask(self, hall: str, path: str, wish: Mapping[str, object]) -> dict[str, object]:
        async with self._session.post(self._players[hall].window_url + path, json=wish) as response:
            answer = await response.json()
        assert isinstance(answer, dict)
        if response.status >= 400:
            raise WindowRefused(f"{hall} {path}: {response.status} {answer.get('detail')}")
        return answer


def _answered(ledgers: Ledgers, hall: str, message_id: str) -> bool:
    sent = next((each for each in ledgers[hall].sent if each.id == message_id), None)
    return sent is not None and (sent.state == "refused" or sent.receipt is not None)


def _mark(path: Path) -> tuple[int, ...]:
    """What changes whenever the ledger does: its files' times and sizes."""
    files = (path, path.with_name(path.name + "-wal"))
    stats = [each.stat() for each in files if each.exists()]
    return tuple(part for stat in stats for part in (stat.st_mtime_ns, stat.st_size))
