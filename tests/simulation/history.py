"""What happened, append-only: what the checkers judge, and what a failing seed is printed from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from broker.core.records import TopicPartition

What = Literal[
    "accepted",  # a message was accepted on the ledger; number: its place in its case and partner
    "outbox",  # a record on an outbox; detail: first, repeat, poison, redrive or control
    "sent",  # a worker sent it to its partner; number: the attempt; proof: the webhook id
    "effect",  # the partner's own ledger took it; detail: first or again
    "answered",  # what the partner answered; detail: the mood
    "ledger",  # what the broker says is durable; name: what it is about; detail: its type; proof: its id
    "desk",  # a record is durable on the desk; detail: the cause
    "stored",  # a row of delivery's is durable; detail: the table
    "unstored",
    "settled",  # the exchange has an outcome in the view; detail: the outcome
    "commit",  # the group has an offset; number: the generation; detail: the note
    "fenced",  # a commit was refused
    "assigned",
    "revoked",
    "owner",  # the group gave a partition to a member; number: the generation
    "process",  # detail: started, killed, frozen, thawed, stopped, failed
    "fault",  # detail: the port, the kind
    "step",  # a step of the plan; detail: what
    "act",  # an operator's act on a dossier; detail: the act
    "dossier",  # detail: opened, reopened, delivered, returned, skipped; number: failures
    "lever",  # detail: what was pulled
    "circuit",  # of a partner at a worker; detail: begun, opened or closed
    "parked",  # a worker has decided to park a lane
    "sample",  # how a worker stands; detail: ok, or why not; number: its lag; offset: progress made
    "healed",  # from now on everything works
    "end",  # detail: settled, or what was still open
    "seen",  # something that a campaign has to see; detail: what
]


class Event(NamedTuple):
    """One fact. ``at_s`` is virtual seconds since the start; ``who`` the process, or the part, it is of."""

    at_s: float
    who: str
    what: What
    name: str = ""
    partner: str = ""
    case: str = ""
    place: TopicPartition | None = None
    offset: int = -1
    number: int = 0
    detail: str = ""
    proof: str = ""

    def __str__(self) -> str:
        where = f" {self.place}@{self.offset}" if self.place is not None else ""
        facts = " ".join(filter(None, (self.name, self.partner if not self.name else "", self.detail)))
        number = f" #{self.number}" if self.number else ""
        return f"{self.at_s:12.3f} s  {self.who:8} {self.what:9} {facts}{where}{number}"


History = Sequence[Event]


def digest(history: Iterable[Event]) -> str:
    """The same for the same history, in every process."""
    found = hashlib.sha256()
    for event in history:
        found.update(repr(tuple(event)).encode())
    return found.hexdigest()
