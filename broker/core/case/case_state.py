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
from broker.core.quick import evolver


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
    review step under way since ``step_since``. ``rectify_from``: the day from which a correction counts.
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
    supplement_asked_at: datetime | None = None
    supplement_by: date | None = None
    supplemented_at: datetime | None = None
    granted: bool | None = None
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
        document: dict[str, object] = {}
        for name, default in _DEFAULTS:
            value = getattr(self, name)
            if value != default:
                write = _WRITE.get(name)
                document[name] = value if write is None else write(value)
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
            return cls(**facts)
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError(f"not the state of a case: {type(fault).__name__}") from None


evolve: Final[Callable[[CaseState, Mapping[str, object]], CaseState]] = evolver(CaseState)
"""A state with some fields changed; what is not named stays. The hot path of every message."""


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("not the state of a case: a time without an offset")
    return moment


_MISSING: Final = object()
_DEFAULTS: Final = tuple(
    (each.name, each.default if each.name != "revision" else _MISSING) for each in fields(CaseState)
)
_WRITE: Final[Mapping[str, Callable[[Any], object]]] = {
    "clock": clock.to_facts,
    "bundle": bundles.to_facts,
}
_READ: Final[Mapping[str, Callable[[Any], object]]] = {
    "mode": lambda text: Mode(text) if text else "",
    "status": Status,
    "fee": Fee,
    "rating": Rating,
    "clock": clock.from_facts,
    "bundle": bundles.from_facts,
    "cards": tuple,
    **dict.fromkeys(("supplement_by", "rectify_from", "answer_by"), date.fromisoformat),
    **dict.fromkeys(
        (each.name for each in fields(CaseState) if each.name.endswith(("_at", "_since"))), _moment
    ),
}
