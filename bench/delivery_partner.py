"""The partner of the delivery bench: the stub in Go, or in Python where there is no Go, and how it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from bench.crew import listening
from bench.house import free_port
from bench.lean_http import Asking
from bench.processes import BenchFailed, Child
from deploy.kafka.process import start_child

HERE: Final = Path(__file__).resolve().parent
_CEILING_REQUESTS: Final = 20_000


class Program(Child):
    """A child that is any program, not a module of this checkout."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        self._out = folder / f"{name}.out.json"
        self._log.unlink(missing_ok=True)
        self._process = start_child(command, output=self._log, folder=folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What the partner's own ledger says."""

    effects: int
    doubled: int
    out_of_order: int
    unnamed: int
    first_at: float
    last_at: float
    requests: int
    connections: int
    cpu_s: float
    cases: int

    @property
    def rate(self) -> float:
        """Effects per second between the first and the last."""
        return self.effects / max(1e-9, self.last_at - self.first_at)


class Stub:
    """A running partner."""

    def __init__(self, child: Child, port: int, language: str) -> None:
        self.child = child
        self.port = port
        self.language = language
        self.url = f"http://127.0.0.1:{port}/inbox"

    async def reset(self, *, delay_s: float = 0.0, detailed: bool = False) -> None:
        """A new ledger, everybody well, answers after ``delay_s``."""
        query = f"reset=1&delay_ms={delay_s * 1000}&sick=none&detailed={int(detailed)}"
        await self._get(f"/control?{query}")

    async def sicken(self, how: str, every: int) -> None:
        """Partners whose number ``every`` divides are ``hung`` or ``dead`` from now on, or ``none`` is."""
        await self._get(f"/control?sick={how}&every={every}")

    async def stats(self) -> Stats:
        return Stats(**orjson.loads(await self._get("/stats")))

    async def arrivals(self) -> dict[str, float]:
        """When each took effect (Unix seconds), since a detailed reset."""
        lines = (await self._get("/arrivals")).decode().splitlines()
        return {name: int(at) / 1e9 for name, at in (line.split() for line in lines)}

    async def ceiling(self) -> tuple[float, float]:
        """Requests a second that it takes from a lean client on this machine, and its own CPU µs for each."""
        await self.reset()
        before = await self.stats()
        seconds = await _storm(self.port, _CEILING_REQUESTS)
        after = await self.stats()
        await self.reset()
        cpu_us = (after.cpu_s - before.cpu_s) * 1e6 / _CEILING_REQUESTS
        return _CEILING_REQUESTS / seconds, cpu_us

    async def _get(self, target: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return await reader.readexactly(length)
        finally:
            writer.close()


@asynccontextmanager
async def partner(folder: Path, out: Path) -> AsyncIterator[Stub]:
    """Build (once) and start the stub."""
    port = free_port()
    command, language = _command(out)
    child = Program("partner", [*command, "-port", str(port)], folder)
    try:
        await listening(port, child)
        yield Stub(child, port, language)
    finally:
        await child.stop()


def _command(out: Path) -> tuple[list[str], str]:
    go = shutil.which("go")
    if go is None:
        return [sys.executable, "-m", "bench.delivery_stub"], "Python"
    out.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(
        [go, "build", "-o", str(out / "stub"), "."], cwd=HERE / "stub_go", capture_output=True, check=False
    )
    if built.returncode != 0:
        raise BenchFailed(f"the stub does not build\n{built.stderr.decode(errors='replace')}")
    return [str(out / "stub")], "Go"


async def _storm(port: int, requests: int) -> float:
    """Post ``requests`` small records over 64 connections; seconds."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    sent = heard = 0

    def ask(line: Asking) -> None:
        nonlocal sent
        if sent < requests:
            sent += 1
            line.ask(
                sent,
                b"POST /inbox HTTP/1.1\r\nwebhook-id: 1_s-%d\r\nContent-Length: 1024\r\n\r\n" % sent
                + b"x" * 1024,
            )

    def settled(line: Asking, head: bytes, body: bytes) -> None:
        nonlocal heard
        del head, body
        heard += 1
        if heard == requests:
            ended.set_result(None)
        ask(line)

    def lost(line: Asking) -> None:
        del line
        if not ended.done():
            ended.set_exception(BenchFailed("the stub closed a connection"))

    lines: list[Any] = []
    for _ in range(64):
        _, line = await loop.create_connection(lambda: Asking(settled, lost), "127.0.0.1", port)
        lines.append(line)
    began = time.monotonic()
    for line in lines:
        ask(line)
    await ended
    seconds = time.monotonic() - began
    for line in lines:
        with contextlib.suppress(OSError):
            line.close()
    return seconds
