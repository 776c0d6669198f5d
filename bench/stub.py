"""The partner of a bench, a process of its own: ``python -m bench.stub --port P --out FILE``.

It takes every delivery at once and remembers its ``webhook-id``: that is its effect. ``GET`` tells how many
there were. SIGTERM ends it; the file then says what it saw.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from pathlib import Path

import orjson
import uvloop

from bench.lean_http import Answering, header
from bench.measure import memory

_TAKEN = b'{"reference":"R-1"}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_TAKEN) + _TAKEN
)


class Partner:
    """Counts effects; with ``detailed`` also notes when each came, and when the broker had accepted it."""

    def __init__(self, *, detailed: bool) -> None:
        self._detailed = detailed
        self.effects: dict[bytes, float] = {}
        self.accepted: dict[bytes, str] = {}
        self.repeats = 0
        self.last_at = 0.0

    def answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET "):
            told = orjson.dumps({"effects": len(self.effects), "last_at": self.last_at})
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told
        name = header(head, b"webhook-id")
        self.last_at = time.time()
        if name in self.effects:
            self.repeats += 1
        else:
            self.effects[name] = self.last_at
            if self._detailed:
                self.accepted[name] = orjson.loads(body).get("acceptedtime", "")
        return _ANSWER


async def _main(arguments: argparse.Namespace) -> None:
    partner = Partner(detailed=arguments.detailed)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    server = await loop.create_server(
        lambda: Answering(partner.answer), "127.0.0.1", arguments.port, backlog=1024
    )
    await stopping.wait()
    server.close()
    result = {
        "effects": len(partner.effects),
        "repeats": partner.repeats,
        "cpu_s": time.process_time(),
        "peak_mb": memory(os.getpid()).peak_mb,
        "delivered_at": {name.decode(): at for name, at in partner.effects.items()}
        if arguments.detailed
        else {},
        "accepted_at": {name.decode(): at for name, at in partner.accepted.items()},
    }
    arguments.out.write_bytes(orjson.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--detailed", action="store_true")
    uvloop.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
