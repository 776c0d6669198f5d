"""The operators' levers on a partner's line: pause, resume, limits, probe; folded from the ledger's records.

Source: contract, "Message types" (operator.*); issue 4, 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any, Final, cast

import orjson

from broker.core.ids import CaseId, PartnerId

PAUSED: Final = "operator.paused"
RESUMED: Final = "operator.resumed"
LIMITED: Final = "operator.limited"
PROBED: Final = "operator.probed"
LEVERS: Final = frozenset({PAUSED, RESUMED, LIMITED, PROBED})
"""The message types that pull a lever."""

_PREFIX: Final = "000000/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """Who pulled a lever, why, and when the ledger took it (UTC milliseconds)."""

    by: str
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Levers:
    """All levers of one partner. ``paused``: nothing goes out. ``probed``: the last probe that was asked for.

    ``in_flight`` (deliveries at once), ``per_second``, ``batch`` (messages in one request) and ``queue_bytes``
    stand in for the directory's limits; None: as the directory says. ``limited``: who set them; None: nobody.
    """

    partner: PartnerId
    paused: Pulled | None = None
    in_flight: int | None = None
    per_second: float | None = None
    batch: int | None = None
    queue_bytes: int | None = None
    limited: Pulled | None = None
    probed: Pulled | None = None
    updated_at_ms: int = 0

    def to_json(self) -> str:
        """Compact JSON, the same bytes for equal levers."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> Levers:
        """The inverse of :meth:`to_json`. Raises ValueError."""
        try:
            facts: dict[str, Any] = orjson.loads(text)
            pulled = {name: None if facts[name] is None else Pulled(**facts[name]) for name in _PULLED}
            return cls(**{**facts, **pulled})
        except (KeyError, TypeError, orjson.JSONDecodeError) as fault:
            raise ValueError(f"not the levers of a partner: {type(fault).__name__}") from None


_PULLED: Final = ("paused", "limited", "probed")

NONE: Final = Levers(partner=PartnerId("000000"))
"""No lever pulled: what holds for a partner of whom the ledger has none."""


def levers_case(partner: PartnerId) -> CaseId:
    """The key of a partner's lever records: so that they have one order (no partner has the code 000000)."""
    return CaseId(f"{_PREFIX}{partner}")


def levers_partner(case: CaseId) -> PartnerId | None:
    """The inverse of :func:`levers_case`; None for any other case."""
    return PartnerId(case.removeprefix(_PREFIX)) if case.startswith(_PREFIX) else None


def pull(levers: Levers, type_: str, facts: Mapping[str, object], at_ms: int) -> Levers:
    """The levers after a record of ``type_`` (one of :data:`LEVERS`) with the value ``facts`` was taken at ``at_ms``.

    Raises ValueError for a rate that is none.
    """
    pulled = Pulled(by=cast("str", facts["by"]), reason=cast("str", facts["reason"]), at_ms=at_ms)
    levers = replace(levers, updated_at_ms=at_ms)
    if type_ == PAUSED:
        return replace(levers, paused=pulled)
    if type_ == RESUMED:
        return replace(levers, paused=None)
    if type_ == PROBED:
        return replace(levers, probed=pulled)
    limits = {name: facts[name] for name in _LIMITS}
    reset = all(limit is None for limit in limits.values())
    per_second = cast("float | None", limits["per_second"])
    if per_second is not None and not 0 <= per_second < inf:
        raise ValueError("per_second: expected 0 or more")
    return replace(
        levers,
        in_flight=cast("int | None", limits["in_flight"]),
        per_second=per_second,
        batch=cast("int | None", limits["batch"]),
        queue_bytes=cast("int | None", limits["queue_bytes"]),
        limited=None if reset else pulled,
    )


_LIMITS: Final = ("in_flight", "per_second", "batch", "queue_bytes")
