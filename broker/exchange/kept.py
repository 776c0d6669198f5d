"""What the view holds of the latest cases and messages, kept from batch to batch instead of being read again.

The store is the truth. What is kept of a partition is what this worker's own last transaction left there, and nobody
else changes it unseen: every transaction moves the partition's position from where it stood, so if another worker was
there meanwhile, the next one of ours is refused. Whoever keeps this therefore forgets all of it with every assignment,
revocation and rewind, and takes in a batch only when it is committed.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, TypeVar

from broker.core.case.case_state import CaseState
from broker.core.ids import BROKER, CaseId
from broker.exchange.judged import Judged
from broker.exchange.reading import Wanted
from broker.store.rows import MessageRow, Name
from broker.store.view.ledger_view import Known, Loaded, make_known
from broker.store.view.outcomes import counted_for

K = TypeVar("K")
V = TypeVar("V")

MOST: Final = 65_536
"""Cases, and messages: what a province's hall has open; 100 MB at most."""


class Kept:
    """Cases as they stand, and messages that wait for their receipt; no more than ``most`` of each."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._cases: dict[CaseId, CaseState] = {}
        self._messages: dict[Name, Known] = {}

    def forget(self) -> None:
        """Keep nothing: another worker may have been where this is from."""
        self._cases.clear()
        self._messages.clear()

    def of(self, wanted: Wanted) -> Loaded:
        """What of ``wanted`` is kept. A message that ended once is not: what the desk has of it, the store says."""
        return Loaded(
            cases={case: state for case in wanted.cases if (state := self._cases.get(case)) is not None},
            messages={name: row for name in wanted.names if (row := self._messages.get(name)) is not None},
        )

    def take(self, judged: Judged) -> None:
        """A batch that was committed, in the order of the log: what it changed stands so now."""
        for case, state in judged.cases.items():
            self._cases.pop(case, None)  # it is the latest now
            self._cases[case] = state
        for row in judged.messages:
            counted = counted_for(row.verdict, row.message_class, row.destination)
            if counted is not None and row.destination != BROKER:
                self._messages[row.source, row.id] = _known(row, counted)
        for outcome in judged.outcomes:
            self._messages.pop((outcome.source, outcome.id), None)
        _shorten(self._cases, self._most)
        _shorten(self._messages, self._most)


def beyond(wanted: Wanted, kept: Loaded) -> Wanted:
    """What of ``wanted`` is left to be read."""
    return Wanted(
        cases=wanted.cases - kept.cases.keys(), names=wanted.names - kept.messages.keys(), desk=wanted.desk
    )


def joined(kept: Loaded, read: Loaded) -> Loaded:
    """What is kept, and what was read."""
    return Loaded(
        cases=kept.cases | read.cases,
        messages=kept.messages | read.messages,
        dossiers=read.dossiers,
        levers=read.levers,
    )


def _known(row: MessageRow, counted: str) -> Known:
    return make_known(
        digest=row.digest,
        ledger_partition=row.ledger_partition,
        ledger_offset=row.ledger_offset,
        verdict=row.verdict,
        code=row.code,
        counted_for=counted,
    )


def _shorten(kept: dict[K, V], most: int) -> None:
    """Let go of the oldest, a few more than must be: not one for each that comes."""
    if len(kept) > most:
        for key in list(islice(kept, len(kept) - most + most // 8)):
            del kept[key]
