"""``tongban partner status``: everything that is known of partners, read once and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from broker.commands.acting import now_ms, open_store
from broker.commands.common import console, print_rows
from broker.commands.finding import directory_of, find_partner
from broker.commands.partners.standing import COLUMNS, Read, Standing, page, row, sentence, stand
from broker.commands.showing import age, plain, short
from broker.errors import Unreachable
from broker.settings import Settings
from broker.store.delivering import line_status
from broker.store.view import levers as lever_rows
from broker.store.view import messages
from broker.store.view import standing as counts
from broker.supervision.lag import StageLag, read_lag


async def standings(settings: Settings, only: str | None) -> tuple[list[Standing], int, Unreachable | None]:
    async with open_store(settings) as store:
        directory = await directory_of(store)
        if only is not None:
            known = find_partner("partner status", directory, only)
            directory = replace(directory, partners={known.id: known})
        lags: list[StageLag] = []
        away: Unreachable | None = None
        try:
            lags = await read_lag(settings.kafka, directory)
        except Unreachable as fault:  # one part that is away never blanks the page
            away = fault
        at_ms = now_ms()
        levers, lines, backlogs, parked, desk = await asyncio.gather(
            store.read(lever_rows.read_all),
            store.read(line_status.read),
            store.read(messages.backlogs),
            store.read(counts.parked_cases),
            store.read(counts.on_desk, at_ms),
        )
    read = Read(
        directory=directory,
        levers=levers,
        lines=lines,
        backlogs=backlogs,
        parked=parked,
        desk=desk,
        now_ms=at_ms,
    )
    standings = stand(read, lags)
    return [each for each in standings if only is None or each.id == only], at_ms, away


def print_table(standings: list[Standing], at_ms: int) -> None:
    """One row a partner, then one sentence for each that somebody is to look at."""
    if not standings:
        console.print("no partners: no directory has been applied yet", highlight=False)
        return
    print_rows((row(each, at_ms) for each in standings), COLUMNS, as_json=False, title="times: Asia/Shanghai")
    for each in standings:
        _print_sentence(each, at_ms)


def print_page(standing: Standing, at_ms: int) -> None:
    """One partner, whole, and the last word of each of its workers."""
    facts = [{"fact": name, "value": value} for name, value in page(standing, at_ms).items()]
    title = f"{standing.id} {plain(standing.name)} (times: Asia/Shanghai)"
    print_rows(facts, ("fact", "value"), as_json=False, title=title)
    if standing.heard or standing.silent:
        columns = ("worker", "phase", "since", "fly/wait/held", "parked", "last word", "reason")
        print_rows(_workers(standing, at_ms), columns, as_json=False)
    _print_sentence(standing, at_ms)


def _workers(standing: Standing, at_ms: int) -> Iterator[dict[str, object]]:
    for line in (*standing.heard, *standing.silent):
        silent = age((at_ms - line.updated_at) / 1000)
        if line in standing.silent:
            yield {"worker": line.worker, "last word": f"no word for {silent}"}
            continue
        yield {
            "worker": line.worker,
            "phase": line.phase,
            "since": short(line.since),
            "fly/wait/held": f"{line.in_flight}/{line.waiting}/{line.held}",
            "parked": line.parked,
            "last word": f"{silent} ago",
            "reason": None if line.reason is None else plain(line.reason),
        }


def _print_sentence(standing: Standing, at_ms: int) -> None:
    if (line := sentence(standing, at_ms)) is not None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
