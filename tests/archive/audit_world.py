"""A view as the exchange leaves it, for audit: cases with the messages that made them, and what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from broker.core.case.case_state import CaseState
from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, Party
from broker.core.message import epoch_ms
from broker.store.rows import CardRow, CaseRow, MessageRow
from broker.store.view import ledger_view
from broker.store.view.reconciliation import ReconciledRow, reconciled_case
from tests.core.figure_samples import HENGSHAN, LAIBIN, a_case, accepted, at, decided
from tests.store import samples


@dataclass
class World:
    """Rows of one ledger partition in the making; offsets follow the order of the calls."""

    cases: dict[CaseId, CaseState] = field(default_factory=dict)
    messages: list[MessageRow] = field(default_factory=list)
    cards: list[CardRow] = field(default_factory=list)
    lines: list[ReconciledRow] = field(default_factory=list)

    def said(self, type_: str, case: CaseId, source: str, when: datetime, **facts: Any) -> MessageRow:
        """One message of the ledger."""
        offset = len(self.messages)
        row = samples.message(
            offset,
            id=MessageId(f"m-{offset}"),
            case_id=case,
            type=type_,
            source=Party(source),
            destination=Party(HENGSHAN if source == LAIBIN else LAIBIN),
            accepted_at=epoch_ms(when),
            said_at=epoch_ms(when),
        )
        self.messages.append(replace(row, **facts))
        return self.messages[-1]

    def refused(
        self, type_: str, case: CaseId, source: str, when: datetime, code: str, **facts: Any
    ) -> MessageRow:
        """One message of the ledger that changed nothing."""
        return self.said(type_, case, source, when, verdict="refused", code=code, **facts)

    def case(self, state: CaseState) -> CaseState:
        """A case, with the messages that its state tells of."""
        opening, responsible = state.opening, state.responsible
        self.said("case.submitted", state.case, opening, state.opened_at)
        if state.accepted_at is not None:
            self.said("case.accepted", state.case, responsible, state.accepted_at)
        if state.decided_at is not None:
            self.said("case.decided", state.case, responsible, state.decided_at)
        self.cases[state.case] = state
        return state

    def list(self, month: str, *lines: tuple[str, str | None, int | None], when: str = "12-03") -> int:
        """衡山县 hands in a list; the offset of its record."""
        row = self.said("operator.reconciled", reconciled_case(HENGSHAN), BROKER, at(when))
        self.lines += [
            ReconciledRow(
                partner=HENGSHAN,
                month=month,
                number=number,
                item=None,
                decided_on=decided_on,
                fee_fen=fee_fen,
                ledger_partition=row.ledger_partition,
                ledger_offset=row.ledger_offset,
                line=place,
            )
            for place, (number, decided_on, fee_fen) in enumerate(lines, start=1)
        ]
        return row.ledger_offset

    def red_acceptance(self, state: CaseState, when: datetime) -> None:
        """The case counts as accepted from here on."""
        row = self.said("notice.deadline", state.case, BROKER, when)
        self.cards.append(
            CardRow(
                case_id=state.case,
                kind="acceptance",
                step="",
                light="red",
                turn=0,
                falls_at=epoch_ms(when),
                issued_at=epoch_ms(when),
                due_on=f"{when:%Y-%m-%d}",
                late=state.responsible,
                opening=state.opening,
                responsible=state.responsible,
                item=state.item,
                ledger_partition=row.ledger_partition,
                ledger_offset=row.ledger_offset,
            )
        )

    def write(self, connection: Connection, *, cut: int = 10_000, partition: int = 0) -> None:
        """Into an empty view, in batches of so many messages."""
        for since in range(0, len(self.messages), cut):
            some: Sequence[MessageRow] = self.messages[since : since + cut]
            last = since + len(some) == len(self.messages)
            batch = samples.batch(
                since,
                since + len(some),
                partition=partition,
                messages=some,
                cases=[CaseRow(state=each) for each in self.cases.values()] if last else (),
                cards=self.cards if last else (),
                reconciled=self.lines if last else (),
            )
            ledger_view.apply(connection, [batch])


__all__ = ["HENGSHAN", "LAIBIN", "PartnerId", "World", "a_case", "accepted", "at", "decided"]
