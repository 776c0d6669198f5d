"""What stands in a city's ledger, row by row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One first effect at a partner: it happened once, at place ``seq`` of that partner's own order (0: not yet)."""

    seq: int = 0
    webhook_id: str
    source: str
    id: str
    type: str
    case: str
    correlation: str | None
    digest: str
    attempt: int
    reference: str | None
    event: bytes
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One arrival of a message, whatever became of it. ``answer`` is the HTTP status given; 0 for the mailbox's way."""

    seq: int
    webhook_id: str
    attempt: int
    answer: int
    note: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """One case as this city keeps it: own number, own code, own stage.

    ``item_class``: the class within the item, where it has classes. ``manner`` ``by-hand``: staff say what is
    to be said on it, the office only files. ``score``: what the citizen will say of it (好差评).
    """

    number: str
    case: str
    role: str
    counterpart: str
    item: str
    mode: str
    stage: str
    code: str
    opened_at: str
    updated_at: str
    item_class: str = ""
    manner: str = "usual"
    score: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a case in this city's own codes; ``said`` by us, or heard."""

    seq: int
    number: str
    type: str
    code: str
    said: bool
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One message of ours and what became of it. ``receipt`` is the last the broker told us: delivered, rejected …"""

    seq: int
    id: str
    type: str
    case: str
    state: str
    attempts: int
    status: int | None
    code: str | None
    detail: str | None
    digest: str | None
    duplicate: bool
    receipt: str | None
    receipt_detail: str | None
    queued_at: str
    accepted_at: str | None
    receipt_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """The next message to submit: the letter, and its event's exact bytes once they were built."""

    id: str
    letter: bytes
    body: bytes | None
