"""The state of one case, as the ledger's records so far leave it. Import it from :mod:`broker.core.case.lifecycle`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Literal

import orjson

from broker.core import clock
from broker.core.bundle import bundles
from broker.core.bundle.bundles import BundleState
from broker.core.clock import Clock
from broker.core.ids import CaseId, PartnerId
from broker.core.message import Mode
from broker.core.quick import evolver, quick, teller


class Status(StrEnum):
    """Where a case stands. ``FILED`` and ``ANSWERED`` are a complaint's, which is a case of its own."""

    SUBMITTED = "submitted"
    SUPPLEMENT_REQUESTED = "supplement_requested"
    SUPPLEMENTED = "supplemented"
    ACCEPTED = "accepted"
    IN_REVIEW = "in_review"
    PAUSED = "paused"
    REFUSED = "refused"
    DECIDED = "decided"
    ISSUED = "issued"
    DELIVERED = "delivered"
    WITHDRAWN = "withdrawn"
    FILED = "filed"
    ANSWERED = "answered"


class Fee(StrEnum):
    """Where the case's fee stands: one request at a time is open."""

    NONE = "none"
    REQUESTED = "requested"
    PAID = "paid"


class Rating(StrEnum):
    """Where the case's 好差评 stands: rated once; 1 and 2 (``POOR``) open a correction."""

    NONE = "none"
    RATED = "rated"
    POOR = "poor"
    RECTIFIED = "rectified"
    APPEALED = "appealed"


ENDS: Final = frozenset({Status.REFUSED, Status.DELIVERED, Status.WITHDRAWN, Status.ANSWERED})
"""Statuses that no message leads out of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseState:
    """One case. Times are those of the ledger's records, in UTC; days are Asia/Shanghai's.

    ``item`` and ``mode`` are empty for a complaint that names none. ``fee_request`` is ``<source>/<id>`` of
    the latest fee.requested. ``supplements`` counts requests of a supplement; ``revision`` every message
    applied to the case. What else was said when is the timeline's to tell.

    ``directory`` is the version in force when it was opened, under which it ends. ``number``: the responsible
    city's own. ``agent``: the authority on which somebody acts for the applicant. ``clock`` runs from
    acceptance; ``deemed``: it counts as accepted since the day of receipt (行政许可法 32). ``step``: the
    review step under way since ``step_since``, ``step_turn`` how often one was begun after the first: each beginning
    has its own limit and cards. ``decided_on``: the day that the decision bears, where it is not the ledger's.
    ``rectify_from``: the day from which a correction counts.
    ``cards``: keys of the yellow and red cards issued (``core/clocks/deadlines.py``). ``bundle``: a parent's parts;
    ``part_of``: a part's parent. ``about``: the case that a complaint is about.
    """

    case: CaseId
    opening: PartnerId
    responsible: PartnerId
    item: str
    mode: Mode | Literal[""]
    status: Status
    opened_at: datetime
    updated_at: datetime
    fee: Fee = Fee.NONE
    fee_request: str | None = None
    rating: Rating = Rating.NONE
    supplements: int = 0
    revision: int = 1
    accepted_at: datetime | None = None
    decided_at: datetime | None = None
    ended_at: datetime | None = None
    directory: str = ""
    item_class: str = ""
    number: str | None = None
    agent: str | None = None
    clock: Clock | None = None
    deemed: bool = False
    step: str = ""
    step_since: datetime | None = None
    step_turn: int = 0
    supplement_asked_at: datetime | None = None
    supplement_by: date | None = None
    supplemented_at: datetime | None = None
    granted: bool | None = None
    decided_on: date | None = None
    issued_at: datetime | None = None
    courier: str | None = None
    fee_notice: str | None = None
    fee_fen: int = 0
    score: int | None = None
    rated_at: datetime | None = None
    rectify_from: date | None = None
    about: CaseId | None = None
    answer_by: date | None = None
    cards: tuple[str, ...] = ()
    bundle: BundleState | None = None
    part_of: CaseId | None = None

    def to_json(self) -> str:
        """Compact JSON, the same bytes for equal states; facts that are still as at the opening are left out."""
        document = _told(self)
        if self.clock is not None:
            document["clock"] = clock.to_facts(self.clock)
        if self.bundle is not None:
            document["bundle"] = bundles.to_facts(self.bundle)
        return orjson.dumps(document, option=orjson.OPT_UTC_Z).decode()

    @classmethod
    def from_json(cls, text: str) -> CaseState:
        """The inverse of :meth:`to_json`. Raises ValueError (also for a key or value of another release)."""
        try:
            facts = orjson.loads(text)
            for name, value in facts.items():
                read = _READ.get(name)
                if read is not None:
                    facts[name] = read(value)
            return _make(**facts)
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError(f"not the state of a case: {type(fault).__name__}") from None


_make: Final = quick(CaseState)
_told: Final = teller(CaseState, always=("revision",))
evolve: Final[Callable[[CaseState, Mapping[str, object]], CaseState]] = evolver(CaseState)
"""A state with some fields changed; what is not named stays. The hot path of every message."""


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("not the state of a case: a time without an offset")
    return moment


_READ: Final[Mapping[str, Callable[[Any], object]]] = {
    "mode": {"": "", **{each.value: each for each in Mode}}.__getitem__,
    **{
        name: {each.value: each for each in kind}.__getitem__  # a fifth of what the call of an enum costs
        for name, kind in (("status", Status), ("fee", Fee), ("rating", Rating))
    },
    "clock": clock.from_facts,
    "bundle": bundles.from_facts,
    "cards": tuple,
    **dict.fromkeys(("supplement_by", "decided_on", "rectify_from", "answer_by"), date.fromisoformat),
    **dict.fromkeys(
        (each.name for each in fields(CaseState) if each.name.endswith(("_at", "_since"))), _moment
    ),
}
