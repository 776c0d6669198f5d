"""Pulling one lever of a partner: the record on the ledger, then the view, then the workers that follow it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypedDict

import typer

from broker.commands.acting import POLL_S, Actor, Written, now, now_ms, open_pen, until_judged
from broker.commands.common import FOUND, console, print_json
from broker.commands.showing import plain
from broker.core.catalogue.directory import Partner
from broker.exchange.acts import Lever, lever_record
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.delivering import line_status
from broker.store.delivering.line_status import STALE_MS, LineStatus
from broker.store.view.standing import Verdict

WAIT_S: Final = 10.0
Shown = Callable[[LineStatus, int], bool]
"""Whether a worker's word shows the lever of this ledger time (UTC ms)."""


class Limits(TypedDict):
    """The limits of a ``limited`` lever, all of them; None: as the directory says."""

    in_flight: int | None
    per_second: float | None
    batch: int | None
    queue_bytes: int | None


NO_LIMITS: Final = Limits(in_flight=None, per_second=None, batch=None, queue_bytes=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """How far a lever has come. Seconds count from the command's write; None: not within the wait."""

    lever: Lever
    written: Written
    written_s: float
    view_s: float | None = None
    verdict: Verdict | None = None
    workers_s: float | None = None
    lines: tuple[LineStatus, ...] = ()
    following: int = 0

    @property
    def refused(self) -> bool:
        return self.verdict is not None and self.verdict.code is not None


async def pull(
    settings: Settings,
    store: Store,
    partner: Partner,
    lever: Lever,
    by: Actor,
    *,
    limits: Limits = NO_LIMITS,
    wait: bool,
    shown: Shown | None,
) -> Pulled:
    """Write the lever's record and follow it: into the view, and with ``shown`` into every worker's word."""
    async with open_pen(settings) as pen:
        record = lever_record(
            pen.codec,
            lever,
            partner.id,
            by=by.by,
            reason=by.reason,
            now=now(),
            ledger_partitions=pen.ledger_partitions,
            **limits,
        )
        begun = time.monotonic()
        (written,) = await pen.write([record])
    pulled = Pulled(lever=lever, written=written, written_s=time.monotonic() - begun)
    if not wait:
        return pulled
    found = await until_judged(store, [written], WAIT_S)
    if written.id not in found:
        return pulled
    verdict = found[written.id]
    view_s = time.monotonic() - begun
    pulled = replace(pulled, view_s=view_s, verdict=verdict)
    if shown is None or pulled.refused:
        return pulled
    return await _follow(store, partner, pulled, verdict.at, shown, begun)


async def _follow(
    store: Store, partner: Partner, pulled: Pulled, at_ms: int, shown: Shown, begun: float
) -> Pulled:
    while True:
        lines = await heard(store, partner)
        following = sum(shown(each, at_ms) for each in lines)
        after_s = time.monotonic() - begun
        done = following == len(lines)
        if done or after_s >= WAIT_S:
            return replace(
                pulled, workers_s=after_s if done and lines else None, lines=lines, following=following
            )
        await asyncio.sleep(POLL_S)


async def heard(store: Store, partner: Partner) -> tuple[LineStatus, ...]:
    """The words of the workers that have spoken of this partner within the last minute."""
    rows = await store.read(line_status.read, partner.id)
    return tuple(each for each in rows if now_ms() - each.updated_at <= STALE_MS)


def report(pulled: Pulled, partner: Partner, said: str, *, wait: bool, workers: bool, as_json: bool) -> None:
    """Say in one line how far it has come, and leave with exit 1 when it has not come all the way."""
    whole = pulled.view_s is not None and not pulled.refused and pulled.following == len(pulled.lines)
    if as_json:
        print_json(_document(pulled, partner, whole=whole or not wait))
    else:
        line = f"{partner.id} {plain(partner.name)}: {said}; {_progress(pulled, wait=wait, workers=workers)}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if wait and not whole:
        raise typer.Exit(FOUND)


def _progress(pulled: Pulled, *, wait: bool, workers: bool) -> str:
    parts = [f"on the ledger at {pulled.written.position} after {pulled.written_s:.3f} s"]
    if not wait:
        return parts[0]
    if pulled.verdict is None:
        parts.append(f"not in the view within {WAIT_S:g} s: is the exchange running?")
    elif pulled.refused:
        parts.append(f"refused: {pulled.verdict.code}: {plain(pulled.verdict.detail or '')}")
    else:
        parts.append(f"in the view after {pulled.view_s:.2f} s")
        if workers:
            parts.append(_workers(pulled))
    return ", ".join(parts)


def _workers(pulled: Pulled) -> str:
    if not pulled.lines:
        return "no worker has spoken of it for a minute: it holds as soon as one runs"
    if pulled.workers_s is not None:
        count = len(pulled.lines)
        return f"followed by {count} worker{'s' if count > 1 else ''} after {pulled.workers_s:.2f} s"
    return f"shown by {pulled.following} of {len(pulled.lines)} workers within {WAIT_S:g} s: tongban partner status"


def _document(pulled: Pulled, partner: Partner, *, whole: bool) -> dict[str, object]:
    position, verdict = pulled.written.position, pulled.verdict
    return {
        "partner": partner.id,
        "act": f"operator.{pulled.lever}",
        "id": pulled.written.id,
        "position": str(position),
        "ledger_ms": None if verdict is None else verdict.at,
        "written_s": pulled.written_s,
        "view_s": pulled.view_s,
        "workers_s": pulled.workers_s,
        "workers": len(pulled.lines),
        "following": pulled.following,
        "refused": verdict.code if verdict is not None else None,
        "lines": [_line(each) for each in pulled.lines],
        "done": whole,
    }


def _line(line: LineStatus) -> dict[str, object]:
    return {
        "worker": line.worker,
        "phase": line.phase,
        "reason": line.reason,
        "since_ms": line.since,
        "updated_ms": line.updated_at,
    }


def paused(line: LineStatus, at_ms: int) -> bool:
    """The worker sends nothing to the partner."""
    del at_ms
    return line.phase == "paused"


def resumed(line: LineStatus, at_ms: int) -> bool:
    """The worker is not held back by a pause any more (its circuit may still be open)."""
    del at_ms
    return line.phase != "paused"


def probed(line: LineStatus, at_ms: int) -> bool:
    """The worker has had the partner's answer: it flows, or it says anew why it does not."""
    return line.phase == "flowing" or (line.phase != "half-open" and line.since >= at_ms)


def flows(lines: Sequence[LineStatus]) -> bool:
    return bool(lines) and all(each.phase == "flowing" for each in lines)
