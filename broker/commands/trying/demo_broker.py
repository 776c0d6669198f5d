"""A broker of one's own for the demo and the scenarios: a real Kafka, one process, everything in one folder."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from broker.commands.catalogue import directory
from broker.commands.common import say
from broker.commands.running.setup import make_missing
from broker.core.catalogue.directory import version_of
from broker.errors import TongbanError
from broker.keys import create_missing_keys, load_keys
from broker.settings import Settings, load
from broker.store.access.engine import Store
from broker.store.view import directory as directory_rows
from broker.supervision.lag import read_lag
from broker.wiring import DirectoryWatch
from deploy.demo.play import BrokerHandle, StartBroker
from deploy.demo.stage import Told
from deploy.kafka.cluster import EmbeddedKafka
from deploy.kafka.ports import any_free, is_free
from deploy.kafka.process import start_child

READY_S: Final = 60.0
STOP_S: Final = 15.0
COMMAND_S: Final = 60.0
"""How long one command of the operators may take."""
AT_ONCE: Final = 2
"""Commands that run at once: more would only keep the broker waiting."""
WISHED_PORT: Final = 8100


class BrokerEnded(TongbanError):
    """The demo's broker did not come up; the end of its log is below."""


@asynccontextmanager
async def demo_broker(home: Path, *, what: str, cast: str) -> AsyncIterator[StartBroker]:
    """Kafka, and whoever starts the broker once the cast's documents are there. Both end with the block.

    ``what`` and ``cast`` are words for the lines of progress. Raises :class:`BrokerEnded`.
    """
    say(f"[{what} 1/3] Apache Kafka, one node")
    async with EmbeddedKafka(folder=home / "kafka") as kafka, contextlib.AsyncExitStack() as opened:
        file = _write_configuration(home, kafka.bootstrap)
        settings = load({}, file)

        async def start(documents: Path) -> BrokerHandle:
            say(f"[{what} 2/3] the broker")
            await opened.enter_async_context(_broker(settings, home, documents))
            store = await Store.open(settings.store.url)
            opened.push_async_callback(store.close)
            say(f"[{what} 3/3] {cast}")
            return BrokerHandle(
                base_url=_url(settings),
                keys=[load_keys(settings.keys).signing.verify_key.to_text()],
                lag=partial(_lag, settings, DirectoryWatch(store)),
                command=sys.argv[0] if Path(sys.argv[0]).name == "tongban" else "tongban",
                options=f"--config {file}",
                ask=partial(ask, file, asyncio.Semaphore(AT_ONCE)),
            )

        yield start


async def ask(config: Path, places: asyncio.Semaphore, arguments: Sequence[str]) -> Told:
    """Run one command as an operator does, in a process of its own, and read its JSON. Raises TimeoutError."""
    async with places:
        return await _ask(config, arguments)


async def _ask(config: Path, arguments: Sequence[str]) -> Told:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "broker.cli", *arguments, "--json", "--config", str(config),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(COMMAND_S):
            printed, notes = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    rows = [orjson.loads(line) for line in printed.splitlines() if line.startswith((b"{", b"["))]
    found = tuple(row for row in rows if isinstance(row, dict))
    return Told(exit=process.returncode or 0, rows=found, notes=notes.decode(errors="replace"))


@asynccontextmanager
async def _broker(settings: Settings, home: Path, documents: Path) -> AsyncIterator[None]:
    """The broker as a process of its own, with the directory in force. Raises :class:`BrokerEnded`."""
    create_missing_keys(settings.keys)
    await make_missing(settings)
    found = directory.read_folder(documents)
    await directory.put_on_ledger(settings, found, by="demo", reason="the demo's cast")
    log = home / "broker.log"
    command = [sys.executable, "-m", "broker.cli", "serve", "--config", str(home / "tongban.toml")]
    process = start_child(command, output=log, folder=home)
    try:
        await _ready(settings, process, version_of(found), log)
        yield
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()


async def _ready(settings: Settings, process: subprocess.Popen[bytes], version: str, log: Path) -> None:
    """Wait until every dependency answers and the directory is in force."""
    end = time.monotonic() + READY_S
    async with aiohttp.ClientSession(trust_env=False) as session:
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{_url(settings)}/readyz") as answer:
                    if answer.status == 200 and await _in_force(settings) == version:
                        return
            await asyncio.sleep(0.05)
    text = log.read_text(encoding="utf-8", errors="replace")  # noqa: ASYNC240 - the run ends here
    raise BrokerEnded(f"the broker did not become ready within {READY_S:g} s:\n{text[-2000:]}")


async def _in_force(settings: Settings) -> str | None:
    store = await Store.open(settings.store.url, create=False)
    try:
        current = await store.read(directory_rows.current)
    finally:
        await store.close()
    return current[0] if current else None


async def _lag(settings: Settings, watch: DirectoryWatch) -> dict[str, int]:
    await watch.refresh()
    lags = await read_lag(settings.kafka, watch.current())
    return {each.partner or each.stage: each.messages or 0 for each in lags}


def _url(settings: Settings) -> str:
    return f"http://{settings.intake.host}:{settings.intake.port}"


def _write_configuration(home: Path, bootstrap: str) -> Path:
    """The demo's ``tongban.toml``: everything in its own folder."""
    port = WISHED_PORT if is_free(WISHED_PORT) else any_free(1)[0].client
    path = home / "tongban.toml"
    path.write_text(
        f"""[kafka]
bootstrap = "{bootstrap}"
ledger_partitions = 4
outbox_partitions = 1

[store]
url = "sqlite:///{home}/tongban.db"
vault_url = "sqlite:///{home}/vault.db"

[keys]
signing_key_file = "{home}/keys/signing.whsk"
kek_file = "{home}/keys/kek.toml"

[serve]
folder = "{home}/serve"

[intake]
port = {port}
""",
        encoding="utf-8",
    )
    return path
