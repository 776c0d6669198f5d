"""What a batch of ledger records amounts to: the view's changes, and the records that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from broker.core.case.lifecycle import CaseState
from broker.core.catalogue.directory import Directory
from broker.core.ids import CaseId, PartnerId
from broker.core.operating.desk_lanes import Desk
from broker.core.operating.levers import Levers
from broker.core.records import NewRecord
from broker.exchange import rows
from broker.store.rows import ActRow, CardRow, DirectoryRow, MessageRow, Name, OutcomeRow
from broker.store.view.ledger_view import Known, LedgerBatch
from broker.store.view.reconciliation import ReconciledRow

Book = Mapping[str, Directory]
"""Directories by version: those that cases in hand were opened under."""
NO_BOOK: Final[Book] = {}


@dataclass(slots=True, kw_only=True)
class Judged:
    """What a batch amounts to. ``directory`` is the one in force after it; ``book`` has all that its cases are under.

    ``known``: what the view held of its messages before it.
    """

    directory: Directory
    book: Book
    cases: dict[CaseId, CaseState] = field(default_factory=dict)
    messages: list[MessageRow] = field(default_factory=list)
    outcomes: list[OutcomeRow] = field(default_factory=list)
    desk: Desk = field(default_factory=Desk)
    acts: list[ActRow] = field(default_factory=list)
    levers: dict[PartnerId, Levers] = field(default_factory=dict)
    cards: list[CardRow] = field(default_factory=list)
    reconciled: list[ReconciledRow] = field(default_factory=list)
    directories: list[DirectoryRow] = field(default_factory=list)
    outputs: list[NewRecord] = field(default_factory=list)
    known: Mapping[Name, Known] = field(default_factory=dict)

    def ledger_batch(self, partition: int, since: int, until: int) -> LedgerBatch:
        """The view's changes for the records of ``partition`` from ``since`` up to, not including, ``until``."""
        return LedgerBatch(
            partition=partition,
            since=since,
            until=until,
            directory_version=self.directory.version,
            cases=tuple(rows.case_row(state, self.book) for state in self.cases.values()),
            messages=tuple(self.messages),
            outcomes=tuple(self.outcomes),
            dossiers=tuple(self.desk.changed.values()),
            acts=tuple(self.acts),
            levers=tuple(self.levers.values()),
            directories=tuple(self.directories),
            cards=tuple(self.cards),
            reconciled=tuple(self.reconciled),
            known=self.known,
        )
