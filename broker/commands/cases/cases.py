"""``tongban case``: one case as both sides see it, and everything that happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer

from broker.archive.replay import clear_fields
from broker.commands.cases import sheet
from broker.commands.common import console, load_settings, notes, print_json, print_rows, run
from broker.commands.options import AsJson, ConfigFile
from broker.core.case.lifecycle import CaseState
from broker.core.case.terms import terms_of_case
from broker.core.catalogue.directory import EMPTY, Directory, read_directory
from broker.core.clocks.deadlines import next_deadline
from broker.core.clocks.outlook import card_facts, outlook
from broker.core.ids import CaseId, InvalidId, case_id
from broker.core.message import from_epoch_ms, from_record, rfc3339
from broker.core.records import Position
from broker.errors import WrongUse
from broker.log.admin import topics
from broker.log.reading import scan
from broker.log.registry.registry import open_codec
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.rows import MessageRow
from broker.store.view import cases
from broker.store.view import directory as directory_rows

app = typer.Typer(help="One case as both sides see it, and everything that happened to it.")

Case = Annotated[str, typer.Argument(help="<partner that opened it>/<its own case number>")]


@app.command()
def show(case: Case, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show a case: where it stands, what was promised, what falls next. Exit 1: there is no such case."""
    state, directory = run(_state(load_settings(config), _case(case)))
    if state is None:
        _absent(case)
        return
    facts, under = orjson.loads(state.to_json()), terms_of_case(state, directory)
    standing = outlook(state, under, datetime.now(UTC))
    coming = next_deadline(state, under.item, under.calendar)
    if as_json:
        if standing is not None:
            facts["standing"] = standing.to_facts()
        elif coming is not None:
            facts["standing"] = {"next": card_facts(coming)}
        print_json(facts)
        return
    lines = sheet.rows(state, facts, under, standing, coming)
    print_rows(
        ({"fact": name, "value": value} for name, value in lines),
        ("fact", "value"),
        as_json=False,
        title="times: Asia/Shanghai",
    )


@app.command()
def timeline(
    case: Case,
    facts: Annotated[
        bool, typer.Option("--facts", help="read each message's clear fields from the ledger")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List every message of a case with its receipt. Exit 1: there is no such case."""
    settings = load_settings(config)
    identity = _case(case)
    _, messages = run(_load(settings, identity))
    if not messages:
        _absent(case)
    clear = run(_facts(settings, messages)) if facts else {}
    if as_json:
        for row in messages:
            print_json({**asdict(row), "facts": clear.get((row.source, row.id))})
        return
    columns = ("at", "type", "from", "to", "verdict", "outcome", "after", "tries", "position")
    print_rows((_line(row) for row in messages), columns, as_json=False, title=case)
    for row in messages:
        if (row.source, row.id) in clear:
            console.print(f"{row.type}  {clear[row.source, row.id]}", highlight=False, markup=False)


def _case(text: str) -> CaseId:
    try:
        return case_id(text)
    except InvalidId as fault:
        raise WrongUse(str(fault)) from None


def _absent(case: str) -> None:
    notes.print(
        f"tongban: no case {case} in the view; `tongban replay --case {case}` asks the ledger itself",
        soft_wrap=True,
        markup=False,
    )
    raise typer.Exit(1)


async def _state(settings: Settings, case: CaseId) -> tuple[CaseState | None, Directory]:
    """The case, and the directory that it was opened under."""
    store = await Store.open(settings.store.url)
    try:
        state = await store.read(cases.case_state, case)
        if state is None or not state.directory:
            return state, EMPTY
        return state, read_directory(
            orjson.loads(await store.read(directory_rows.documents, state.directory))
        )
    finally:
        await store.close()


async def _load(settings: Settings, case: CaseId) -> tuple[CaseState | None, list[MessageRow]]:
    store = await Store.open(settings.store.url)
    try:
        return await store.read(cases.case_state, case), await store.read(cases.timeline, case)
    finally:
        await store.close()


async def _facts(
    settings: Settings, rows: Sequence[MessageRow]
) -> dict[tuple[str, str], dict[str, object] | None]:
    codec = await open_codec(settings.kafka)
    places = [Position(topics.LEDGER, row.ledger_partition, row.ledger_offset) for row in rows]
    records = await scan.read_at(settings.kafka, places)
    messages = [from_record(record) for record in records]
    return {(each.source, each.id): clear_fields(codec, each) for each in messages}


def _line(row: MessageRow) -> dict[str, object]:
    waited = f"{(row.outcome_at - row.accepted_at) / 1000:.3f} s" if row.outcome_at is not None else None
    return {
        "at": rfc3339(from_epoch_ms(row.accepted_at)),
        "type": row.type,
        "from": row.source,
        "to": row.destination,
        "verdict": row.code or row.verdict,
        "outcome": row.outcome,
        "after": waited,
        "tries": row.attempts or None,
        "position": f"{row.ledger_partition}/{row.ledger_offset}",
    }
