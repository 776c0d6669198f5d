"""``tongban replay``: the ledger read back, read-only, without a consumer group."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer

from broker.archive.replay import Window, as_document
from broker.archive.replay import replay as read_back
from broker.commands.common import console, load_settings, notes, print_json, run
from broker.commands.options import AsJson, ConfigFile
from broker.core.ids import InvalidId, Party, case_id, partner_id
from broker.core.message import parse_time
from broker.errors import WrongUse
from broker.log.reading.scan import Progress
from broker.log.registry.registry import open_codec
from broker.settings import Settings


def replay(
    case: Annotated[str | None, typer.Option(help="one case: <partner>/<number>")] = None,
    partner: Annotated[str | None, typer.Option(help="messages from or to one partner")] = None,
    since: Annotated[str | None, typer.Option("--from", help="RFC 3339, included")] = None,
    until: Annotated[str | None, typer.Option("--to", help="RFC 3339, not included")] = None,
    into: Annotated[Path | None, typer.Option(help="write JSON lines to this new file")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Read a case, a partner's messages or a time window back from the ledger. Exit 1: nothing was found."""
    if case is None and partner is None and since is None and until is None:
        raise WrongUse("replay: say what: --case, --partner, --from or --to")
    if into is not None and into.exists():
        raise WrongUse(f"replay: {into} exists; name a new file")
    try:
        window = Window(
            case=case_id(case) if case else None,
            partner=Party(partner_id(partner)) if partner else None,
            since=_moment("--from", since),
            until=_moment("--to", until),
        )
    except InvalidId as fault:
        raise WrongUse(f"replay: {fault}") from None
    found = run(_replay(load_settings(config), window, into=into, as_json=as_json))
    if not found:
        notes.print("tongban: nothing on the ledger fits")
        raise typer.Exit(1)


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError:
        raise WrongUse(
            f"replay: {option}: expected RFC 3339 with an offset, like 2026-11-22T09:00:00+08:00"
        ) from None


async def _replay(settings: Settings, window: Window, *, into: Path | None, as_json: bool) -> int:
    codec = await open_codec(settings.kafka)
    count = 0
    target = into.open("xb") if into is not None else None
    try:
        async for replayed in read_back(settings.kafka, window, progress=_say if target else None):
            document = as_document(codec, replayed)
            count += 1
            if target is not None:
                target.write(orjson.dumps(document, default=str) + b"\n")
            elif as_json:
                print_json(document)
            else:
                _print(document)
    finally:
        if target is not None:
            target.close()
    return count


def _say(progress: Progress) -> None:
    notes.print(f"replay: {progress.passed}/{progress.total} records", end="\r")


def _print(document: dict[str, object]) -> None:
    console.print(
        f"{document['at']}  {document['position']}  {document['source']} → {document['destination']}  "
        f"{document['type']}  {document['case']}  {document['id']}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
