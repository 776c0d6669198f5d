"""``tongban directory``: partners, items and agreements, kept as files and applied like infrastructure."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from broker.commands.common import console, load_settings, notes, print_json, print_rows, run
from broker.commands.options import AsJson, ConfigFile
from broker.core.catalogue.directory import EMPTY, Directory, read_directory
from broker.core.documents import DocumentInvalid
from broker.core.times import china_day
from broker.errors import WrongUse
from broker.exchange.applying import directory_records
from broker.log.admin.topics import ensure_topics
from broker.log.registry.registry import open_codec
from broker.log.writing.writer import Writer
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.view import directory as rows
from broker.supervision.expiring import expiring
from connectors import registry

app = typer.Typer(help="Partners, items and agreements, kept as files and applied like infrastructure.")

Folder = Annotated[Path, typer.Argument(help="the folder with partners/, items/ and agreements/")]


@app.command()
def plan(folder: Folder = Path("directory"), as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show what applying the folder would change. Exit 1: there is a difference."""
    settings = load_settings(config)
    documents = read_folder(folder)
    check(documents)
    changes = difference(run(_in_force(settings)), documents)
    rows_of = [{"change": change, "file": file} for file, change in sorted(changes.items())]
    if as_json:
        print_rows(rows_of, ("change", "file"), as_json=True)
    elif changes:
        print_rows(rows_of, ("change", "file"), as_json=False)
    else:
        console.print("the directory in force is the one in the folder")
    raise typer.Exit(1 if changes else 0)


@app.command()
def apply(
    folder: Folder = Path("directory"),
    reason: Annotated[str, typer.Option(help="why, for the ledger")] = "directory applied",
    by: Annotated[str | None, typer.Option(help="who, for the ledger (default: the user)")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Record the folder's directory on the ledger; every worker follows."""
    settings = load_settings(config)
    documents = read_folder(folder)
    directory = run(put_on_ledger(settings, documents, by=by or getpass.getuser(), reason=reason))
    if as_json:
        print_json({"version": directory.version, "partners": sorted(directory.partners)})
    else:
        console.print(
            f"directory {directory.version} is on the ledger: {len(directory.partners)} partners, "
            f"{len(directory.items)} items, {len(directory.agreements)} agreements"
        )


@app.command()
def show(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show the directory in force. Exit 1: none was applied yet."""
    documents = run(_in_force(load_settings(config)))
    if not documents:
        notes.print("tongban: no directory has been applied; see `tongban directory apply --help`")
        raise typer.Exit(1)
    directory = read_directory(documents)
    if as_json:
        print_json({"version": directory.version, "documents": documents})
        return
    print_rows(
        (
            {"partner": each.id, "name": each.name, "connector": each.connector.get("kind")}
            for each in directory.partners.values()
        ),
        ("partner", "name", "connector"),
        as_json=False,
        title=f"directory {directory.version}",
    )
    print_rows(
        (
            {
                "between": " – ".join(each.partners),
                "items": ", ".join(each.items),
                "modes": ", ".join(each.modes),
                "until": each.until or "open",
            }
            for each in directory.agreements.values()
        ),
        ("between", "items", "modes", "until"),
        as_json=False,
    )


@app.command("expiring")
def expiring_(
    within: Annotated[int, typer.Option(min=0, help="days from today")] = 30,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show the agreements that end soon. Exit 1: there are some."""
    documents = run(_in_force(load_settings(config)))
    directory = read_directory(documents) if documents else EMPTY
    found = expiring(directory, china_day(datetime.now(UTC)), within)
    lines = (
        {
            "between": " – ".join(each.agreement.partners),
            "until": each.until.isoformat(),
            "days_left": each.days_left,
            "items": ", ".join(each.agreement.items),
            "contacts": ", ".join(f"{of}: {who}" for of, who in each.agreement.contacts.items()),
        }
        for each in found
    )
    if found or as_json:
        print_rows(lines, ("between", "until", "days_left", "items", "contacts"), as_json=as_json)
    else:
        console.print(f"no agreement ends within {within} days")
    raise typer.Exit(1 if found else 0)


def read_folder(folder: Path) -> dict[str, str]:
    """The folder's documents, ``{path in the folder: text}``. Raises :class:`WrongUse` when there is none."""
    documents = {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.toml"))
    }
    if not documents:
        raise WrongUse(f"directory: {folder}: expected *.toml files under partners/, items/ and agreements/")
    return documents


def check(documents: Mapping[str, str]) -> Directory:
    """The directory, with every partner's connector options checked too. Raises :class:`DocumentInvalid`."""
    directory = read_directory(documents)
    faults = registry.faults(directory)
    if faults:
        raise DocumentInvalid(faults)
    return directory


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """File by file: ``added``, ``changed`` or ``removed``."""
    changes = dict.fromkeys(before.keys() - after.keys(), "removed")
    changes.update(dict.fromkeys(after.keys() - before.keys(), "added"))
    changes.update({file: "changed" for file in before.keys() & after.keys() if before[file] != after[file]})
    return changes


async def _in_force(settings: Settings) -> dict[str, str]:
    store = await Store.open(settings.store.url)
    try:
        current = await store.read(rows.current)
    finally:
        await store.close()
    return current[1] if current else {}


async def put_on_ledger(
    settings: Settings, documents: Mapping[str, str], *, by: str, reason: str
) -> Directory:
    """Record a directory on every partition of the ledger. Raises :class:`DocumentInvalid` with every fault."""
    directory = check(documents)
    await ensure_topics(settings.kafka, directory.partners)
    records = directory_records(
        await open_codec(settings.kafka),
        documents,
        by=by,
        reason=reason,
        now=datetime.now(UTC),
        ledger_partitions=settings.kafka.ledger_partitions,
    )
    writer = Writer(settings.kafka, client_id="tongban-directory")
    await writer.start()
    try:
        await writer.write(records)
    finally:
        await writer.close()
    return directory
