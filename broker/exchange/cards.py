"""What a record of a yellow or red card does when it is judged: each card is issued once, in log order.

The records themselves are supervision's (``supervision/cards.py``). Source: issue 5, 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import cast

from broker.core.case.case_state import CaseState
from broker.core.case.guards import Facts
from broker.core.case.terms import Terms, terms_of_case
from broker.core.catalogue.directory import Directory
from broker.core.clocks.cards import issue, whole_deemed
from broker.core.clocks.deadlines import Kind, Light
from broker.core.ids import CaseId, PartnerId
from broker.core.message import epoch_ms, from_epoch_ms
from broker.core.records import Record
from broker.errors import Corrupt
from broker.store.rows import CardRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The card stands. ``row`` None: it was issued before, and this is the other side's copy of it."""

    state: CaseState
    row: CardRow | None


def judge_card(state: CaseState | None, facts: Facts, record: Record, terms: Terms) -> Issued | None:
    """What a record of ``notice.deadline`` does to its case; None: it is void, and nobody is to get it.

    ``facts`` is its value, ``terms`` are those of the case. Raises :class:`Corrupt` for a kind that is none.
    """
    try:
        kind, light = Kind(str(facts["kind"])), Light(str(facts["light"]))
    except (KeyError, ValueError):
        raise Corrupt(f"the card at {record.position} is of no kind that there is") from None
    if state is None:
        return None
    step, turn = str(facts.get("step") or ""), cast("int", facts["turn"])
    after = issue(state, kind, step, light, turn, now=from_epoch_ms(record.timestamp_ms), terms=terms)
    if after is None:
        return None
    if after is state:
        return Issued(state=state, row=None)
    row = CardRow(
        case_id=state.case,
        kind=kind,
        step=step,
        light=light,
        turn=turn,
        falls_at=epoch_ms(cast("datetime", facts["at"])),
        issued_at=record.timestamp_ms,
        due_on=cast("date", facts["due_on"]).isoformat(),
        late=PartnerId(str(facts.get("late") or state.responsible)),
        opening=state.opening,
        responsible=state.responsible,
        item=state.item,
        ledger_partition=record.position.partition,
        ledger_offset=record.position.offset,
    )
    return Issued(state=after, row=row)


def whole_after(
    states: Mapping[CaseId, CaseState], issued: Issued, record: Record, directory: Directory | None
) -> CaseState | None:
    """The bundle's case after a card on one of its parts, if that changes it: a part that counts as accepted.

    ``directory``: that of the part's opening, which is the whole's.
    """
    state, row = issued.state, issued.row
    if row is None or (row.kind, row.light) != (Kind.ACCEPTANCE, Light.RED) or state.part_of is None:
        return None
    whole = states.get(state.part_of)
    if whole is None or directory is None:
        return None
    now, terms = from_epoch_ms(record.timestamp_ms), terms_of_case(whole, directory)
    return whole_deemed(whole, state, now=now, terms=terms)
