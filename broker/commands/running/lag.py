"""``tongban lag``: messages and exact seconds behind, per stage and partner."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from broker.commands.common import console, load_settings, print_json, run
from broker.commands.options import AsJson, ConfigFile
from broker.core.catalogue.directory import EMPTY, Directory, read_directory
from broker.log.reading.lag import Exactness
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.view import directory as rows
from broker.supervision.lag import StageLag, read_lag


def lag(
    watch: Annotated[bool, typer.Option("--watch", help="again every two seconds, until Ctrl-C")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show how far each stage and partner is behind: messages, and the age of the oldest in exact seconds."""
    settings = load_settings(config)
    run(_watch(settings) if watch else _once(settings, as_json=as_json))


async def _once(settings: Settings, *, as_json: bool) -> None:
    lags = await read_lag(settings.kafka, await _directory(settings))
    if as_json:
        for each in lags:
            print_json(asdict(each))
    else:
        console.print(_table(lags))


async def _watch(settings: Settings) -> None:
    directory = await _directory(settings)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(_table(await read_lag(settings.kafka, directory)), refresh=True)
            await asyncio.sleep(2)


async def _directory(settings: Settings) -> Directory:
    store = await Store.open(settings.store.url)
    try:
        current = await store.read(rows.current)
    finally:
        await store.close()
    return read_directory(current[1]) if current else EMPTY


def _table(lags: list[StageLag]) -> Table:
    table = Table("stage", "partner", "messages", "oldest, s", "exactness", "partitions")
    for each in lags:
        table.add_row(
            each.stage,
            each.partner or "–",
            "unknown" if each.messages is None else str(each.messages),
            _seconds(each),
            each.exactness,
            f"{each.partitions}/{each.of}",
        )
    return table


def _seconds(lag_of: StageLag) -> str:
    if lag_of.seconds is None:
        return "0" if lag_of.messages == 0 and lag_of.exactness is Exactness.EXACT else "unknown"
    return f"{lag_of.seconds:.3f}"
