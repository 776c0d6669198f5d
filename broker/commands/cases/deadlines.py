"""``tongban deadlines``: what falls due next, and which cards are out on limits that still run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Final

import typer

from broker.commands.acting import now_ms, open_store
from broker.commands.cases.sheet import limit_name
from broker.commands.common import console, load_settings, print_json, print_rows, run
from broker.commands.options import AsJson, ConfigFile
from broker.commands.showing import age, plain, short, stamp
from broker.core.calendar import Calendar
from broker.core.case.lifecycle import CaseState
from broker.core.case.terms import Terms
from broker.core.clocks.deadlines import Deadline, Kind, Light, deadlines, is_open
from broker.core.clocks.limits import day_of
from broker.core.ids import CaseId, InvalidId, PartnerId, partner_id
from broker.core.message import epoch_ms, from_epoch_ms
from broker.errors import WrongUse
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.rows import CardRow
from broker.store.view import cards as card_rows
from broker.store.view import deadlines as rows
from broker.supervision.planning import Planning

app = typer.Typer(help="时限: what falls due next, yellow and red cards.", no_args_is_help=True)

_COLUMNS: Final = ("light", "when", "limit", "due on", "left", "case", "item", "side")
_SIGNS: Final = {Light.YELLOW: "▲ 黄牌", Light.RED: "■ 红牌"}
_AHEAD: Final = re.compile(r"([1-9][0-9]{0,3})(min|h|d)")
_UNITS: Final = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One card: out (``issued_at``), or still to fall. ``days_left`` are working days from today on."""

    state: CaseState
    kind: Kind
    light: Light
    step: str
    turn: int
    falls_at: int
    issued_at: int | None
    due_on: date
    days_left: int
    late: PartnerId
    item_name: str
    provisional: bool


@app.callback()
def _group() -> None:
    """时限: what falls due next, yellow and red cards."""


@app.command("list")
def list_(
    partner: Annotated[str | None, typer.Option(help="of this partner, on either side")] = None,
    within: Annotated[str, typer.Option(help="what falls within 90min, 12h, 3d")] = "3d",
    light: Annotated[Light | None, typer.Option(help="only yellow, or only red cards")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="how many at most, of each sort")] = 200,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Cards that are out on limits that still run, then those that fall next. Exit 1: a red one is out."""
    settings = load_settings(config)
    try:
        of = None if partner is None else partner_id(partner)
    except InvalidId as fault:
        raise WrongUse(f"--partner: expected {fault.expected}") from None
    found = run(_find(settings, of, light, ahead(within), limit))
    at_ms = now_ms()
    if as_json:
        for each in found:
            print_json(document(each))
    elif found:
        print_rows(
            (row(each, at_ms) for each in found), _COLUMNS, as_json=False, title="times: Asia/Shanghai"
        )
    else:
        console.print(f"no card is out, and none falls within {within}", highlight=False)
    raise typer.Exit(1 if any(each.issued_at and each.light is Light.RED for each in found) else 0)


@app.command("replan")
def replan(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Plan all open cases anew, after an upgrade that brings a year's published holidays."""
    settings = load_settings(config)
    cases, replanned = run(_replan(settings))
    if as_json:
        print_json({"cases": cases, "replanned": replanned})
    else:
        console.print(f"{cases} cases with a limit looked at, {replanned} planned anew", highlight=False)


def ahead(text: str) -> timedelta:
    """``--within``. Raises :class:`WrongUse`."""
    found = _AHEAD.fullmatch(text)
    if found is None:
        raise WrongUse("--within: expected a time like 90min, 12h or 3d")
    return int(found[1]) * _UNITS[found[2]]


def row(line: Line, at_ms: int) -> dict[str, object]:
    """One line of the table."""
    if line.issued_at is None:
        when = f"in {age((line.falls_at - at_ms) / 1000)}, {short(line.falls_at)}"
    else:
        when = f"out since {short(line.issued_at)}"
    return {
        "light": _SIGNS[line.light],
        "when": when,
        "limit": limit_name(line.kind, line.step),
        "due on": f"{line.due_on}{' (provisional)' if line.provisional else ''}",
        "left": line.days_left,
        "case": line.state.case,
        "item": plain(line.item_name),
        "side": line.late,
    }


