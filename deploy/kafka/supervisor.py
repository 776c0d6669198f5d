"""The process that keeps a Kafka running for ``tongban kafka up``: ``python -m deploy.kafka.supervisor``.

It tells its parent one line (its state, or its fault) and nothing more. A node that ends by itself is started
again; SIGTERM and SIGINT stop all nodes cleanly; when it is killed, the nodes end with it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from broker.errors import TongbanError, Unreachable, WrongUse
from deploy.kafka.cluster import EmbeddedKafka, NodeCount
from deploy.kafka.places import say_on_stderr
from deploy.kafka.state import State

_WATCH_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0


async def supervise(
    folder: Path, *, nodes: NodeCount, base_port: int, announce: Callable[[State], None]
) -> None:
    """Run a Kafka until SIGTERM or SIGINT; ``announce`` is called once, when it is ready.

    Raises what :meth:`EmbeddedKafka.start` raises.
    """
    kafka = EmbeddedKafka(nodes=nodes, folder=folder, base_port=base_port, supervised=True)
    work = asyncio.create_task(_run(kafka, announce))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _run(kafka: EmbeddedKafka, announce: Callable[[State], None]) -> None:
    await kafka.start()
    try:
        announce(kafka.state())
        await _watch(kafka)
    finally:
        await kafka.stop()


async def _watch(kafka: EmbeddedKafka) -> None:
    """Start nodes again that ended by themselves, with growing pauses so that a broken one does not spin."""
    pause_s = _WATCH_S
    while True:
        await asyncio.sleep(pause_s)
        ended = [node for node in kafka.node_ids if kafka.pid(node) is None]
        if not ended:
            pause_s = _WATCH_S
            continue
        say_on_stderr(f"nodes {ended} ended by themselves; starting them again")
        try:
            await kafka.start_node(*ended)
        except Unreachable as fault:
            say_on_stderr(str(fault))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def main() -> int:
    """Run as the child of :func:`deploy.kafka.background.up`. Returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--nodes", type=int, choices=(1, 3), required=True)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    try:
        asyncio.run(
            supervise(
                chosen.folder,
                nodes=chosen.nodes,
                base_port=chosen.port,
                announce=lambda state: _tell({"state": asdict(state)}),
            )
        )
    except TongbanError as fault:
        say_on_stderr(str(fault))
        _tell({_kind(fault): str(fault)})
        return 1
    return 0


def _kind(fault: TongbanError) -> str:
    match fault:
        case WrongUse():
            return "wrong_use"
        case Unreachable():
            return "unreachable"
        case _:
            return "fault"


def _tell(line: object) -> None:
    """One line to the parent, which then closes the pipe; whether it still listens does not matter."""
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
