"""The load generator, a process of its own: ``python -m bench.load --requests FILE --port P --out FILE``.

Closed loop: as many requests under way as there are connections. With ``--rate``, open loop: a request goes
out when it is due, whatever became of those before, and its latency counts from when it was due.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections import Counter, deque
from collections.abc import Coroutine, Sequence
from pathlib import Path

import orjson
import uvloop

from bench.lean_http import Asking, closes, header, status_of
from bench.letters import read_about, read_requests
from bench.measure import memory

ACCEPTED = 202
_AGAIN = frozenset({429, 503})
_LEAST_AGAIN_S = 0.05


class Load:
    """One run over a list of requests; the first ``opening`` are answered before any other is sent."""

    def __init__(self, requests: Sequence[bytes], opening: int, rate: float) -> None:
        self._requests = requests
        self._opening = opening
        self._rate = rate
        self._port = 0
        self._idle: deque[Asking] = deque()
        self._chores: set[asyncio.Task[None]] = set()
        self._due: deque[int] = deque()
        self._next = 0
        self._left = len(requests)
        self._finished = asyncio.Event()
        self.statuses: Counter[int] = Counter()
        self.due_at = [0.0] * len(requests)
        self.answered_at = [0.0] * len(requests)
        self.first_fault: str | None = None

    async def run(self, port: int, connections: int) -> None:
        """Send everything; returns when all is answered."""
        self._port = port
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            await self._connect()
        if self._rate:
            await self._at_rate(loop)
        else:
            self._pump()
        await self._finished.wait()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, asking = await loop.create_connection(
            lambda: Asking(self._settled, self._lost), "127.0.0.1", self._port
        )
        self._idle.append(asking)

    async def _at_rate(self, loop: asyncio.AbstractEventLoop) -> None:
        began, began_at = loop.time(), time.time()
        for number in range(len(self._requests)):
            due = number / self._rate
            wait_s = began + due - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self.due_at[number] = began_at + due
            self._due.append(number)
            self._pump()

    def _pump(self) -> None:
        while self._idle:
            if self._due:
                number = self._due.popleft()
            elif self._rate or not self._may_begin():
                return
            else:
                number = self._next
                self._next += 1
            if not self.due_at[number]:
                self.due_at[number] = time.time()
            self._idle.popleft().ask(number, self._requests[number])

    def _may_begin(self) -> bool:
        if self._next >= len(self._requests):
            return False
        opened = len(self._requests) - self._left >= self._opening
        return self._next < self._opening or opened

    def _settled(self, asking: Asking, head: bytes, body: bytes) -> None:
        number, status = asking.sent, status_of(head)
        self.statuses[status] += 1
        asking.sent = -1
        if closes(head):
            asking.close()
            self._chore(self._connect_and_pump())
        else:
            self._idle.append(asking)
        if status in _AGAIN:
            wait_s = max(_LEAST_AGAIN_S, float(header(head, b"Retry-After") or 0))
            asyncio.get_running_loop().call_later(wait_s, self._again, number)
        else:
            if status != ACCEPTED and self.first_fault is None:
                self.first_fault = body[:600].decode(errors="replace")
            self.answered_at[number] = time.time()
            self._left -= 1
            if not self._left:
                self._finished.set()
        self._pump()

    async def _connect_and_pump(self) -> None:
        await self._connect()
        self._pump()

    def _chore(self, work: Coroutine[None, None, None]) -> None:
        chore = asyncio.get_running_loop().create_task(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    def _again(self, number: int) -> None:
        self._due.append(number)
        self._pump()

    def _lost(self, asking: Asking) -> None:
        if asking in self._idle:
            self._idle.remove(asking)  # the broker lets go of those that stay silent
        elif asking.sent >= 0 and self._left:
            self.first_fault = self.first_fault or f"request {asking.sent}: the connection was closed"
            self._finished.set()


async def _main(arguments: argparse.Namespace) -> None:
    about = read_about(arguments.requests)
    requests = read_requests(arguments.requests)
    load = Load(requests, about.opening, arguments.rate)
    before_s = time.process_time()
    await load.run(arguments.port, arguments.connections)
    result = {
        "cpu_s": time.process_time() - before_s,
        "peak_mb": memory(os.getpid()).peak_mb,
        "first_sent": min(load.due_at),
        "last_answer": max(load.answered_at),
        "statuses": {str(status): count for status, count in load.statuses.items()},
        "first_fault": load.first_fault,
        "answer_ms": [
            (answered - due) * 1000 for due, answered in zip(load.due_at, load.answered_at, strict=True)
        ],
        "due_at": load.due_at if arguments.rate else [],
    }
    arguments.out.write_bytes(orjson.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument(
        "--rate", type=float, default=0.0, help="requests per second (0: as fast as answered)"
    )
    uvloop.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
