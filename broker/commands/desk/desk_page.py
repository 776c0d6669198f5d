"""``tongban desk show``: one dossier, whole: why, what to do, every attempt and act, and what waits behind it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import typer

from broker.commands.acting import now_ms, open_store
from broker.commands.common import FOUND, console, print_json, print_rows, say
from broker.commands.desk import desk_list
from broker.commands.desk.causes import explain
from broker.commands.desk.desk_select import is_overdue
from broker.commands.finding import read_name
from broker.commands.showing import age, clock, plain, stamp
from broker.core.ids import Party
from broker.core.message import MessageClass
from broker.core.operating.desk import Dossier, Standing
from broker.core.records import Position, Record
from broker.errors import Unreachable
from broker.log.admin import topics
from broker.log.reading import scan
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.delivering import attempts
from broker.store.rows import ActRow, AttemptRow, MessageRow, Name
from broker.store.view import cases, desk, messages

_TEXT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the view holds of one dossier. ``before`` and ``behind``: its lane, in the ledger's order."""

    dossier: Dossier
    message: MessageRow | None
    attempts: tuple[AttemptRow, ...]
    next_at: int | None
    acts: tuple[ActRow, ...]
    refusals: tuple[MessageRow, ...]
    before: tuple[Dossier, ...]
    behind: tuple[MessageRow, ...]

    @property
    def position(self) -> Position:
        return Position(topics.LEDGER, self.dossier.ledger_partition, self.dossier.ledger_offset)


async def show(settings: Settings, text: str, *, record: bool, as_json: bool) -> None:
    """Print the page."""
    name = read_name("desk show", text)
    async with open_store(settings) as store:
        page = await _read(store, name)
    if page is None:
        say(
            f"tongban: {text} has no dossier on the desk; `tongban desk list --standing all` names those that have"
        )
        raise typer.Exit(FOUND)
    verbatim: Record | None = None
    away: Unreachable | None = None
    if record:
        try:
            verbatim = (await scan.read_at(settings.kafka, [page.position]))[0]
        except Unreachable as fault:  # one part that is away never blanks the page
            away = fault
    _print(page, verbatim, as_json=as_json)
    if away is not None:
        raise away


def _print(page: Page, verbatim: Record | None, *, as_json: bool) -> None:
    at_ms = now_ms()
    if as_json:
        print_json(document(page, at_ms, verbatim))
        return
    _print_facts(page, at_ms)
    _print_attempts(page)
    _print_history(page)
    _print_lane(page)
    if verbatim is not None:
        _print_record(verbatim)


async def _read(store: Store, name: Name) -> Page | None:
    dossier = await store.read(desk.dossier, *name)
    if dossier is None:
        return None
    holding = await store.read(desk.holding, [(dossier.partner, dossier.case)])
    said = await store.read(cases.timeline, dossier.case)
    return Page(
        dossier=dossier,
        message=await store.read(messages.message, *name),
        attempts=tuple(await store.read(attempts.attempts_of, *name)),
        next_at=(
            await store.read(attempts.next_attempt_at, *name)
            if dossier.status is Standing.REDRIVEN
            else None  # nothing is planned for it: what its attempts say of a next one is over
        ),
        acts=tuple(await store.read(desk.acts, *name)),
        refusals=tuple(await store.read(desk.refusals, dossier)),
        before=tuple(
            each
            for each in sorted(holding, key=lambda each: each.ledger_offset)
            if each.ledger_offset < dossier.ledger_offset
        ),
        behind=tuple(each for each in said if _waits(each, dossier)),
    )


def _waits(row: MessageRow, dossier: Dossier) -> bool:
    """Whether a message of the case is still to be brought to the same partner, after this one."""
    return (
        row.destination == Party(dossier.partner)
        and row.ledger_offset > dossier.ledger_offset
        and row.verdict == "applied"
        and row.message_class != MessageClass.RECEIPT
        and not row.type.startswith("operator.")
        and row.outcome in (None, "undeliverable")
        and dossier.blocks
        and not dossier.closed
    )


def document(page: Page, at_ms: int, verbatim: Record | None = None) -> dict[str, object]:
    """The page for a program."""
    told = explain(page.dossier.cause, page.message.outcome if page.message else None)
    made: dict[str, object] = {
        **desk_list.document(page.dossier, at_ms),
        "why": {"zh": told.zh, "en": told.en},
        "to_do": {"zh": told.mend_zh, "en": told.mend_en} if page.dossier.status is Standing.OPEN else None,
        "record": _facts(page),
        "next_attempt_at": stamp(page.next_at),
        "attempts": [
            {
                "redrive": each.redrive,
                "attempt": each.attempt,
                "at": stamp(each.started_at),
                "duration_ms": each.duration_ms,
                "result": each.result,
                "detail": each.detail,
                "next_at": stamp(each.next_at),
            }
            for each in page.attempts
        ],
        "history": [
            {
                "at": stamp(each.at),
                "act": each.act,
                "by": each.by,
                "reason": each.reason,
                "detail": each.detail,
                "position": f"{topics.LEDGER}/{each.ledger_partition}/{each.ledger_offset}",
            }
            for each in page.acts
        ],
        "refused_acts": [
            {"at": stamp(each.accepted_at), "act": each.type, "code": each.code, "detail": each.detail}
            for each in page.refusals
        ],
        "before": [each.message for each in page.before],
        "behind": [f"{each.source}/{each.id}" for each in page.behind],
    }
    if verbatim is not None:
        made["verbatim"] = _verbatim(verbatim)
    return made


