"""What every command shares: its settings, its output, its exit codes, its way to run the event loop."""

from __future__ import annotations

import os
import sys
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson
import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from broker import settings as configuration
from broker.settings import Settings

T = TypeVar("T")
DONE, FOUND, WRONG_USE, UNREACHABLE = 0, 1, 2, 3
"""The contract's exit codes: done, found something, wrong use, a part is unreachable."""

console = Console()
notes = Console(stderr=True)


def load_settings(config: Path | None) -> Settings:
    """The settings that a command runs with. Raises :class:`ConfigurationInvalid` with every fault."""
    return configuration.load(os.environ, config)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine to its end."""
    return uvloop.run(work)


def say(line: str) -> None:
    """A line of progress on standard error."""
    notes.print(line, markup=False, highlight=False, soft_wrap=True)


def print_json(document: object) -> None:
    """One JSON document on a line of its own."""
    sys.stdout.buffer.write(orjson.dumps(document, default=str) + b"\n")
    sys.stdout.flush()


def print_rows(
    rows: Iterable[Mapping[str, object]], columns: Sequence[str], *, as_json: bool, title: str = ""
) -> int:
    """Rows as a table, or as JSON lines; returns how many there were."""
    count = 0
    if as_json:
        for row in rows:
            print_json(row)
            count += 1
        return count
    table = Table(*columns, title=Text(title) if title else None, title_justify="left")
    for row in rows:
        # As text, never as markup: what partners and operators have written is in these cells.
        table.add_row(*(Text("–" if row.get(column) is None else str(row[column])) for column in columns))
        count += 1
    console.print(table)
    return count