def document(line: Line) -> dict[str, object]:
    """One line for a program."""
    return {
        "case": line.state.case,
        "opening": line.state.opening,
        "responsible": line.state.responsible,
        "item": line.state.item,
        "item_name": line.item_name,
        "status": line.state.status,
        "kind": line.kind,
        "step": line.step or None,
        "light": line.light,
        "turn": line.turn,
        "falls_at": stamp(line.falls_at),
        "issued_at": stamp(line.issued_at),
        "due_on": line.due_on.isoformat(),
        "days_left": line.days_left,
        "late": line.late,
        "provisional": line.provisional,
    }


async def _replan(settings: Settings) -> tuple[int, int]:
    async with open_store(settings) as store:
        return await Planning(store).plan_anew()


async def _find(
    settings: Settings, partner: PartnerId | None, light: Light | None, within: timedelta, limit: int
) -> list[Line]:
    at_ms = now_ms()
    until_ms = at_ms + within // timedelta(milliseconds=1)
    async with open_store(settings) as store:
        planning = Planning(store)
        out = await _out(store, planning, partner, light, limit, day_of(from_epoch_ms(at_ms)))
        planned = await store.read(rows.upcoming, until_ms, partner=partner, limit=limit)
        coming: list[Line] = []
        for each in planned:
            of_case = await planning.terms(each.state)
            cards = deadlines(each.state, of_case.item, of_case.calendar)
            coming += [
                _coming(each.state, card, of_case, day_of(from_epoch_ms(at_ms)))
                for card in cards
                if epoch_ms(card.falls_at) <= until_ms and light in (None, card.light)
            ]
    return out + sorted(coming, key=lambda line: (line.falls_at, line.state.case))[:limit]


async def _out(
    store: Store, planning: Planning, partner: PartnerId | None, light: Light | None, limit: int, today: date
) -> list[Line]:
    """Cards on limits that still run, the latest first; a red one stands for its yellow one too."""
    found: list[Line] = []
    shown: set[tuple[CaseId, str, str]] = set()
    before: CardRow | None = None
    while len(found) < limit:
        page = await store.read(card_rows.issued, partner=partner, light=light, before=before)
        for card, state in page:
            limit_of = (state.case, card.kind, card.step)
            if limit_of in shown or not _still_runs(state, card):
                continue
            shown.add(limit_of)
            found.append(_issued(state, card, await planning.terms(state), today))
        if not page:
            break
        before = page[-1][0]
    return sorted(found[:limit], key=_urgency)


def _still_runs(state: CaseState, card: CardRow) -> bool:
    return is_open(state, Kind(card.kind), card.step, card.turn)


def _urgency(line: Line) -> tuple[bool, date, str]:
    return line.light is Light.YELLOW, line.due_on, line.state.case


def _issued(state: CaseState, card: CardRow, of_case: Terms, today: date) -> Line:
    due_on = date.fromisoformat(card.due_on)
    return Line(
        state=state,
        kind=Kind(card.kind),
        light=Light(card.light),
        step=card.step,
        turn=card.turn,
        falls_at=card.falls_at,
        issued_at=card.issued_at,
        due_on=due_on,
        days_left=_left(of_case.calendar, today, due_on),
        late=card.late,
        item_name=of_case.item.name if of_case.item else state.item,
        provisional=not of_case.calendar.published(due_on),
    )


def _coming(state: CaseState, card: Deadline, of_case: Terms, today: date) -> Line:
    return Line(
        state=state,
        kind=card.kind,
        light=card.light,
        step=card.step,
        turn=card.turn,
        falls_at=epoch_ms(card.falls_at),
        issued_at=None,
        due_on=card.due_on,
        days_left=_left(of_case.calendar, today, card.due_on),
        late=card.late,
        item_name=of_case.item.name if of_case.item else state.item,
        provisional=card.provisional,
    )


def _left(calendar: Calendar, today: date, due_on: date) -> int:
    left = calendar.between(today, due_on)
    return left if today <= due_on else min(left, -1)
