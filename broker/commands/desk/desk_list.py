"""``tongban desk list``: what is on the desk, the most urgent first, with counts by cause at the top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from broker.commands.acting import now_ms, open_store
from broker.commands.common import console, print_json, print_rows
from broker.commands.desk.causes import explain
from broker.commands.desk.desk_select import Selection, find, is_overdue, read_filters
from broker.commands.showing import age, plain, short, stamp
from broker.core.operating.desk import Dossier, Standing
from broker.settings import Settings

_COLUMNS: Final = ("since", "deadline", "partner", "cause", "case", "message", "failures", "owner")


async def show(
    settings: Settings,
    selection: Selection,
    standings: frozenset[Standing],
    *,
    limit: int,
    as_json: bool,
) -> int:
    """Print what fits; how many there are. Raises WrongUse for filters that cannot fit anything."""
    at_ms = now_ms()
    async with open_store(settings) as store:
        filters = await read_filters(store, "desk list", selection)
        found = await find(store, filters, standings, at_ms, order="due")
    if as_json:
        for each in found:
            print_json(document(each, at_ms))
        return len(found)
    if not found:
        console.print("nothing on the desk fits", highlight=False)
        return 0
    for line in counts(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    columns = _COLUMNS if len(standings) == 1 else (*_COLUMNS, "standing")
    print_rows(
        (row(each, at_ms) for each in found[:limit]), columns, as_json=False, title="times: Asia/Shanghai"
    )
    if len(found) > limit:
        console.print(f"and {len(found) - limit} more: --limit, --cause, --partner, --case", highlight=False)
    return len(found)


def counts(dossiers: Sequence[Dossier]) -> list[str]:
    """How many of each cause, the most frequent first, with what the cause means."""
    found = Counter(each.cause for each in dossiers)
    lines = []
    for cause, count in sorted(found.items(), key=lambda pair: (-pair[1], pair[0])):
        cases = len({each.case for each in dossiers if each.cause == cause})
        told = explain(cause, None)
        of = f"{count} in {cases} case{'' if cases == 1 else 's'}"
        lines.append(f"{plain(cause)}: {of}. {told.zh} {told.en}")
    return lines


def row(dossier: Dossier, at_ms: int) -> dict[str, object]:
    """One dossier as a row of the table."""
    deadline = short(dossier.due_at_ms)
    if is_overdue(dossier, at_ms):
        deadline = f"{deadline} 逾期 {age((at_ms - dossier.due_at_ms) / 1000)} overdue"
    return {
        "since": short(dossier.opened_at_ms),
        "deadline": deadline,
        "partner": dossier.partner,
        "cause": plain(dossier.cause),
        "case": dossier.case,
        "message": dossier.message,
        "failures": dossier.failures,
        "owner": plain(dossier.owner),
        "standing": dossier.status.value,
    }


def document(dossier: Dossier, at_ms: int) -> dict[str, object]:
    """One dossier for a program."""
    return {
        "message": dossier.message,
        "partner": dossier.partner,
        "case": dossier.case,
        "cause": dossier.cause,
        "detail": dossier.detail,
        "standing": dossier.status.value,
        "blocks": dossier.blocks,
        "failures": dossier.failures,
        "owner": dossier.owner,
        "opened_at": stamp(dossier.opened_at_ms),
        "updated_at": stamp(dossier.updated_at_ms),
        "closed_at": stamp(dossier.closed_at_ms),
        "due_at": stamp(dossier.due_at_ms),
        "overdue": is_overdue(dossier, at_ms),
        "position": f"tongban.exchange/{dossier.ledger_partition}/{dossier.ledger_offset}",
    }
