"""``tongban desk``: what could not be brought to its recipient (办不成事), and what a named person does about it."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from broker.commands.acting import actor, now, words
from broker.commands.common import load_settings, run
from broker.commands.desk import desk_list, desk_page
from broker.commands.desk.desk_acts import Deed
from broker.commands.desk.desk_run import Job, Way, carry_out
from broker.commands.desk.desk_select import ANY, Selection
from broker.commands.options import (
    DEFAULT_WAIT_S,
    AsJson,
    By,
    Case,
    Cause,
    ConfigFile,
    DryRun,
    Lane,
    Names,
    Overdue,
    Partner,
    Reason,
    Wait,
)
from broker.core.operating.desk import Act, Standing
from broker.core.times import china_day
from broker.errors import WrongUse

app = typer.Typer(
    help="What could not be delivered (办不成事), and what a named person does about it.",
    no_args_is_help=True,
)


@app.command("list")
def list_dossiers(
    partner: Partner = None,
    cause: Cause = None,
    case: Case = None,
    standing: Annotated[
        str, typer.Option("--standing", help=f"{', '.join(Standing)} or all")
    ] = Standing.OPEN.value,
    overdue: Overdue = False,
    mine: Annotated[str | None, typer.Option("--mine", metavar="OWNER", help="only this owner's")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="how many rows; the counts are of all")] = 200,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List what is on the desk, the most urgent first. Exit 1: there is something; 0: there is nothing."""
    if standing != "all" and standing not in {each.value for each in Standing}:
        raise WrongUse(f"desk list: --standing: expected {', '.join(Standing)} or all")
    standings = ANY if standing == "all" else frozenset({Standing(standing)})
    selection = Selection(partner=partner, cause=cause, case=case, owner=mine, overdue=overdue)
    found = run(desk_list.show(load_settings(config), selection, standings, limit=limit, as_json=as_json))
    raise typer.Exit(1 if found else 0)


@app.command()
def show(
    message: Annotated[str, typer.Argument(metavar="SOURCE/ID", help="a message, such as 451300/m-1")],
    record: Annotated[
        bool, typer.Option("--record", help="its headers verbatim, read from the ledger")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show one dossier: why, what to do, every attempt, its history, what waits behind it. Exit 1: there is none."""
    run(desk_page.show(load_settings(config), message, record=record, as_json=as_json))


@app.command()
def retry(
    messages: Names = None,
    partner: Partner = None,
    cause: Cause = None,
    case: Case = None,
    overdue: Overdue = False,
    lane: Lane = False,
    by: By = "",
    reason: Reason = "",
    dry_run: DryRun = False,
    wait_s: Wait = DEFAULT_WAIT_S,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Deliver again under the same id, in the ledger's order; by filters, what lies behind the chosen goes along.

    Exit 1: some failed again, were refused, or left.
    """
    who = None if dry_run else actor("desk retry", by, reason)
    chosen = _asked(messages, partner, cause, case, overdue)
    way = Way(dry_run=dry_run, wait_s=wait_s, as_json=as_json)
    job = Job(command="desk retry", selection=chosen, deed=Deed(act=Act.REDRIVEN), by=who, way=way, lane=lane)
    carry_out(load_settings(config), job)


@app.command("return")
def give_back(
    messages: Names = None,
    partner: Partner = None,
    cause: Cause = None,
    case: Case = None,
    overdue: Overdue = False,
    by: By = "",
    reason: Reason = "",
    dry_run: DryRun = False,
    wait_s: Wait = DEFAULT_WAIT_S,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Give messages back to their senders, who are told why. Exit 1: some were refused or left."""
    who = None if dry_run else actor("desk return", by, reason)
    chosen = _asked(messages, partner, cause, case, overdue)
    way = Way(dry_run=dry_run, wait_s=wait_s, as_json=as_json)
    job = Job(command="desk return", selection=chosen, deed=Deed(act=Act.RETURNED), by=who, way=way)
    carry_out(load_settings(config), job)


@app.command()
def skip(
    messages: Names = None,
    partner: Partner = None,
    cause: Cause = None,
    case: Case = None,
    overdue: Overdue = False,
    by: By = "",
    reason: Reason = "",
    dry_run: DryRun = False,
    wait_s: Wait = DEFAULT_WAIT_S,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Close dossiers without delivery; what waits behind them goes on. Exit 1: some were refused or left."""
    who = None if dry_run else actor("desk skip", by, reason)
    chosen = _asked(messages, partner, cause, case, overdue)
    way = Way(dry_run=dry_run, wait_s=wait_s, as_json=as_json)
    job = Job(command="desk skip", selection=chosen, deed=Deed(act=Act.SKIPPED), by=who, way=way)
    carry_out(load_settings(config), job)


@app.command()
def assign(
    messages: Names = None,
    owner: Annotated[str, typer.Option("--owner", help="who is to see to it")] = "",
    due_on: Annotated[
        str,
        typer.Option("--due-on", help="until the end of that day in China, YYYY-MM-DD (default: as it is)"),
    ] = "",
    partner: Partner = None,
    cause: Cause = None,
    case: Case = None,
    overdue: Overdue = False,
    by: By = "",
    reason: Reason = "",
    dry_run: DryRun = False,
    wait_s: Wait = DEFAULT_WAIT_S,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Give dossiers an owner, and a deadline. Exit 1: some were refused or left."""
    who = None if dry_run else actor("desk assign", by, reason)
    deed = Deed(
        act=Act.ASSIGNED,
        owner=words("desk assign", "--owner", owner),
        due_on=_day(due_on) if due_on else None,
    )
    chosen = _asked(messages, partner, cause, case, overdue)
    way = Way(dry_run=dry_run, wait_s=wait_s, as_json=as_json)
    carry_out(load_settings(config), Job(command="desk assign", selection=chosen, deed=deed, by=who, way=way))


@app.command()
def note(
    messages: Names = None,
    text: Annotated[str, typer.Option("--note", help="what to remember; names no citizen")] = "",
    partner: Partner = None,
    cause: Cause = None,
    case: Case = None,
    overdue: Overdue = False,
    by: By = "",
    reason: Reason = "",
    dry_run: DryRun = False,
    wait_s: Wait = DEFAULT_WAIT_S,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Write a note into dossiers' histories. Exit 1: some were refused or left."""
    who = None if dry_run else actor("desk note", by, reason)
    deed = Deed(act=Act.NOTED, note=words("desk note", "--note", text))
    chosen = _asked(messages, partner, cause, case, overdue)
    way = Way(dry_run=dry_run, wait_s=wait_s, as_json=as_json)
    carry_out(load_settings(config), Job(command="desk note", selection=chosen, deed=deed, by=who, way=way))


def _asked(
    messages: list[str] | None, partner: str | None, cause: str | None, case: str | None, overdue: bool
) -> Selection:
    return Selection(names=tuple(messages or ()), partner=partner, cause=cause, case=case, overdue=overdue)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise WrongUse("desk assign: --due-on: expected a day like 2026-11-25") from None
    if day < china_day(now()):
        raise WrongUse("desk assign: --due-on: expected today or a later day")
    return day
