"""What audit asks of the view: refused messages, decisions with their cases, what stands behind a finding."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, true

from broker.core.case.case_state import CaseState
from broker.core.ids import CaseId, PartnerId
from broker.store.access.statements import slices
from broker.store.rows import MessageRow
from broker.store.tables import REFUSED, card, case, message
from broker.store.view.export import bytewise
from broker.store.view.figures import prepare_scan
from broker.store.view.messages import read_message

_FETCHED_AT_ONCE: Final = 2000
DECIDED: Final = "case.decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A case, where it comes in the order of all case ids, and when its decision was said (None: there is none).

    ``said_at`` is the deciding city's own time of the decision, UTC ms.
    """

    index: int
    state: CaseState
    said_at: int | None


def refused(connection: Connection, suspects: Collection[tuple[str | None, str]]) -> list[MessageRow]:
    """The refused messages of these types (None: of any) and codes, in the ledger's order of each partition."""
    wanted = [
        message.c.code == code if type_ is None else and_(message.c.type == type_, message.c.code == code)
        for type_, code in suspects
    ]
    order = (message.c.ledger_partition, message.c.ledger_offset)
    chosen = select(message).where(REFUSED, or_(*wanted)).order_by(*order)
    return [read_message(row) for row in connection.execute(chosen).mappings()]


def states(connection: Connection, cases: Collection[CaseId]) -> dict[CaseId, CaseState]:
    """The states of these cases; one that the view has nothing of is left out."""
    found: dict[CaseId, CaseState] = {}
    for some in slices(sorted(cases)):
        chosen = select(case.c.state).where(case.c.case_id.in_(some))
        for (text,) in connection.execute(chosen):
            state = CaseState.from_json(text)
            found[state.case] = state
    return found


def said(
    connection: Connection, cases: Collection[CaseId], types: Collection[str]
) -> dict[CaseId, list[MessageRow]]:
    """The messages of these types on these cases, refused ones too, in the ledger's order."""
    found: dict[CaseId, list[MessageRow]] = {}
    for some in slices(sorted(cases)):
        chosen = select(message).where(message.c.case_id.in_(some), message.c.type.in_(sorted(types)))
        for row in connection.execute(chosen.order_by(message.c.case_id, message.c.ledger_offset)).mappings():
            read = read_message(row)
            found.setdefault(read.case_id, []).append(read)
    return found


def deemed(connection: Connection, cases: Collection[CaseId]) -> dict[CaseId, int]:
    """Of these cases, those that count as accepted since their receipt, and the ledger offset of the red card."""
    found: dict[CaseId, int] = {}
    for some in slices(sorted(cases)):
        chosen = select(card.c.case_id, func.min(card.c.ledger_offset)).where(
            card.c.case_id.in_(some), card.c.kind == "acceptance", card.c.light == "red"
        )
        for identity, offset in connection.execute(chosen.group_by(card.c.case_id)):
            found[CaseId(identity)] = int(offset)
    return found


def cases_of(connection: Connection, responsible: PartnerId) -> Iterator[CaseState]:
    """The cases that a partner is responsible for; memory does not grow with their number."""
    chosen = select(case.c.state).where(case.c.responsible == responsible)
    for (text,) in connection.execute(chosen, execution_options={"yield_per": _FETCHED_AT_ONCE}):
        yield CaseState.from_json(text)


def told_cases(connection: Connection, responsible: PartnerId | None) -> Iterator[Told]:
    """All cases in the order of their ids, or those of one responsible partner; memory does not grow."""
    prepare_scan(connection)
    decision = and_(
        message.c.case_id == case.c.case_id, message.c.type == DECIDED, message.c.verdict != "refused"
    )
    said_at = select(func.min(message.c.said_at)).where(decision).scalar_subquery()
    chosen = select(case.c.state, said_at).where(_of(responsible))
    rows = connection.execute(
        chosen.order_by(bytewise(connection, case.c.case_id)),
        execution_options={"yield_per": _FETCHED_AT_ONCE},
    )
    for index, (text, at) in enumerate(rows):
        yield Told(index=index, state=CaseState.from_json(text), said_at=at)


def ids_at(
    connection: Connection, responsible: PartnerId | None, wanted: Collection[int]
) -> dict[int, CaseId]:
    """The case ids at these indices of :func:`told_cases`, on the same snapshot."""
    if not wanted:
        return {}
    chosen = select(case.c.case_id).where(_of(responsible))
    rows = connection.execute(
        chosen.order_by(bytewise(connection, case.c.case_id)),
        execution_options={"yield_per": _FETCHED_AT_ONCE},
    )
    asked = frozenset(wanted)
    return {index: CaseId(identity) for index, (identity,) in enumerate(rows) if index in asked}


def _of(responsible: PartnerId | None) -> ColumnElement[bool]:
    return true() if responsible is None else case.c.responsible == responsible
