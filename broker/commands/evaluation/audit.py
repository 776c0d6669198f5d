"""``tongban audit``: what is forbidden and was found, with its proof; lists of cities held against the ledger."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from broker.archive.case_findings import AHEAD, Span
from broker.archive.finding import MEANINGS, Finding, Kind
from broker.archive.findings import ALL, Question, as_document
from broker.archive.findings import findings as find
from broker.commands.acting import Actor, Pen, Written, actor, now, open_pen, open_store, until_judged
from broker.commands.common import DONE, FOUND, console, load_settings, print_json, run, say
from broker.commands.finding import directory_of, find_partner
from broker.commands.options import AsJson, By, ConfigFile, Reason
from broker.commands.showing import clock, moment, plain
from broker.core.documents import DocumentInvalid, Fault
from broker.core.evaluation.overtaking import NEVER
from broker.core.evaluation.reconciliation import ReconciliationList, month_of, read_list
from broker.core.ids import PartnerId
from broker.core.message import epoch_ms
from broker.errors import WrongUse
from broker.exchange.reconciling import reconciled_records
from broker.settings import Settings
from broker.store.access.statements import slices

app = typer.Typer(help="What is forbidden and was found, with the records that prove it.")

LARGEST_LIST: Final = 64 * 1024 * 1024
WAIT_S: Final = 30.0
_NOTHING_TAKEN: Final = "no line of it was written; mend what is named above and hand the whole list in again"
_AT_ONCE: Final = 20
"""Records of one write: a few megabytes."""

_Partner = Annotated[str | None, typer.Option("--partner", help="findings at this partner's side alone")]
_Since = Annotated[str | None, typer.Option("--since", help="RFC 3339, or an age like 90m, 4h, 30d")]


@app.command("findings")
def list_findings(
    kind: Annotated[
        list[Kind] | None, typer.Option("--kind", help="this kind alone; may be given several times")
    ] = None,
    partner: _Partner = None,
    since: _Since = None,
    until: Annotated[str | None, typer.Option("--until", help="the same; not included")] = None,
    ahead: Annotated[
        int, typer.Option("--ahead", min=1, help="how many waiting cases make a skipped queue")
    ] = AHEAD,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List what audit finds, with the records that prove each. Exit 1: it found something."""
    at = now()
    question = Question(
        kinds=frozenset(kind) if kind else ALL,
        span=Span(
            since=_moment("--since", since, at, 0),
            until=_moment("--until", until, at, NEVER),
        ),
        ahead=ahead,
    )
    found = run(_findings(load_settings(config), question, partner))
    for each in found:
        if as_json:
            print_json(as_document(each))
        else:
            _print(each)
    if not as_json:
        _print_counts(found)
    raise typer.Exit(FOUND if found else DONE)


@app.command()
def reconcile(
    file: Annotated[Path, typer.Argument(help="CSV, UTF-8: number,item,decided_on,fee_fen")],
    partner: Annotated[str, typer.Option("--partner", help="the city that handed the list in")],
    reason: Reason,
    by: By = "",
    month: Annotated[
        str | None, typer.Option("--month", help="YYYY-MM (default: that of the list's days)")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Put a city's list of a month on the ledger; findings then hold it against the cases there.

    The list is read whole first: all its faults are told at once, by line, and then no line of it is written. The
    last list of a city and month counts.
    """
    acting = actor("audit reconcile", by, reason)
    found = _read(file, month)
    run(_reconcile(load_settings(config), found, partner, acting, as_json=as_json))


def _moment(option: str, text: str | None, at: datetime, default: int) -> int:
    return default if text is None else epoch_ms(moment(f"audit findings: {option}", text, at))


async def _findings(settings: Settings, question: Question, partner: str | None) -> list[Finding]:
    async with open_store(settings) as store:
        if partner is not None:
            known = find_partner("audit findings", await directory_of(store), partner)
            span = Span(partner=known.id, since=question.span.since, until=question.span.until)
            question = Question(kinds=question.kinds, span=span, ahead=question.ahead)
        return await store.scan(find, question)


def _print(finding: Finding) -> None:
    meaning = MEANINGS[finding.kind]
    lines = [
        f"{clock(finding.at)}  {meaning.zh} {finding.kind.value}  {finding.partner}  {finding.case or '–'}",
        f"  {plain(finding.detail)}",
        f"  {meaning.forbids}",
        *(
            f"  {each.position}  {each.type}  {plain(each.message)}  {clock(each.at)}"
            for each in finding.proofs
        ),
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_counts(found: list[Finding]) -> None:
    if not found:
        say("audit: nothing was found")
    for kind in Kind:
        count = sum(each.kind is kind for each in found)
        if count:
            say(f"audit: {count} × {MEANINGS[kind].zh} ({MEANINGS[kind].en})")


def _read(file: Path, month: str | None) -> ReconciliationList:
    """Raises :class:`WrongUse` for what cannot be read, DocumentInvalid with every fault of what can."""
    if month is not None:
        try:
            month_of(month)
        except ValueError as fault:
            raise WrongUse(f"audit reconcile: --month: {fault}") from None
    try:
        if file.stat().st_size > LARGEST_LIST:
            raise WrongUse(f"{file}: larger than {LARGEST_LIST} bytes; hand it in month by month")
        return read_list(str(file), file.read_bytes(), month=month)
    except DocumentInvalid as invalid:
        untouched = Fault(file=str(file), key="the list", expected=_NOTHING_TAKEN)
        raise DocumentInvalid((*invalid.faults, untouched)) from None
    except OSError as fault:
        raise WrongUse(f"{file}: {fault.strerror}") from None


async def _reconcile(
    settings: Settings, found: ReconciliationList, partner: str, by: Actor, *, as_json: bool
) -> None:
    async with open_store(settings) as store:
        known = find_partner("audit reconcile", await directory_of(store), partner)
        async with open_pen(settings) as pen:
            written = await write(pen, known.id, found, by)
        seen = await until_judged(store, written, WAIT_S)
    faults = [verdict.code for verdict in seen.values() if verdict.code is not None]
    if as_json:
        print_json(
            {
                "partner": known.id,
                "month": found.month,
                "lines": len(found.entries),
                "records": [str(each.position) for each in written],
                "in_view": len(seen) == len(written),
            }
        )
    else:
        records = f"{len(written)} records from {written[0].position}"
        console.print(
            f"{known.id} {plain(known.name)}: the list of {found.month}, {len(found.entries)} lines, is on the "
            f"ledger: {records}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if len(seen) < len(written) or faults:
        say("tongban: not in the view yet: is the exchange running? Findings do not know the list before")
        raise typer.Exit(FOUND)


async def write(pen: Pen, partner: PartnerId, found: ReconciliationList, by: Actor) -> list[Written]:
    """Write a list on the ledger, in its order. Raises Unreachable or NotDurable: then hand it in again."""
    records = await asyncio.to_thread(
        reconciled_records,
        pen.codec,
        partner,
        found.month,
        found.entries,
        by=by.by,
        reason=by.reason,
        now=now(),
        ledger_partitions=pen.ledger_partitions,
    )
    return [each for some in slices(records, _AT_ONCE) for each in await pen.write(some)]
