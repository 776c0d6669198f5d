"""``tongban partner pause|resume|limit|probe``: what is there to change, changed by a record, and followed."""

from __future__ import annotations

from typing import Final

import typer

from broker.commands.acting import Actor, open_store
from broker.commands.common import FOUND, say
from broker.commands.finding import directory_of, find_partner
from broker.commands.partners import pulling
from broker.commands.showing import clock, plain
from broker.core.catalogue.directory import Limits, Partner
from broker.core.operating.levers import Levers
from broker.errors import WrongUse
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.view import levers as lever_rows

_BOUNDS: Final = {
    "in_flight": (1, 100_000),
    "per_second": (0, 1_000_000),
    "batch": (1, 10_000),
    "queue_bytes": (65_536, 10**12),
}
"""What ``schemas/operator/limited.avsc`` takes."""


async def pause(settings: Settings, text: str, by: Actor, wait: bool, as_json: bool) -> None:
    async with open_store(settings) as store:
        partner, levers = await _of(store, "partner pause", text)
        if levers is not None and (before := levers.paused) is not None:
            _already(
                partner,
                f"is paused already, since {clock(before.at_ms)} by {plain(before.by)}: {plain(before.reason)}",
            )
        pulled = await pulling.pull(settings, store, partner, "paused", by, wait=wait, shown=pulling.paused)
    pulling.report(pulled, partner, "paused", wait=wait, workers=True, as_json=as_json)


async def resume(settings: Settings, text: str, by: Actor, wait: bool, as_json: bool) -> None:
    async with open_store(settings) as store:
        partner, levers = await _of(store, "partner resume", text)
        if levers is None or levers.paused is None:
            _already(partner, "is not paused")
        pulled = await pulling.pull(settings, store, partner, "resumed", by, wait=wait, shown=pulling.resumed)
    pulling.report(pulled, partner, "resumed", wait=wait, workers=True, as_json=as_json)


async def limit(
    settings: Settings, text: str, wanted: pulling.Limits | None, by: Actor, wait: bool, as_json: bool
) -> None:
    async with open_store(settings) as store:
        partner, levers = await _of(store, "partner limit", text)
        before = _limits_of(levers)
        after = pulling.NO_LIMITS if wanted is None else _over(before, wanted)
        if before == after:
            _already(partner, f"has these limits already: {_limits(partner.limits, before)}")
        pulled = await pulling.pull(
            settings, store, partner, "limited", by, limits=after, wait=wait, shown=None
        )
    said = f"limits {_limits(partner.limits, after)}"
    pulling.report(pulled, partner, said, wait=wait, workers=False, as_json=as_json)


async def probe(settings: Settings, text: str, by: Actor, wait: bool, as_json: bool) -> None:
    async with open_store(settings) as store:
        partner, _ = await _of(store, "partner probe", text)
        pulled = await pulling.pull(settings, store, partner, "probed", by, wait=wait, shown=pulling.probed)
    still = {plain(each.reason or each.phase) for each in pulled.lines if each.phase != "flowing"}
    said = "probed: it flows" if pulling.flows(pulled.lines) else "probed"
    if still:
        said = f"probed, and still not reachable: {'; '.join(sorted(still))}"
    pulling.report(pulled, partner, said, wait=wait, workers=True, as_json=as_json)
    if wait and still:
        raise typer.Exit(FOUND)


async def _of(store: Store, command: str, text: str) -> tuple[Partner, Levers | None]:
    partner = find_partner(command, await directory_of(store), text)
    return partner, (await store.read(lever_rows.read_all)).get(partner.id)


def _already(partner: Partner, what: str) -> None:
    """Nothing to do: say so, and write nothing."""
    say(f"tongban: {partner.id} {plain(partner.name)} {what}; nothing was written")
    raise typer.Exit(FOUND)


def wanted_limits(wanted: pulling.Limits, *, reset: bool) -> pulling.Limits | None:
    """The limits named, checked; None for --reset. Raises :class:`WrongUse`."""
    named = {name: value for name, value in _pairs(wanted) if value is not None}
    if reset == bool(named):
        raise WrongUse(
            "partner limit: name --in-flight, --per-second, --batch or --queue-bytes, or --reset alone"
        )
    for name, value in named.items():
        least, most = _BOUNDS[name]
        if not least <= value <= most:  # written so that NaN is refused too
            raise WrongUse(f"partner limit: --{name.replace('_', '-')}: expected {least} to {most}")
    return None if reset else wanted


def _pairs(limits: pulling.Limits) -> tuple[tuple[str, float | None], ...]:
    return (
        ("in_flight", limits["in_flight"]),
        ("per_second", limits["per_second"]),
        ("batch", limits["batch"]),
        ("queue_bytes", limits["queue_bytes"]),
    )


def _over(before: pulling.Limits, wanted: pulling.Limits) -> pulling.Limits:
    """What is named now goes before what was set earlier; each limit is its own."""
    return pulling.Limits(
        in_flight=before["in_flight"] if wanted["in_flight"] is None else wanted["in_flight"],
        per_second=before["per_second"] if wanted["per_second"] is None else wanted["per_second"],
        batch=before["batch"] if wanted["batch"] is None else wanted["batch"],
        queue_bytes=before["queue_bytes"] if wanted["queue_bytes"] is None else wanted["queue_bytes"],
    )


def _limits_of(levers: Levers | None) -> pulling.Limits:
    if levers is None:
        return pulling.NO_LIMITS
    return pulling.Limits(
        in_flight=levers.in_flight,
        per_second=levers.per_second,
        batch=levers.batch,
        queue_bytes=levers.queue_bytes,
    )


def _limits(given: Limits, levers: pulling.Limits) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {getattr(given, name) if value is None else value}"
        + (" (directory)" if value is None else "")
        for name, value in _pairs(levers)
    )
