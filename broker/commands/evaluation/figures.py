"""``tongban figures``: volumes, times, on-time rate and ratings by pair, item and month, for outside evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from broker.commands.acting import open_store
from broker.commands.common import console, load_settings, notes, print_json, run
from broker.commands.options import AsJson, ConfigFile
from broker.core.evaluation.figures import SMALL
from broker.core.evaluation.reconciliation import month_of
from broker.errors import WrongUse
from broker.settings import Settings
from broker.supervision.figures import FILES, Counted, compute, months_between, write

MOST_MONTHS: Final = 120


def figures(
    to: Annotated[Path, typer.Option("--to", help="a folder for the three files; it is made")],
    month: Annotated[str | None, typer.Option("--month", help="one month, YYYY-MM")] = None,
    since: Annotated[str | None, typer.Option("--since", help="or from this month, YYYY-MM")] = None,
    until: Annotated[str | None, typer.Option("--until", help="to this month, included")] = None,
    small: Annotated[
        int, typer.Option("--small", min=1, help="rows of fewer cases are hidden, and what would tell them")
    ] = SMALL,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Write figures.csv, figures.parquet and figures.dictionary.csv: no case and no person is in them."""
    months = _months(month, since, until)
    there = [name for name in FILES if (to / name).exists()]
    if there or (to.exists() and not to.is_dir()):
        raise WrongUse(f"figures: {to} has {', '.join(there)}" if there else f"figures: {to} is no folder")
    counted = run(_figures(load_settings(config), months, small))
    try:
        write(to, counted.rows)
    except OSError as fault:
        raise WrongUse(f"figures: {to}: {fault.strerror}") from None
    if as_json:
        print_json(
            {"folder": str(to), "files": FILES, "rows": len(counted.rows), "suppressed": counted.hidden}
        )
        return
    console.print(
        f"{len(counted.rows)} rows of {len(months)} months in {to}; {counted.hidden} of them are hidden, as fewer "
        f"than {small} cases are in them or could be worked out from them",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _months(month: str | None, since: str | None, until: str | None) -> tuple[str, ...]:
    if (month is None) == (since is None) or (month is not None and until is not None):
        raise WrongUse("figures: say --month, or --since and perhaps --until")
    first = _month("--month" if month else "--since", month or since or "")
    last = first if month else _month("--until", until or first)
    if last < first:
        raise WrongUse("figures: --until: expected a month that is not before --since")
    months = months_between(first, last)
    if len(months) > MOST_MONTHS:
        raise WrongUse(f"figures: at most {MOST_MONTHS} months at once")
    return months


def _month(option: str, text: str) -> str:
    try:
        return month_of(text)
    except ValueError as fault:
        raise WrongUse(f"figures: {option}: {fault}") from None


async def _figures(settings: Settings, months: tuple[str, ...], small: int) -> Counted:
    columns = (TextColumn("cases"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with open_store(settings) as store:
        with Progress(*columns, console=notes, transient=True) as shown:
            task = shown.add_task("cases", total=None)
            return await store.scan(
                compute,
                months,
                small=small,
                progress=lambda done, of: shown.update(task, completed=done, total=of),
            )
