"""``tongban desk retry|return|skip|assign|note`` and ``tongban partner recover``: chosen, written, followed, told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import typer

from broker.commands.acting import Actor, Written, now_ms, open_store
from broker.commands.common import DONE, FOUND, console, print_json, run, say
from broker.commands.desk.desk_acts import (
    Chosen,
    Deed,
    Ended,
    Left,
    Tally,
    follow,
    in_order,
    perform,
    with_lanes,
)
from broker.commands.desk.desk_select import NOT_CLOSED, Selection, check, find, named, read_filters
from broker.commands.showing import plain
from broker.core.ids import BROKER
from broker.core.operating.desk import Act, Dossier, Standing
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.rows import Name

_TOLD: Final = 20
_WORDS: Final = {
    Act.REDRIVEN: "retry",
    Act.RETURNED: "return",
    Act.SKIPPED: "skip",
    Act.ASSIGNED: "assign",
    Act.NOTED: "note",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a command goes about it. ``wait_s`` 0: it leaves once the ledger holds the acts."""

    dry_run: bool
    wait_s: float
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One command: what is to be done to which dossiers, by whom (None: it is a dry run). ``lane``: whole lanes."""

    command: str
    selection: Selection
    deed: Deed
    by: Actor | None
    way: Way
    lane: bool = False

    @property
    def word(self) -> str:
        return _WORDS[self.deed.act]


def carry_out(settings: Settings, job: Job) -> None:
    """Do it, tell it, and leave with exit 1 when something was left, refused, or failed again."""
    raise typer.Exit(run(_carry_out(settings, job)))


async def _carry_out(settings: Settings, job: Job) -> int:
    names = check(job.command, job.selection)
    async with open_store(settings) as store:
        chosen, missing = await _choose(store, job, names)
        for each in missing:
            say(f"tongban: {each} has no dossier on the desk; `tongban desk list` names those that have")
        _tell_left(chosen.left)
        if not chosen.dossiers:
            say(f"tongban: nothing to {job.word}; nothing was written")
            if job.way.as_json:
                print_json(_document(job, chosen, {}, Tally()))
            return FOUND
        incomplete = bool(chosen.left or missing)
        if job.by is None:
            _tell_plan(job, chosen)
            return FOUND if incomplete else DONE
        if not job.way.as_json:
            console.print(
                _preview(job, chosen.dossiers, job.by), markup=False, highlight=False, soft_wrap=True
            )
        written = await perform(settings, chosen.dossiers, job.deed, job.by)
        tally = Tally()
        if job.way.wait_s > 0:
            delivers = job.deed.act is Act.REDRIVEN
            tally = await follow(store, chosen.dossiers, written, job.way.wait_s, delivers=delivers)
        _tell_end(job, chosen, written, tally)
        return FOUND if incomplete or tally.troubled else DONE


async def _choose(store: Store, job: Job, names: tuple[Name, ...]) -> tuple[Chosen, list[str]]:
    """What is to be done in the ledger's order, what is left, and the names that nobody knows."""
    closing = job.deed.act in (Act.REDRIVEN, Act.RETURNED, Act.SKIPPED)
    standings = frozenset({Standing.OPEN}) if closing else NOT_CLOSED
    left: list[Left] = []
    missing: list[str] = []
    if names:
        dossiers, left, missing = await named(store, names, standings)
    else:
        filters = await read_filters(store, job.command, job.selection)
        dossiers = await find(store, filters, standings, now_ms())
    if job.deed.act is Act.REDRIVEN:
        chosen = await with_lanes(store, dossiers, whole=job.lane, along=not names)
    else:
        chosen = in_order(dossiers, ())
    if job.deed.act is Act.RETURNED:
        chosen = _with_a_sender(chosen)
    return replace(chosen, left=(*left, *chosen.left)), missing


def _with_a_sender(chosen: Chosen) -> Chosen:
    """What the broker itself said has nobody to go back to."""
    own = tuple(each for each in chosen.dossiers if each.name[0] == BROKER)
    why = "is the broker's own word, which has no sender to return it to: skip it"
    return replace(
        chosen,
        dossiers=tuple(each for each in chosen.dossiers if each not in own),
        left=(*chosen.left, *(Left(dossier=each, why=why) for each in own)),
    )


def _preview(job: Job, dossiers: Sequence[Dossier], by: Actor) -> str:
    cases, partners = {each.case for each in dossiers}, sorted({each.partner for each in dossiers})
    return (
        f"{job.word} {_count(len(dossiers), 'message')} of {_count(len(cases), 'case')} to {', '.join(partners)}, "
        f"by {by.by}: {by.reason}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _tell_left(left: Sequence[Left]) -> None:
    for each in left[:_TOLD]:
        say(f"tongban: {each.dossier.message} {each.why}")
    if len(left) > _TOLD:
        say(f"tongban: and {len(left) - _TOLD} more are left as they are")


def _tell_plan(job: Job, chosen: Chosen) -> None:
    if job.way.as_json:
        print_json(_document(job, chosen, {}, Tally()))
        return
    for number, each in enumerate(chosen.dossiers, 1):
        console.print(
            f"{number}. {job.word} {each.message}  case {each.case} → {each.partner}  ({plain(each.cause)}, "
            f"failed {each.failures} time{'' if each.failures == 1 else 's'})",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    console.print("a dry run: nothing was written", markup=False, highlight=False)


def _tell_end(job: Job, chosen: Chosen, written: Mapping[Name, Written], tally: Tally) -> None:
    if job.way.as_json:
        print_json(_document(job, chosen, written, tally))
        return
    parts = [f"{len(written)} on the ledger"]
    parts.extend(f"{count} {word}" for word, count in tally.words().items())
    console.print(", ".join(parts), markup=False, highlight=False, soft_wrap=True)
    if chosen.behind:
        console.print(
            f"{chosen.behind} behind in their lanes stay on the desk; --lane takes them along",
            markup=False,
            highlight=False,
        )
    for each in tally.troubled[:_TOLD]:
        console.print(_trouble(each), markup=False, highlight=False, soft_wrap=True)
    if len(tally.troubled) > _TOLD:
        console.print(f"and {len(tally.troubled) - _TOLD} more", markup=False, highlight=False)
    if "under way" in tally.words():
        console.print(
            "what is under way: tongban desk list --standing redriven", markup=False, highlight=False
        )


def _trouble(each: Ended) -> str:
    times = f", {each.dossier.failures} times in all" if each.word == "failed again" else ""
    return f"{each.dossier.message} {each.word}{times}: {plain(each.detail or '')}"


def _document(job: Job, chosen: Chosen, written: Mapping[Name, Written], tally: Tally) -> dict[str, object]:
    return {
        "act": job.deed.act.type,
        "dry_run": job.by is None,
        "chosen": len(chosen.dossiers),
        "written": len(written),
        "tally": tally.words(),
        "messages": [_outcome(each, written.get(each.name), tally) for each in chosen.dossiers],
        "left": [{"message": each.dossier.message, "why": each.why} for each in chosen.left],
        "behind": chosen.behind,
    }


def _outcome(dossier: Dossier, written: Written | None, tally: Tally) -> dict[str, object]:
    ended = tally.ended.get(dossier.name)
    return {
        "message": dossier.message,
        "case": dossier.case,
        "partner": dossier.partner,
        "cause": dossier.cause,
        "position": None if written is None else str(written.position),
        "became": None if ended is None else ended.word,
        "detail": None if ended is None else ended.detail,
    }
