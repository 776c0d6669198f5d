"""Complaints by one door, as their sender may see them: until one is answered, not to whom the broker has brought it.

It is brought to whoever is responsible for the case concerned, or, where the ledger has no such case, to the place that
its number names. Whoever could see which of them it was would know whether the case exists. Source: ADR 0016.
"""

from __future__ import annotations

from collections.abc import Sequence

from broker.core.case.case_state import CaseState, Status
from broker.core.case.opening import forwarded_id
from broker.core.ids import PartnerId, Party
from broker.intake.ports import View
from broker.store.rows import MessageRow


async def withheld(view: View, state: CaseState, caller: PartnerId) -> bool:
    """Whether ``caller`` filed this complaint with the broker, about a case that it is no party to, and awaits the
    answer. Costs other cases three comparisons.
    """
    if state.status is not Status.FILED or state.about is None or caller != state.opening:
        return False
    about = await view.case(state.about)
    if about is not None and caller in {about.opening, about.responsible}:
        return False
    return any(is_brought(row) for row in await view.timeline(state.case))


def is_brought(row: MessageRow) -> bool:
    """Whether it is the copy by which the broker brought a complaint to whoever is to answer it."""
    return row.correlation is not None and row.id == forwarded_id(row.correlation)


def between(rows: Sequence[MessageRow], caller: Party) -> list[MessageRow]:
    """Of a complaint's messages, those that ``caller`` itself said or is told."""
    return [row for row in rows if caller in {row.source, row.destination} and not is_brought(row)]
