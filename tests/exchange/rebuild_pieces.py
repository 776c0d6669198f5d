"""Pieces of work for a crew, which tell by files how far they have come: other processes do them too."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from broker.errors import WrongUse
from broker.exchange.rebuild_workers import Crew, Piece, Tools
from broker.log.options import KafkaOptions

WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Meet:
    """Leaves its process id, and ends once the other one has come too: in another process, then."""

    folder: Path
    name: str
    other: str

    async def do(self, tools: Tools) -> int:
        write(self.folder / self.name, str(os.getpid()))
        tools.told(10)
        await come(self.folder / self.other)
        return os.getpid()


@dataclass(frozen=True, slots=True)
class Note:
    """Leaves its name."""

    folder: Path
    name: str

    async def do(self, tools: Tools) -> int:
        del tools
        write(self.folder / self.name, "")
        return os.getpid()


@dataclass(frozen=True, slots=True)
class Linger:
    """Leaves its name, and is still at it when the other one has failed."""

    folder: Path
    name: str

    async def do(self, tools: Tools) -> int:
        del tools
        write(self.folder / self.name, "")
        await asyncio.sleep(2.0)
        return os.getpid()


@dataclass(frozen=True, slots=True)
class Fail:
    """Fails when the other one is at work."""

    folder: Path
    other: str

    async def do(self, tools: Tools) -> int:
        del tools
        await come(self.folder / self.other)
        raise WrongUse("this piece cannot be done")


@dataclass(frozen=True, slots=True)
class KilledWith:
    """In the helped process: kills it at once, as soon as its helper is at work. In the helper: works on."""

    folder: Path
    name: str
    other: str
    helped: int

    async def do(self, tools: Tools) -> int:
        del tools
        write(self.folder / self.name, str(os.getpid()))
        await come(self.folder / self.other)
        if os.getpid() == self.helped:
            os.kill(self.helped, signal.SIGKILL)
        await asyncio.sleep(WITHIN_S)
        return 0


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    half = path.with_suffix(".half")
    half.write_text(text)
    half.replace(path)


async def come(path: Path) -> None:
    """Wait for a file."""
    async with asyncio.timeout(WITHIN_S):
        while not path.exists():
            await asyncio.sleep(0.01)


async def crewed(url: str, pieces: Sequence[Piece[int]], told: list[int], *, count: int = 2) -> list[int]:
    """Have these pieces done by so many processes."""
    async with Crew(KafkaOptions(), url, count=count, progress=told.append) as crew:
        return await crew.do(pieces)


def killed(folder: Path, url: str) -> None:
    """A crew whose first process is killed when its helper is at work."""
    me = os.getpid()
    pieces = [KilledWith(folder, "one", "two", me), KilledWith(folder, "two", "one", me)]
    asyncio.run(crewed(url, pieces, []))


if __name__ == "__main__":
    killed(Path(sys.argv[1]), sys.argv[2])
