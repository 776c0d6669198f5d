"""The rows of the view as records: one field per column of ``tables.py``, under the column's own name.

Times are UTC milliseconds since 1970, as Kafka and the tables hold them.
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.core.case.case_state import CaseState
from broker.core.ids import CaseId, MessageId, PartnerId, Party

Name = tuple[Party, MessageId]
"""Source and id: what names a message for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """One message of the ledger and what became of it. ``outcome`` None: nothing yet."""

    source: Party
    id: MessageId
    case_id: CaseId
    type: str
    destination: Party
    item: str | None
    mode: str | None
    message_class: int
    correlation: str | None
    digest: str
    proof: str
    said_at: int
    expires_at: int | None
    ledger_partition: int
    ledger_offset: int
    accepted_at: int
    verdict: str
    code: str | None = None
    detail: str | None = None
    outcome: str | None = None
    outcome_at: int | None = None
    attempts: int = 0
    reference: str | None = None
    answer: str | None = None
    receipt_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """What became of the message ``(source, id)``: the columns of its row that a receipt fills.

    ``outcome`` None: it was redriven from the desk, and is owed again. Its row keeps the id of the receipt that
    had ended it: that it was on the desk before is told from that.
    """

    source: Party
    id: MessageId
    outcome: str | None
    outcome_at: int | None
    attempts: int
    reference: str | None
    answer: str | None
    receipt_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActRow:
    """One entry of a dossier's history: the ledger record at this place, and what it did to the dossier.

    ``act``: failed, redriven, returned, skipped, assigned, noted or delivered; ``by`` a named person, or the
    broker. ``detail``: what it says beyond the reason (the new owner and deadline, the note, the failure's cause).
    """

    ledger_partition: int
    ledger_offset: int
    source: Party
    id: MessageId
    act: str
    by: str
    reason: str
    detail: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """A case's state, and when the next of its deadlines falls (None: none is outstanding)."""

    state: CaseState
    falls_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """A yellow or red card that was issued: the columns of table ``card``."""

    case_id: CaseId
    kind: str
    step: str
    light: str
    turn: int
    falls_at: int
    issued_at: int
    due_on: str
    late: PartnerId
    opening: PartnerId
    responsible: PartnerId
    item: str
    ledger_partition: int
    ledger_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryRow:
    """One version of the directory; ``documents`` is a JSON object, path to TOML text."""

    version: str
    documents: str
    applied_at: int
    applied_by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One attempt at delivery that did not end in a delivery.

    ``redrive`` is how often the message had been redriven before: attempts count anew after each. ``next_at``
    is when the next attempt is planned; None: none is, or not by the clock (the partner's circuit is open).
    """

    partner: PartnerId
    source: Party
    id: MessageId
    attempt: int
    started_at: int
    duration_ms: int
    result: str
    detail: str
    redrive: int = 0
    next_at: int | None = None
