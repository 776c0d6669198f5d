"""The 办不成事 desk: what becomes of a message that could not be brought to its recipient, as one table of moves.

A dossier is opened by a failure, and changed by failures, by a delivery and by acts of named persons, each of
them a record on the ledger. Pure: the same records in the ledger's order give the same dossiers.
Source: contract, "Commands" (desk); issue 4, 6; design, "One road" 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final, assert_never

from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, Party, receipt_id
from broker.core.message import SHANGHAI, Message, epoch_ms, from_epoch_ms
from broker.core.problems import Refusal
from broker.core.receipts import Outcome

SCHEDULE_USED_UP: Final = "schedule-used-up"
"""The cause of a lane's head: every attempt that the partner's retry schedule plans was made."""
BEHIND_A_DOSSIER: Final = "behind-a-dossier"
"""The cause of those behind it: an earlier message of their case to this partner is on the desk."""
BLOCKING: Final = frozenset({SCHEDULE_USED_UP, BEHIND_A_DOSSIER})
"""Causes for which the case's later messages to this partner go to the desk too, instead of overtaking."""

HOUSE_OWNER: Final = "operations"
"""Who sees to a dossier until somebody is assigned."""
DUE_AFTER: Final = timedelta(hours=24)
"""How long after a failure a dossier is due, unless somebody says otherwise."""
FAILED: Final = "failed"
DELIVERED: Final = "delivered"
"""The two entries of a dossier's history that are no person's acts."""

Name = tuple[Party, MessageId]


class Standing(StrEnum):
    """Where a dossier stands. ``redriven``: under way again. The last three are ends."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DELIVERED = "delivered"
    RETURNED = "returned"
    SKIPPED = "skipped"


class Act(StrEnum):
    """What a named person can do to a dossier; each is the message type ``operator.<act>``."""

    REDRIVEN = "redriven"
    RETURNED = "returned"
    SKIPPED = "skipped"
    ASSIGNED = "assigned"
    NOTED = "noted"

    @property
    def type(self) -> str:
        return f"operator.{self.value}"


ACTS: Final = {act.type: act for act in Act}
"""Message type to act."""

_CLOSED: Final = frozenset({Standing.DELIVERED, Standing.RETURNED, Standing.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """One message on the desk. Times are UTC milliseconds; ``opened_at_ms`` is when it failed first.

    ``cause`` and ``detail`` are of its latest failure. ``blocks``: its case's later messages to ``partner``
    wait behind it. ``ledger_partition`` and ``ledger_offset`` say where its message stands. ``failures``: how
    often its message ended here, once more after every redrive that failed.
    """

    name: Name
    partner: PartnerId
    case: CaseId
    cause: str
    detail: str
    blocks: bool
    ledger_partition: int
    ledger_offset: int
    opened_at_ms: int
    updated_at_ms: int
    closed_at_ms: int | None = None
    failures: int = 1
    owner: str = HOUSE_OWNER
    due_at_ms: int
    status: Standing = Standing.OPEN

    @property
    def message(self) -> str:
        """``<source>/<id>``, as receipts, acts and commands call it."""
        return f"{self.name[0]}/{self.name[1]}"

    @property
    def closed(self) -> bool:
        return self.status in _CLOSED

    @property
    def redrive(self) -> int:
        """The number of the redrive that is under way, or that failed last; 0: none was made yet."""
        return self.failures if self.status is Standing.REDRIVEN else self.failures - 1

    @property
    def holds_its_lane(self) -> bool:
        """Whether later messages of its case wait for it now."""
        return self.blocks and self.status is Standing.OPEN


def opened(
    name: Name,
    *,
    partner: PartnerId,
    case: CaseId,
    outcome: Outcome,
    cause: str,
    detail: str,
    place: tuple[int, int],
    at_ms: int,
) -> Dossier:
    """A new dossier. ``place``: ledger partition and offset of the message; ``at_ms``: the failure's log time."""
    return Dossier(
        name=name,
        partner=partner,
        case=case,
        cause=cause,
        detail=detail,
        blocks=_blocks(outcome, cause),
        ledger_partition=place[0],
        ledger_offset=place[1],
        opened_at_ms=at_ms,
        updated_at_ms=at_ms,
        due_at_ms=at_ms + _DUE_AFTER_MS,
    )


def failed_again(dossier: Dossier, *, outcome: Outcome, cause: str, detail: str, at_ms: int) -> Dossier:
    """The dossier after another failure of its message.

    A redriven one is open again and due anew. Of an open one only the cause changes (two words on one end), and
    what once blocked goes on blocking until a person has decided. A closed one stays as it is.
    """
    if dossier.closed:
        return dossier
    blocks = _blocks(outcome, cause)
    if dossier.status is Standing.OPEN:
        return replace(
            dossier, cause=cause, detail=detail, blocks=dossier.blocks or blocks, updated_at_ms=at_ms
        )
    return replace(
        dossier,
        cause=cause,
        detail=detail,
        blocks=blocks,
        updated_at_ms=at_ms,
        failures=dossier.failures + 1,
        due_at_ms=max(dossier.due_at_ms, at_ms + _DUE_AFTER_MS),
        status=Standing.OPEN,
    )


