"""Runs the bare parts (``bench/parts.py``), each in a process of its own, on the Kafka of the whole road."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Final

from bench import letters
from bench.crew import BATCH_CONNECTIONS, CONNECTIONS, listening, load
from bench.house import House, free_port
from bench.letters import Order, Requests
from bench.measure import Meter
from bench.processes import Child, out_of
from bench.results import Part

_SENDER: Final = "451300"
_WITHIN_S: Final = 300


class Bare:
    """The bare parts. :meth:`all_parts` runs them in the order in which they feed each other."""

    def __init__(self, house: House, messages: int, cases: int) -> None:
        self._house = house
        self._messages = messages
        self._cases = cases

    async def raw(self) -> dict[str, Part]:
        """Produce and consume of the same records."""
        self._requests = self._make(1)
        produced = await self._part("raw-produce", "--requests", str(self._requests.path))
        consumed = await self._part("raw-consume")
        return {"raw produce": produced, "raw consume": consumed}

    async def stages(self) -> dict[str, Part]:
        """Each stage's bare counterpart; :meth:`raw` has filled the topic that the exchange reads."""
        found = {
            "intake": await self._intake(self._make(1), CONNECTIONS),
            "intake, batches of 100": await self._intake(self._make(100), BATCH_CONNECTIONS),
            "exchange": await self._part("exchange"),
        }
        stub = Child(
            "stub",
            "bench.stub",
            ["--port", str(self._house.stub_port), *out_of("stub", self._house.folder)],
            self._house.folder,
        )
        try:
            await listening(self._house.stub_port, stub)
            for client, name in (("lean", "delivery"), ("aiohttp", "delivery by aiohttp")):
                port = str(self._house.stub_port)
                found[name] = await self._part("delivery", "--port", port, "--client", client)
        finally:
            await stub.stop()
        found["store"] = await self._part("store")
        return found

    async def hops(self, rate: float, seconds: float) -> dict[str, Any]:
        """Two hops at a steady rate, with the latencies in milliseconds."""
        return await self._told("hops", "--rate", str(rate), messages=int(rate * seconds))

    async def _intake(self, requests: Requests, connections: int) -> Part:
        house = self._house
        port = free_port()
        public_key = house.keys[_SENDER].verify_key.to_text()
        arguments = [
            "intake", "--bootstrap", house.bootstrap, "--port", str(port), "--public-key", public_key,
            *out_of("bare-intake", house.folder),
        ]  # fmt: skip
        child = Child("bare-intake", "bench.parts", arguments, house.folder)
        try:
            await listening(port, child)
            meter = Meter({"intake": child.pid})
            told = await load(house.folder, port, requests, connections)
            cpu_s = meter.cpu()["intake"]
            peak_mb = meter.peaks()["intake"]
        finally:
            await child.stop()
        seconds = told["last_answer"] - told["first_sent"]
        total = requests.messages
        return Part(messages=total, seconds=seconds, cpu_us=cpu_s * 1e6 / total, peak_mb=peak_mb)

    async def _part(self, part: str, *arguments: str) -> Part:
        told = await self._told(part, *arguments, messages=self._messages)
        return Part(
            messages=told["messages"],
            seconds=told["seconds"],
            cpu_us=told["cpu_s"] * 1e6 / told["messages"],
            peak_mb=told["peak_mb"],
        )

    async def _told(self, part: str, *arguments: str, messages: int) -> dict[str, Any]:
        folder = self._house.folder
        common = ["--bootstrap", self._house.bootstrap, "--messages", str(messages)]
        child = Child(
            f"bare-{part}",
            "bench.parts",
            [part, *common, *arguments, *out_of(f"bare-{part}", folder)],
            folder,
        )
        try:
            await child.wait(_WITHIN_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        return child.told()

    def _make(self, batch: int) -> Requests:
        order = Order(
            run=f"bare{batch}",
            cases_of="bare",
            sender=_SENDER,
            destination="430423",
            messages=self._messages,
            cases=min(self._cases, self._messages),
            batch=batch,
            opened=True,
        )
        path: Path = self._house.folder / f"bare{batch}.requests"
        return letters.make(order, self._house.keys[_SENDER], path)
