"""The hall's two senders, a process of its own: ``python -m bench.hall_load --port P --cases N …``.

Batches go out in the order of the two years, some at a time from each side, as fast as they are taken while
the receipts are not too far behind (:mod:`bench.hall_lead`). A batch waits until those that hold the earlier
messages of its cases have been taken: so the ledger has every case in its order. SIGTERM ends it; what was sent
until then counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import orjson
import uvloop

from bench.hall_days import said
from bench.hall_house import HallView
from bench.hall_lead import LEAD, LOOK_S, Lead
from bench.hall_letters import SIDES, Writer, request
from bench.hall_plan import Batch, Plan
from bench.lean_http import Asking, closes, header, status_of
from bench.measure import memory
from broker.core.signatures import SigningKey

_AGAIN: Final = frozenset({429, 503})
_LEAST_AGAIN_S: Final = 0.05
MOST_READY: Final = 4
"""Batches of one side that may wait: what is made ahead is memory, and one side a day before the other."""


class Load:
    """Sends what the plan says. ``connections``: batches under way at once from each side."""

    def __init__(
        self, plan: Plan, keys: Mapping[str, SigningKey], run: str, connections: int, lead: Lead
    ) -> None:
        self._plan = plan
        self._lead = lead
        self._keys = keys
        self._run = run
        self._connections = connections
        self._port = 0
        self._idle: dict[str, deque[Asking]] = {side: deque() for side in SIDES}
        self._ready: dict[str, deque[Batch]] = {side: deque() for side in SIDES}
        self._under_way: dict[int, Batch] = {}
        self._sides: dict[Asking, str] = {}
        self._chores: set[asyncio.Task[None]] = set()
        self._put_off = 0
        self._held_back: asyncio.TimerHandle | None = None
        self.finished = asyncio.Event()
        self.statuses: Counter[int] = Counter()
        self.first_fault: str | None = None
        self.first_sent = self.last_answer = 0.0
        self.taken = 0

    async def run(self, port: int) -> None:
        """Send everything; returns when all is answered, or at the first refusal."""
        self._port = port
        for side in SIDES:
            for _ in range(self._connections):
                await self._connect(side)
        self.first_sent = time.time()
        self._pump()
        await self.finished.wait()

    async def _connect(self, side: str) -> None:
        _, line = await asyncio.get_running_loop().create_connection(
            lambda: Asking(self._settled, self._lost), "127.0.0.1", self._port
        )
        self._sides[line] = side
        self._idle[side].append(line)

    def _pump(self) -> None:
        """Send what may be sent, and make more while a side has nothing that may."""
        while not self.finished.is_set():
            for side in SIDES:
                self._send_some(side)
            if not any(map(self._wants, SIDES)):
                return
            batch = self._plan.next()
            if batch is None:
                if not self._under_way and not any(self._ready.values()) and not self._put_off:
                    self.finished.set()
                return
            self._ready[batch.side].append(batch)

    def _wants(self, side: str) -> bool:
        """Whether more is to be made, so that this side can go on."""
        ready = self._ready[side]
        if ready:
            return self._plan.waits_for_building(ready[0])
        return bool(self._idle[side]) and max(map(len, self._ready.values())) < MOST_READY

    def _send_some(self, side: str) -> None:
        ready, idle = self._ready[side], self._idle[side]
        while ready and idle:
            ready[0].after &= self._plan.untaken
            if ready[0].after:
                return
            if not self._lead.allows(len(ready[0].events)):
                self._hold_back()
                return
            self._lead.sent(len(ready[0].events))
            self._ask(idle.popleft(), ready.popleft())

    def _hold_back(self) -> None:
        """Look again soon, once for all who wait."""
        if self._held_back is None:
            self._held_back = asyncio.get_running_loop().call_later(LOOK_S, self._go_on)

    def _go_on(self) -> None:
        self._held_back = None
        self._pump()

    def _ask(self, line: Asking, batch: Batch) -> None:
        batch.raw = request(batch.side, f"{self._run}b{batch.number}", batch.events, self._keys[batch.side])
        self._under_way[batch.number] = batch
        line.ask(batch.number, batch.raw)

    def _settled(self, line: Asking, head: bytes, body: bytes) -> None:
        batch, status, side = self._under_way.pop(line.sent), status_of(head), self._sides[line]
        self.statuses[status] += 1
        line.sent = -1
        if closes(head):
            line.close()
            self._chore(side)
        else:
            self._idle[side].append(line)
        if status in _AGAIN:
            wait_s = max(_LEAST_AGAIN_S, float(header(head, b"Retry-After") or 0))
            self._put_off += 1
            self._lead.turned_away(len(batch.events))
            asyncio.get_running_loop().call_later(wait_s, self._again, batch)
        elif status != 202:
            self._fail(_first_refused(body))
        else:
            self.taken += len(batch.events)
            self.last_answer = time.time()
            self._plan.untaken.discard(batch.number)
        self._pump()

    def _again(self, batch: Batch) -> None:
        self._put_off -= 1
        self._ready[batch.side].appendleft(batch)
        self._pump()

    def _chore(self, side: str) -> None:
        task = asyncio.get_running_loop().create_task(self._connect_again(side))
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def _connect_again(self, side: str) -> None:
        await self._connect(side)
        self._pump()

    def _lost(self, line: Asking) -> None:
        side = self._sides.pop(line)
        if line in self._idle[side]:
            self._idle[side].remove(line)
            self._chore(side)
        elif line.sent >= 0 and not self.finished.is_set():
            self._fail(f"batch {line.sent}: the connection was closed")

    def _fail(self, why: str) -> None:
        self.first_fault = self.first_fault or why
        self.finished.set()


def _first_refused(body: bytes) -> str:
    try:
        results = orjson.loads(body).get("results", ())
    except orjson.JSONDecodeError:
        results = ()
    refused = [each for each in results if each.get("status") != 202]
    return f"{len(refused)} refused: {refused[0]}"[:900] if refused else body[:900].decode(errors="replace")


async def _main(arguments: argparse.Namespace) -> None:
    keys = {side: SigningKey.parse((arguments.keys / f"{side}.whsk").read_text().strip()) for side in SIDES}
    plan = Plan(said(arguments.cases), Writer(arguments.run), arguments.batch)
    view = HallView(arguments.database)
    before = view.receipted()
    lead = Lead(arguments.lead, lambda: view.receipted() - before)
    load = Load(plan, keys, arguments.run, arguments.connections, lead)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.finished.set)
    await load.run(arguments.port)
    view.close()
    result = {
        "cpu_s": time.process_time(),
        "peak_mb": memory(os.getpid()).peak_mb,
        "first_sent": load.first_sent,
        "last_answer": load.last_answer,
        "taken": load.taken,
        "statuses": {str(status): count for status, count in load.statuses.items()},
        "first_fault": load.first_fault,
    }
    arguments.out.write_bytes(orjson.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cases", type=int, required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--lead", type=int, default=LEAD)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    uvloop.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
