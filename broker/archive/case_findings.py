"""Findings that the cases themselves give away: decided too early, by the same hand, or ahead of the queue."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection

from broker.archive.finding import Finding, Kind, proofs
from broker.core.calendar import FIRST, STATUTORY
from broker.core.case.case_state import CaseState, Fee
from broker.core.evaluation.overtaking import NEVER, Overtaking, overtakings
from broker.core.ids import CaseId, PartnerId, place
from broker.core.message import Mode, epoch_ms, from_epoch_ms
from broker.core.times import china_day
from broker.store.rows import MessageRow
from broker.store.view import findings as rows
from broker.store.view.findings import Told

AHEAD: Final = 20
"""How many must have waited for a decision to be a finding, where the auditor does not say."""

_BEHIND: Final = ("case.submitted", "case.accepted", "case.decided")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Findings of ``partner`` (None: of all) from ``since`` up to, not including, ``until`` (UTC ms)."""

    partner: PartnerId | None = None
    since: int = 0
    until: int = NEVER

    def holds(self, at: int) -> bool:
        return self.since <= at < self.until


EVERYTHING: Final = Span()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A finding of a case before its records are fetched; ``others``: cases whose acceptance proves it too."""

    kind: Kind
    case: CaseId
    partner: PartnerId
    at: int
    detail: str
    others: tuple[CaseId, ...] = ()


def of_cases(connection: Connection, span: Span, *, ahead: int | None) -> Iterator[Finding]:
    """The findings among the cases. ``ahead``: how many that waited make one (None: the queue is not asked)."""
    queues = _Queues()
    found: list[_Found] = []
    for told in rows.told_cases(connection, span.partner):
        if told.state.decided_at is not None and span.holds(epoch_ms(told.state.decided_at)):
            found.extend(_judge(told))
        if ahead is not None:
            queues.add(told)
    if ahead is not None:
        found.extend(_skips(connection, queues, span, ahead))
    yield from _proved(connection, found)


def _judge(told: Told) -> Iterator[_Found]:
    state = told.state
    at = epoch_ms(state.decided_at) if state.decided_at else 0
    early = _early(told)
    if early is not None:
        yield _Found(
            kind=Kind.DECIDED_BEFORE_ACCEPTED,
            case=state.case,
            partner=state.responsible,
            at=at,
            detail=early,
        )
    if state.mode == Mode.COLLECTED and place(state.opening) == place(state.responsible):
        detail = f"collected by {state.opening} and decided by {state.responsible}: both are of one place"
        yield _Found(
            kind=Kind.COLLECTED_AND_DECIDED, case=state.case, partner=state.responsible, at=at, detail=detail
        )


def _early(told: Told) -> str | None:
    """How the decision is of a day before that of acceptance: by the date that it bears, or by when it was said."""
    state = told.state
    if state.clock is None:
        return None
    since = state.clock.started_on
    if state.decided_on is not None and state.decided_on < since:
        return f"decided on {state.decided_on} by the date of the decision, accepted on {since}"
    said_on = china_day(from_epoch_ms(told.said_at)) if told.said_at is not None else since
    return f"decided on {said_on} by its own account, accepted on {since}" if said_on < since else None


class _Queue:
    """The cases of one item and responsible partner: 22 bytes each."""

    __slots__ = ("came", "index", "left", "served", "waits")

    def __init__(self) -> None:
        self.came = array("i")
        self.left = array("q")
        self.waits = bytearray()
        self.served = bytearray()
        self.index = array("q")


class _Queues:
    """All queues. A queue is of one item, class and responsible partner: they share a promise."""

    def __init__(self) -> None:
        self.queues: dict[tuple[PartnerId, str, str], _Queue] = {}

    def add(self, told: Told) -> None:
        state = told.state
        # A bundle that is joined of its parts waits for them, each of which stands in a queue of its own.
        if state.clock is None or state.bundle is not None:
            return
        key = (state.responsible, state.item, state.item_class)
        queue = self.queues.setdefault(key, _Queue())
        left = state.decided_at or state.ended_at
        queue.came.append(STATUTORY.between(FIRST, _came_on(state, state.clock.started_on)))
        queue.left.append(NEVER if left is None else epoch_ms(left))
        queue.waits.append(_waits(state))
        queue.served.append(state.decided_at is not None)
        queue.index.append(told.index)


def _came_on(state: CaseState, started_on: date) -> date:
    """The day on which the office had it: an acceptance that was told late counts from when it was told."""
    if state.accepted_at is None or state.deemed:
        return started_on
    return max(started_on, china_day(state.accepted_at))


def _waits(state: CaseState) -> bool:
    """Whether it waits for nobody but the office: no supplement, pause, extension or fee was ever in between."""
    running = state.clock
    return (
        running is not None
        and state.supplements == 0
        and state.fee is Fee.NONE
        and running.paused_at is None
        and not (running.paused_days or running.paused_s or running.extended)
    )


def _skips(connection: Connection, queues: _Queues, span: Span, ahead: int) -> Iterator[_Found]:
    skips: list[tuple[PartnerId, str, _Queue, Overtaking]] = []
    for (partner, item, _), queue in sorted(queues.queues.items()):
        found = overtakings(queue.came, queue.left, queue.waits, queue.served, at_least=ahead)
        skips.extend((partner, item, queue, each) for each in found if span.holds(queue.left[each.index]))
    wanted = {queue.index[index] for _, _, queue, skip in skips for index in (skip.index, *skip.first)}
    ids = rows.ids_at(connection, span.partner, wanted)
    for partner, item, queue, skip in skips:
        yield _Found(
            kind=Kind.QUEUE_SKIPPED,
            case=ids[queue.index[skip.index]],
            partner=partner,
            at=queue.left[skip.index],
            detail=f"{skip.ahead} cases of {item} accepted on earlier working days still waited",
            others=tuple(ids[queue.index[index]] for index in skip.first),
        )


def _proved(connection: Connection, found: Sequence[_Found]) -> Iterator[Finding]:
    cases = {each.case for each in found}
    cases.update(other for each in found for other in each.others)
    said = rows.said(connection, cases, _BEHIND)
    for each in found:
        own = said.get(each.case, ())
        yield Finding(
            kind=each.kind,
            case=each.case,
            partner=each.partner,
            at=each.at,
            detail=each.detail,
            proofs=proofs(
                _applied(own, "case.decided"),
                _applied(own, "case.accepted") or _applied(own, "case.submitted"),
                *(_applied(said.get(other, ()), "case.accepted") for other in each.others),
            ),
        )


def _applied(said: Sequence[MessageRow], type_: str) -> MessageRow | None:
    return next((row for row in said if row.type == type_ and row.verdict != "refused"), None)
