"""A partner city: one process, one ledger, one office. ``python -m deploy.demo.city --config FILE``.

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
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from aiohttp import web

from deploy.demo.client import Exchange
from deploy.demo.config import CityConfig, ConfigurationInvalid, read_config
from deploy.demo.faults import Faults
from deploy.demo.hall import Hall
from deploy.demo.inbox import Inbox
from deploy.demo.ledger import Ledger
from deploy.demo.letters import AvroEvents, JsonEvents
from deploy.demo.mailbox import Mailbox
from deploy.demo.office import Office
from deploy.demo.sender import Sender
from deploy.demo.window import Window

_LOOPBACK = "127.0.0.1"


async def run(config: CityConfig, until: asyncio.Event) -> None:
    """Be this city until ``until`` is set. The ledger survives; the next start goes on from it."""
    async with AsyncExitStack() as stack:
        ledger = Ledger(config.ledger)
        stack.callback(ledger.close)
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        exchange = Exchange(
            session, url=config.exchange_url, partner=config.id, key=config.signing_key, token=config.token
        )
        events = AvroEvents(config.id, exchange) if config.encoding == "avro" else JsonEvents(config.id)
        sender = Sender(ledger, exchange, events, pace_s=config.pace_s)
        office = Office(city=config.id, codes=config.codes, procedures=config.procedures)
        hall = Hall(office, ledger, numbering=config.numbering, wake=sender.wake)
        faults = Faults(first_requests_away=config.first_requests_away)

        await _listen(stack, Window(hall, faults, sender.repeat).application(), config.window_port)
        if config.inbox_port is not None:
            inbox = Inbox(hall, ledger, faults, verify=config.exchange_keys, on_repeat=config.on_repeat)
            await _listen(stack, inbox.application(), config.inbox_port)
        async with asyncio.TaskGroup() as loops:  # one that fails ends the city: it never limps on
            running = [loops.create_task(sender.run())]
            if config.inbox_port is None:
                running.append(loops.create_task(Mailbox(hall, ledger, faults, exchange).run()))
            await until.wait()
            for loop in running:
                loop.cancel()


async def _listen(stack: AsyncExitStack, application: web.Application, port: int) -> None:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, _LOOPBACK, port).start()


async def _main(config: CityConfig, *, with_parent: bool) -> None:
    until = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, until.set)
    if with_parent:  # the parent holds the other end of our standard input, and lets go of it when it dies
        loop.add_reader(sys.stdin.fileno(), _read_on, until)
    await run(config, until)


def _read_on(until: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        until.set()


def main() -> int:
    """Exit 0 when told to stop, 2 when the configuration is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo.city", description="A partner city of the demo."
    )
    parser.add_argument("--config", type=Path, required=True, help="the city's TOML file")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input is closed")
    arguments = parser.parse_args()
    try:
        config = read_config(arguments.config)
    except ConfigurationInvalid as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    asyncio.run(_main(config, with_parent=arguments.with_parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
