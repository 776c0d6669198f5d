"""``tongban rebuild`` and ``tongban export``: the view made again from the ledger, and written out to compare."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from broker.commands.common import console, load_settings, notes, print_json, run
from broker.commands.options import AsJson, ConfigFile
from broker.errors import WrongUse
from broker.exchange import rebuild as rebuilding
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.view.export import export as rows_of


def rebuild(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Drop the view and make it again from the ledger. The vault of case keys is not touched."""
    done = run(_rebuild(load_settings(config)))
    if as_json:
        print_json({"records": done.records, "set_back": done.set_back, "again": done.again})
        return
    console.print(
        f"the view is rebuilt from {done.records} ledger records; delivery looks again at {done.again} records "
        f"on {done.set_back} outbox partitions"
    )


def export(
    to: Annotated[Path | None, typer.Option(help="a new file (default: standard output)")] = None,
    config: ConfigFile = None,
) -> None:
    """Write the view as canonical JSON lines: two views of the same ledger are the same bytes."""
    if to is not None and to.exists():
        raise WrongUse(f"export: {to} exists; name a new file")
    run(_export(load_settings(config), to))


async def _rebuild(settings: Settings) -> rebuilding.Rebuilt:
    columns = (TextColumn("rebuild"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    store = await Store.open(settings.store.url)
    try:
        with Progress(*columns, console=notes) as shown:
            task = shown.add_task("rebuild", total=None)
            return await rebuilding.rebuild(
                settings.kafka,
                store,
                progress=lambda done, of: shown.update(task, completed=done, total=of),
            )
    finally:
        await store.close()


async def _export(settings: Settings, to: Path | None) -> None:
    store = await Store.open(settings.store.url)
    target = to.open("xb") if to is not None else sys.stdout.buffer
    try:
        await store.scan(lambda connection: target.writelines(rows_of(connection)))
    finally:
        if to is not None:
            target.close()
        await store.close()
