"""``tongban demo``: a real Kafka, the broker and four partner cities; cases there and back."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import typer

from broker.commands import directory
from broker.commands.common import FOUND, console, notes, run, say
from broker.commands.setup import make_missing
from broker.core.directory import version_of
from broker.errors import TongbanError
from broker.keys import create_missing_keys, load_keys
from broker.settings import Settings, load
from broker.store import directory as directory_rows
from broker.store.engine import Store
from broker.supervision.lag import read_lag
from broker.wiring import DirectoryWatch
from deploy.demo.play import BrokerHandle, Outcome, play
from deploy.kafka.cluster import EmbeddedKafka
from deploy.kafka.ports import any_free, is_free
from deploy.kafka.process import start_child

READY_S: Final = 30.0
STOP_S: Final = 15.0
WISHED_PORT: Final = 8100


class BrokerEnded(TongbanError):
    """The demo's broker did not come up; the end of its log is below."""


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="end by itself; exit 0 only if every effect is there")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(help="where the demo keeps its files (default: a new one)")
    ] = None,
) -> None:
    """Play the road with four partner cities: 来宾, 衡山县, 衡阳, 厦门. Ctrl-C ends it."""
    home = folder or Path(".tongban") / "demo" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    home.mkdir(parents=True, exist_ok=True)
    outcome = run(_demo(home.resolve(), once=once))
    for line in outcome.missing:
        notes.print(f"tongban: {line}", markup=False)
    if not outcome.ok:
        notes.print(f"tongban: the demo's files are in {home}", markup=False)
        raise typer.Exit(FOUND)
    if once and folder is None:
        shutil.rmtree(home, ignore_errors=True)


async def _demo(home: Path, *, once: bool) -> Outcome:
    say("[demo 1/3] Apache Kafka, one node")
    async with EmbeddedKafka(folder=home / "kafka") as kafka, contextlib.AsyncExitStack() as opened:
        settings = load({}, _write_configuration(home, kafka.bootstrap))

        async def start(documents: Path) -> BrokerHandle:
            say("[demo 2/3] the broker")
            await opened.enter_async_context(_broker(settings, home, documents))
            store = await Store.open(settings.store.url)
            opened.push_async_callback(store.close)
            say("[demo 3/3] four partner cities")
            return BrokerHandle(
                base_url=_url(settings),
                keys=[load_keys(settings.keys).signing.verify_key.to_text()],
                lag=partial(_lag, settings, DirectoryWatch(store)),
                command=sys.argv[0] if Path(sys.argv[0]).name == "tongban" else "tongban",
                options=f"--config {home / 'tongban.toml'}",
            )

        return await play(start, home, once=once, console=console)


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
