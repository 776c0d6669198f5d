"""``tongban demo``: a real Kafka, the broker and the partner cities; cases there and back."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from broker.commands.common import FOUND, console, notes, run
from broker.commands.trying.demo_broker import demo_broker
from deploy.demo.play import Outcome, play


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="end by itself; exit 0 only if every effect is there")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(help="where the demo keeps its files (default: a new one)")
    ] = None,
) -> None:
    """Play the road with partner cities and their authorities. Ctrl-C ends it."""
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
    async with demo_broker(home, what="demo", cast="the partner cities") as start:
        return await play(start, home, once=once, console=console)