def delivered(dossier: Dossier, *, at_ms: int) -> Dossier:
    """The dossier after its message was delivered after all. A closed one stays as it is."""
    return dossier if dossier.closed else _closed(dossier, Standing.DELIVERED, at_ms)


def act(
    dossier: Dossier | None,
    kind: Act,
    *,
    at_ms: int,
    first: Dossier | None = None,
    owner: str | None = None,
    due_on: date | None = None,
) -> Dossier | Refusal:
    """What an act makes of a dossier, at the act's log time.

    ``first``: the earliest open blocking dossier of the same case and partner; nothing is redriven past it.
    ``owner`` and ``due_on`` (the end of that day in China; None: as before) are for :attr:`Act.ASSIGNED`.
    Refusals: ``dossier-unknown``, ``dossier-not-open`` and ``desk-order``.
    """
    if dossier is None:
        return Refusal(code="dossier-unknown", detail="there is no dossier of this message on the desk")
    match kind:
        case Act.REDRIVEN:
            return _not_open(dossier) or _too_early(dossier, first) or _redriven(dossier, at_ms)
        case Act.RETURNED:
            return _not_open(dossier) or _closed(dossier, Standing.RETURNED, at_ms)
        case Act.SKIPPED:
            return _not_open(dossier) or _closed(dossier, Standing.SKIPPED, at_ms)
        case Act.ASSIGNED:
            due_at_ms = dossier.due_at_ms if due_on is None else end_of_day_ms(due_on)
            assigned = replace(
                dossier, owner=owner or dossier.owner, due_at_ms=due_at_ms, updated_at_ms=at_ms
            )
            return _has_ended(dossier) or assigned
        case Act.NOTED:
            return _has_ended(dossier) or replace(dossier, updated_at_ms=at_ms)
        case _ as never:
            assert_never(never)


def is_stale(dossier: Dossier, receipt: MessageId, outcome: Outcome) -> bool:
    """Whether a failure's receipt is that of an earlier redrive than the dossier's latest: a late repeat.

    A delivery is the same effect whichever redrive brought it, and never stale.
    """
    if outcome is Outcome.DELIVERED:
        return False
    earlier = range(dossier.redrive)
    return any(receipt == receipt_id(dossier.message, dossier.partner, outcome, each) for each in earlier)


def is_control(message: Message, partner: PartnerId) -> bool:
    """Whether a record of this partner's outbox only lets a lane go, and is never brought to the partner.

    Such is the broker's word on a message of this partner's (``correlation``) that is addressed to somebody
    else, and that such a message was skipped, which concerns nobody outside.
    """
    if message.source != BROKER:
        return False
    return message.destination != Party(partner) or message.type == Act.SKIPPED.type


def end_of_day_ms(day: date) -> int:
    """The last millisecond of a day in China, as UTC milliseconds."""
    last = datetime.combine(day, time(23, 59, 59, 999_000), SHANGHAI)
    return epoch_ms(last.astimezone(UTC))


_DUE_AFTER_MS: Final = DUE_AFTER // timedelta(milliseconds=1)


def _blocks(outcome: Outcome, cause: str) -> bool:
    """A recipient may word its refusal as it likes: only the broker's own causes block."""
    return outcome is Outcome.UNDELIVERABLE and cause in BLOCKING


def _redriven(dossier: Dossier, at_ms: int) -> Dossier:
    return replace(dossier, status=Standing.REDRIVEN, updated_at_ms=at_ms)


def _closed(dossier: Dossier, status: Standing, at_ms: int) -> Dossier:
    return replace(dossier, status=status, updated_at_ms=at_ms, closed_at_ms=at_ms)


def _not_open(dossier: Dossier) -> Refusal | None:
    if dossier.status is Standing.OPEN:
        return None
    if dossier.status is Standing.REDRIVEN:
        detail = f"{dossier.message} is under way again: it is delivered, or comes back to the desk"
    else:
        return _has_ended(dossier)
    return Refusal(code="dossier-not-open", detail=detail, facts=(("status", dossier.status.value),))


def _has_ended(dossier: Dossier) -> Refusal | None:
    if dossier.closed_at_ms is None:
        return None
    ended = from_epoch_ms(dossier.closed_at_ms).astimezone(SHANGHAI)
    return Refusal(
        code="dossier-not-open",
        detail=f"the dossier of {dossier.message} was {dossier.status.value} at {ended:%Y-%m-%d %H:%M:%S}",
        facts=(("status", dossier.status.value),),
    )


def _too_early(dossier: Dossier, first: Dossier | None) -> Refusal | None:
    if first is None or first.ledger_offset >= dossier.ledger_offset:
        return None
    return Refusal(
        code="desk-order",
        detail=f"retry, return or skip {first.message} first: it is earlier in the case",
        facts=(("first", first.message),),
    )