def _facts(page: Page) -> dict[str, object]:
    """The message as the ledger has it: coordinates and routing facts, nothing of a person."""
    row = page.message
    if row is None:
        return {"position": str(page.position)}
    return {
        "position": str(page.position),
        "digest": row.digest,
        "type": row.type,
        "from": row.source,
        "to": row.destination,
        "item": row.item,
        "mode": row.mode,
        "said_at": stamp(row.said_at),
        "accepted_at": stamp(row.accepted_at),
        "expires_at": stamp(row.expires_at),
        "answer": row.answer,
        "outcome": row.outcome,
        "proof": row.proof,
    }


def _print_facts(page: Page, at_ms: int) -> None:
    dossier = page.dossier
    told = explain(dossier.cause, page.message.outcome if page.message else None)
    late = " 逾期 overdue" if is_overdue(dossier, at_ms) else ""
    facts: dict[str, object] = {
        "standing": f"{dossier.status.value}, failed {dossier.failures} time{'' if dossier.failures == 1 else 's'}",
        "why": f"{plain(dossier.cause)}: {told.zh} {told.en}",
        "detail": plain(dossier.detail) or None,
        "to do": f"{told.mend_zh} {told.mend_en}" if dossier.status is Standing.OPEN else None,
        "case": dossier.case,
        "partner": dossier.partner,
        "on the desk since": clock(dossier.opened_at_ms),
        "owner": plain(dossier.owner),
        "deadline": clock(dossier.due_at_ms) + late,
        "closed": clock(dossier.closed_at_ms) if dossier.closed_at_ms is not None else None,
        "next attempt": clock(page.next_at) if page.next_at is not None else None,
    }
    record = {name.replace("_", " "): value for name, value in _facts(page).items()}
    if page.message is not None:
        expires = page.message.expires_at
        record |= {
            "said at": clock(page.message.said_at),
            "accepted at": clock(page.message.accepted_at),
            "expires at": None if expires is None else clock(expires),
            "answer": None if page.message.answer is None else plain(page.message.answer),
        }
    title = f"{dossier.message} (times: Asia/Shanghai)"
    rows = [{"fact": name, "value": value} for name, value in (facts | record).items() if value is not None]
    print_rows(rows, ("fact", "value"), as_json=False, title=title)


def _print_attempts(page: Page) -> None:
    columns = ("redrive", "attempt", "at", "took", "result", "answer", "next")
    rows = [
        {
            "redrive": each.redrive,
            "attempt": each.attempt,
            "at": clock(each.started_at),
            "took": f"{each.duration_ms / 1000:.3f} s",
            "result": each.result,
            "answer": plain(each.detail)[:_TEXT],
            "next": clock(each.next_at) if each.next_at is not None else None,
        }
        for each in page.attempts
    ]
    if rows:
        print_rows(rows, columns, as_json=False, title="attempts that failed")


def _print_history(page: Page) -> None:
    rows = [
        {
            "at": clock(each.at),
            "act": each.act,
            "by": plain(each.by),
            "reason": plain(each.reason) or None,
            "detail": plain(each.detail) or None,
            "position": f"{each.ledger_partition}/{each.ledger_offset}",
        }
        for each in page.acts
    ]
    if rows:
        columns = ("at", "act", "by", "reason", "detail", "position")
        print_rows(rows, columns, as_json=False, title="history, each a record of the ledger")
    for each in page.refusals:
        say(f"{clock(each.accepted_at)} {each.type} was refused: {each.code}: {plain(each.detail or '')}")


def _print_lane(page: Page) -> None:
    for each in page.before:
        console.print(
            f"before it in its lane: {each.message}, open for {age((now_ms() - each.opened_at_ms) / 1000)}",
            markup=False,
            highlight=False,
        )
    for row in page.behind:
        where = "on the desk" if row.outcome is not None else "still owed"
        console.print(
            f"behind it in its lane: {row.source}/{row.id} {row.type}, {where}", markup=False, highlight=False
        )


def _verbatim(record: Record) -> dict[str, object]:
    return {
        "position": str(record.position),
        "key": record.key.decode(errors="replace"),
        "headers": [[name, value.decode(errors="replace")] for name, value in record.headers],
        "value_bytes": len(record.value),
        "value_sha256": hashlib.sha256(record.value).hexdigest(),
    }


def _print_record(record: Record) -> None:
    console.print(
        f"{record.position}, key {plain(record.key.decode(errors='replace'))}", markup=False, highlight=False
    )
    for name, value in record.headers:
        console.print(
            f"{plain(name)}: {plain(value.decode(errors='replace'))}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    digest = hashlib.sha256(record.value).hexdigest()
    console.print(
        f"value: {len(record.value)} bytes, sha-256 {digest}; its papers stay sealed",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
