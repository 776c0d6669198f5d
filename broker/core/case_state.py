"""The state of one case, as the ledger's records so far leave it. Import it from :mod:`broker.core.lifecycle`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

import orjson

from broker.core.ids import CaseId, PartnerId
from broker.core.message import Mode


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
    """Where the case's 好差评 stands: rated once; what follows a rating comes after it."""

    NONE = "none"
    RATED = "rated"
    RECTIFIED = "rectified"
    APPEALED = "appealed"


ENDS: Final = frozenset({Status.REFUSED, Status.DELIVERED, Status.WITHDRAWN, Status.ANSWERED})
"""Statuses that no message leads out of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseState:
    """One case. Times are those of the ledger's records, in UTC.

    ``item`` and ``mode`` are empty for a complaint that names none. ``fee_request`` is ``<source>/<id>`` of
    the latest fee.requested. ``supplements`` counts requests of a supplement; ``revision`` every message
    applied to the case. What else was said when is the timeline's to tell.
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

    def to_json(self) -> str:
        """Compact JSON, the same bytes for equal states; facts that are still as at the opening are left out."""
        document: dict[str, object] = {
            "case": self.case,
            "opening": self.opening,
            "responsible": self.responsible,
            "item": self.item,
            "mode": self.mode,
            "status": self.status,
            "opened_at": self.opened_at,
            "updated_at": self.updated_at,
            "revision": self.revision,
        }
        if self.fee is not Fee.NONE:
            document["fee"] = self.fee
            document["fee_request"] = self.fee_request
        if self.rating is not Rating.NONE:
            document["rating"] = self.rating
        if self.supplements:
            document["supplements"] = self.supplements
        for name in _TIMES:
            if (moment := getattr(self, name)) is not None:
                document[name] = moment
        return orjson.dumps(document, option=orjson.OPT_UTC_Z).decode()

    @classmethod
    def from_json(cls, text: str) -> CaseState:
        """The inverse of :meth:`to_json`. Raises ValueError (also for a key or value of another release)."""
        try:
            facts = orjson.loads(text)
            facts["status"] = Status(facts["status"])
            facts["mode"] = Mode(facts["mode"]) if facts["mode"] else ""
            facts["opened_at"] = _moment(facts["opened_at"])
            facts["updated_at"] = _moment(facts["updated_at"])
            if "fee" in facts:
                facts["fee"] = Fee(facts["fee"])
            if "rating" in facts:
                facts["rating"] = Rating(facts["rating"])
            for name in _TIMES:
                if name in facts:
                    facts[name] = _moment(facts[name])
            return cls(**facts)
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError(f"not the state of a case: {type(fault).__name__}") from None


_TIMES: Final = ("accepted_at", "decided_at", "ended_at")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("not the state of a case: a time without an offset")
    return moment
