"""Acts on dossiers, one or many: in which order, written, and what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from broker.commands.acting import Actor, Pen, Written, now, open_pen
from broker.commands.common import notes, say
from broker.core.ids import MessageId
from broker.core.operating.desk import BEHIND_A_DOSSIER, Act, Dossier, Standing
from broker.errors import Unreachable
from broker.exchange.acts import act_record
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.access.statements import slices
from broker.store.rows import Name
from broker.store.view import desk, standing
from broker.store.view.desk import Lane
from broker.store.view.standing import Verdict

CHUNK: Final = 200
FOLLOW_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What is to be done to each dossier. ``owner`` and ``due_on`` go with assigning, ``note`` with noting."""

    act: Act
    owner: str | None = None
    due_on: date | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A dossier that is left as it is, and why."""

    dossier: Dossier
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What is to be done, in the ledger's order, and what is left."""

    dossiers: tuple[Dossier, ...]
    left: tuple[Left, ...] = ()
    behind: int = 0
    """How many lie behind the chosen ones in their lanes, and stay where they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of one dossier after its act: one of :data:`WORDS`, and the sentence that goes with it."""

    dossier: Dossier
    word: str
    detail: str | None = None


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of all of them so far."""

    ended: dict[Name, Ended] = field(default_factory=dict)

    def words(self) -> dict[str, int]:
        """How many of each word, in the order in which a person asks for them."""
        words = [each.word for each in self.ended.values()]
        return {word: words.count(word) for word in WORDS if word in words}

    @property
    def troubled(self) -> list[Ended]:
        return [each for each in self.ended.values() if each.word in TROUBLE]


DELIVERED, DONE_WITH, UNDER_WAY, UNSEEN, FAILED, REFUSED = (
    "delivered", "done", "under way", "not in the view yet", "failed again", "refused",
)  # fmt: skip
WORDS: Final = (DELIVERED, DONE_WITH, UNDER_WAY, UNSEEN, FAILED, REFUSED)
TROUBLE: Final = frozenset({FAILED, REFUSED})
_MOVING: Final = frozenset({UNDER_WAY, UNSEEN})


def ledger_order(of: Dossier) -> tuple[int, int]:
    """What bulk acts go by."""
    return of.ledger_partition, of.ledger_offset


def in_order(dossiers: Sequence[Dossier], holding: Iterable[Dossier]) -> Chosen:
    """What may be retried now: not what stands behind another dossier of its lane that stays where it is.

    ``holding`` are the open dossiers that hold these lanes up.
    """
    chosen = {each.name for each in dossiers}
    first: dict[Lane, Dossier] = {}
    for each in sorted(holding, key=ledger_order):
        if each.name not in chosen:
            first.setdefault((each.partner, each.case), each)
    free: list[Dossier] = []
    left: list[Left] = []
    for each in sorted(dossiers, key=ledger_order):
        before = first.get((each.partner, each.case))
        if before is None or before.ledger_offset > each.ledger_offset:
            free.append(each)
            continue
        why = (
            f"stands behind {before.message} in the lane of case {each.case} to {each.partner}: retry, return "
            "or skip that one first, or take the whole lane in order with --lane"
        )
        left.append(Left(dossier=each, why=why))
    return Chosen(dossiers=tuple(free), left=tuple(left))


async def with_lanes(
    store: Store, dossiers: Sequence[Dossier], *, whole: bool = False, along: bool = False
) -> Chosen:
    """The dossiers as they may be retried. ``whole``: with all others of their lanes; ``along``: with those behind.

    What lies behind a chosen one is on the desk for no other reason: left there, it would come home late.
    """
    holding: list[Dossier] = []
    for some in slices(sorted({(each.partner, each.case) for each in dossiers})):
        holding.extend(await store.read(desk.holding, some))
    if whole:
        every = {each.name: each for each in (*dossiers, *holding)}
        return Chosen(dossiers=tuple(sorted(every.values(), key=ledger_order)))
    chosen = in_order([*dossiers, *_behind(dossiers, holding)] if along else dossiers, holding)
    return replace(chosen, behind=len(_behind(chosen.dossiers, holding)))


def _behind(dossiers: Sequence[Dossier], holding: Sequence[Dossier]) -> list[Dossier]:
    """What is on the desk only because one of these is."""
    first: dict[Lane, int] = {}
    for each in sorted(dossiers, key=ledger_order):
        if each.holds_its_lane:
            first.setdefault((each.partner, each.case), each.ledger_offset)
    names = {each.name for each in dossiers}
    return [
        each
        for each in holding
        if each.cause == BEHIND_A_DOSSIER
        and each.name not in names
        and each.ledger_offset > first.get((each.partner, each.case), each.ledger_offset)
    ]


async def perform(
    settings: Settings, dossiers: Sequence[Dossier], deed: Deed, by: Actor
) -> dict[Name, Written]:
    """Write an act for each, in order. Cut short, it says how far it came: the rest is still on the desk.

    Raises :class:`Unreachable` (also NotDurable) when the ledger does not take them.
    """
    written: dict[Name, Written] = {}
    try:
        async with open_pen(settings) as pen:
            await write(pen, dossiers, deed, by, written)
    except (asyncio.CancelledError, Unreachable):
        if written or len(dossiers) > CHUNK:
            say(
                f"tongban: cut short: at least {len(written)} of {len(dossiers)} are on the ledger; "
                "the same command does the rest"
            )
        raise
    return written


async def write(
    pen: Pen, dossiers: Sequence[Dossier], deed: Deed, by: Actor, written: dict[Name, Written]
) -> None:
    """Write the acts in pieces of :data:`CHUNK`, with a bar for many; ``written`` grows by each piece."""
    columns = (TextColumn("on the ledger"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    quiet = not notes.is_terminal or len(dossiers) <= CHUNK
    with Progress(*columns, console=notes, transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=len(dossiers))
        for some in slices(dossiers, CHUNK):
            record = partial(
                act_record,
                pen.codec,
                deed.act,
                by=by.by,
                reason=by.reason,
                now=now(),
                ledger_partitions=pen.ledger_partitions,
                owner=deed.owner,
                due_on=deed.due_on,
                note=deed.note,
            )
            done = await pen.write([record(each) for each in some])
            written.update(zip((each.name for each in some), done, strict=True))
            bar.update(task, completed=len(written))


async def follow(
    store: Store, dossiers: Sequence[Dossier], written: dict[Name, Written], wait_s: float, *, delivers: bool
) -> Tally:
    """What becomes of these after their acts, for ``wait_s`` at most. ``delivers``: they are delivered again."""
    before = {each.name: each for each in dossiers}
    moving = list(before)
    tally = Tally()
    seen: dict[MessageId, Verdict] = {}
    end = time.monotonic() + wait_s
    while True:
        unseen = [written[name].id for name in moving if written[name].id not in seen]
        seen |= await store.read(standing.verdicts, unseen)
        after = {each.name: each for each in await _as_they_are(store, moving)} if delivers else {}
        for name in moving:
            verdict, stood = seen.get(written[name].id), before[name]
            tally.ended[name] = _ended(stood, after.get(name, stood), verdict, delivers=delivers)
        moving = [name for name in moving if tally.ended[name].word in _MOVING]
        if not moving or time.monotonic() >= end:
            return tally
        await asyncio.sleep(FOLLOW_S)


async def _as_they_are(store: Store, names: Sequence[Name]) -> list[Dossier]:
    found: list[Dossier] = []
    for some in slices(names):
        found.extend(await store.read(desk.of_names, some))
    return found


def _ended(before: Dossier, after: Dossier, verdict: Verdict | None, *, delivers: bool) -> Ended:
    if verdict is None:
        return Ended(dossier=before, word=UNSEEN)
    if verdict.code is not None:
        return Ended(dossier=before, word=REFUSED, detail=f"{verdict.code}: {verdict.detail or ''}")
    if not delivers:
        return Ended(dossier=before, word=DONE_WITH)
    if after.status is Standing.DELIVERED:
        return Ended(dossier=after, word=DELIVERED)
    if after.status is Standing.OPEN and after.failures > before.failures:
        return Ended(dossier=after, word=FAILED, detail=f"{after.cause}: {after.detail}")
    return Ended(dossier=after, word=UNDER_WAY)
