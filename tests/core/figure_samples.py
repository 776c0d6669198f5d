"""Cases as the ledger leaves them, for those who count them: decided in November 2026 unless said otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from broker.core import clock
from broker.core.case.case_state import CaseState, Status
from broker.core.ids import CaseId, PartnerId
from broker.core.message import SHANGHAI, Mode

LAIBIN, HENGSHAN, XIAMEN = PartnerId("451300"), PartnerId("430423"), PartnerId("350200")
ITEM = "xinshenger-ruhu"


def at(text: str) -> datetime:
    """``11-02 09:30`` of 2026 in China; a day alone is at ten."""
    day, _, time = text.partition(" ")
    return datetime.fromisoformat(f"2026-{day}T{time or '10:00'}:00").replace(tzinfo=SHANGHAI)


def a_case(number: int = 1, /, **facts: Any) -> CaseState:
    """A case submitted on November 2nd, a Monday; ``facts`` are fields of its state."""
    plain = CaseState(
        case=CaseId(f"{LAIBIN}/{number:06}"),
        opening=LAIBIN,
        responsible=HENGSHAN,
        item=ITEM,
        mode=Mode.COLLECTED,
        status=Status.SUBMITTED,
        opened_at=at("11-02"),
        updated_at=at("11-02"),
    )
    return replace(plain, **facts)


def accepted(number: int = 1, /, when: str = "11-03", *, days: int = 5, **facts: Any) -> CaseState:
    """The case accepted ``when``, with a promise of so many working days."""
    moment = at(when)
    running = clock.start(moment, moment.date(), days=days, minutes=None)
    plain = a_case(number, status=Status.ACCEPTED, accepted_at=moment, updated_at=moment, clock=running)
    return replace(plain, **facts)


def decided(
    number: int = 1, /, when: str = "11-06", since: str = "11-03", *, days: int = 5, **facts: Any
) -> CaseState:
    """The case accepted ``since`` and granted ``when``."""
    moment = at(when)
    plain = replace(
        accepted(number, since, days=days),
        status=Status.DECIDED,
        granted=True,
        decided_at=moment,
        updated_at=moment,
    )
    return replace(plain, **facts)
