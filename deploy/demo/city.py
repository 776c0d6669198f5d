"""A partner city: its ledger, its office, its way in and out. ``python -m deploy.demo.city --config FILE …``.

One process may host several halls, each with keys, ledger and codes of its own.

How it connects, in the order of the code below:

* what arrives, by ``POST /inbox`` (``inbox.py``) or by pulling its mailbox (``mailbox.py``), goes through
* the hall (``hall.py``): one transaction per event with its effect and the office's answers (``office.py``),
* and what is to be said waits in the ledger (``ledger.py``) until the sender (``sender.py``) has its 202.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from aiohttp import web

from deploy.demo.client import Exchange
from deploy.demo.config import CityConfig, ConfigurationInvalid, read_config
from deploy.demo.faults import Faults
from deploy.demo.hall import Hall
from deploy.demo.inbox import BODY_BYTES, Inbox
from deploy.demo.ledger import Ledger
from deploy.demo.letters import AvroEvents, JsonEvents
from deploy.demo.mailbox import Mailbox
from deploy.demo.office import Office
from deploy.demo.sender import Sender
from deploy.demo.window import Window

_LOOPBACK = "127.0.0.1"


async def run(configs: Sequence[CityConfig], until: asyncio.Event) -> None:
    """Be these cities until ``until`` is set. Their ledgers survive; the next start goes on from them.

    Halls that name the same port share a listener, each under ``/<its id>``.
    """
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        halls = [_House(config, session, stack) for config in configs]
        for port, routes in _by_port(halls).items():
            await _listen(stack, routes, port)
        async with asyncio.TaskGroup() as group:  # one that fails ends the process: it never limps on
            running = [group.create_task(loop) for hall in halls for loop in hall.loops()]
            await until.wait()
            for task in running:
                task.cancel()


class _House:
    """One hall with its parts: ledger, office, window, and its way in and out."""

    def __init__(self, config: CityConfig, session: aiohttp.ClientSession, stack: AsyncExitStack) -> None:
        ledger = Ledger(config.ledger)
        stack.callback(ledger.close)
        self._config = config
        self._exchange = Exchange(
            session, url=config.exchange_url, partner=config.id, key=config.signing_key, token=config.token
        )
        events = AvroEvents(config.id, self._exchange) if config.encoding == "avro" else JsonEvents(config.id)
        self._sender = Sender(ledger, self._exchange, events, pace_s=config.pace_s, batch=config.batch)
        office = Office(
            city=config.id, codes=config.codes, procedures=config.procedures, promises=config.promises
        )
        self._hall = Hall(office, ledger, numbering=config.numbering, wake=self._sender.wake)
        self._ledger = ledger
        self._faults = Faults(first_requests_away=config.first_requests_away)

    def routes(self) -> Iterator[tuple[int, list[web.RouteDef]]]:
        """What it listens to, by port."""
        config, prefix = self._config, f"/{self._config.id}"
        window = Window(self._hall, self._faults, self._sender.repeat)
        yield config.window_port, window.routes(prefix)
        if config.inbox_port is not None:
            inbox = Inbox(
                self._hall, self._ledger, self._faults,
                verify=config.exchange_keys, on_repeat=config.on_repeat,
            )  # fmt: skip
            yield config.inbox_port, inbox.routes(prefix)

    def loops(self) -> Iterator[Coroutine[None, None, None]]:
        """What it does all the time."""
        yield self._sender.run()
        if self._config.inbox_port is None:
            yield Mailbox(self._hall, self._ledger, self._faults, self._exchange).run()


def _by_port(halls: Sequence[_House]) -> dict[int, list[web.RouteDef]]:
    ports: dict[int, list[web.RouteDef]] = {}
    for hall in halls:
        for port, routes in hall.routes():
            ports.setdefault(port, []).extend(routes)
    return ports


async def _listen(stack: AsyncExitStack, routes: Sequence[web.RouteDef], port: int) -> None:
    application = web.Application(client_max_size=BODY_BYTES)
    application.add_routes(routes)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, _LOOPBACK, port).start()


async def _main(configs: Sequence[CityConfig], *, with_parent: bool) -> None:
    until = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, until.set)
    if with_parent:  # the parent holds the other end of our standard input, and lets go of it when it dies
        loop.add_reader(sys.stdin.fileno(), _read_on, until)
    await run(configs, until)


def _read_on(until: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        until.set()


def main() -> int:
    """Exit 0 when told to stop, 2 when the configuration is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo.city", description="A partner city of the demo."
    )
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        action="append",
        help="a city's TOML file; several share the process",
    )
    parser.add_argument("--with-parent", action="store_true", help="end when standard input is closed")
    arguments = parser.parse_args()
    try:
        configs = [read_config(each) for each in arguments.config]
    except ConfigurationInvalid as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    asyncio.run(_main(configs, with_parent=arguments.with_parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
