"""What the partner API needs of the other rooms. ``adapters.py`` makes each of the real one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from broker.core.case.lifecycle import CaseState
from broker.core.catalogue.directory import Directory
from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.message import Message
from broker.core.operating.desk import Dossier
from broker.core.records import NewRecord, Position
from broker.store.rows import AttemptRow, MessageRow
from broker.store.view.ledger_view import Loaded

Name = tuple[Party, MessageId]


class Ledger(Protocol):
    """The log's writer. Raises ``NotDurable`` or ``Unreachable``: nothing may be promised then."""

    async def write(self, records: Sequence[NewRecord], *, deadline_s: float = 15.0) -> list[Position]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where one message is, from all that the store holds of it. Of what lies nowhere: False.

    ``redrives``: how often it was redriven from the desk.
    """

    row: MessageRow
    parked: bool
    in_mailbox: bool
    awaited: bool
    attempts: Sequence[AttemptRow]
    dossier: Dossier | None
    redrives: int = 0


class View(Protocol):
    """The store's view of the ledger. It may lag; only :meth:`caught_up` says that it does not."""

    async def load(self, cases: Collection[CaseId], names: Collection[Name]) -> Loaded: ...

    async def caught_up(self, partition: int, within_s: float) -> bool:
        """Whether the view holds, at most ``within_s`` later, all that the partition held at the call."""
        ...

    async def whereabouts(self, name: Name) -> Whereabouts | None: ...

    async def case(self, case: CaseId) -> CaseState | None: ...

    async def timeline(self, case: CaseId) -> Sequence[MessageRow]: ...

    async def directory(self, version: str) -> Directory | None:
        """A version of the directory that a case was opened under; None: the view has no such version."""
        ...


class Keys(Protocol):
    """The vault: the cases' keys, durable before they are handed out."""

    async def keys(self, case_ids: Collection[CaseId]) -> Mapping[CaseId, bytes]: ...


class DirectorySource(Protocol):
    """The directory in force, kept fresh by whoever wires it."""

    def current(self) -> Directory: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One message that lies in a mailbox, or that a partner has taken and still owes a receipt for."""

    message: Message
    attempts: int
    placed_at: datetime


class Mailboxes(Protocol):
    """Mailboxes to pull from, and what partners owe receipts for."""

    async def lease(
        self,
        partner: PartnerId,
        *,
        lease: str,
        max_messages: int,
        max_bytes: int,
        now: datetime,
        until: datetime,
    ) -> Sequence[Held]: ...

    async def changed(self, partner: PartnerId, within_s: float) -> None:
        """Return when something may have come, at the latest after ``within_s``."""
        ...

    async def owed(self, partner: PartnerId, names: Collection[Name]) -> Mapping[Name, Held]:
        """Those of ``names`` that lie in the partner's mailbox or are awaited from it."""
        ...

    async def settle(self, partner: PartnerId, names: Collection[Name]) -> None:
        """Take them out: their receipts are durable on the ledger."""
        ...


class Opener(Protocol):
    """Opens sealed compartments for those who may read them."""

    async def open(self, messages: Sequence[Message]) -> Sequence[Mapping[str, object] | None]:
        """The data of each as JSON with its papers; None where the case's key was destroyed."""
        ...


class Pressure(Protocol):
    """Back-pressure from what is behind: more than it can carry is not taken in."""

    def __call__(self) -> float | None:
        """Seconds that callers should wait, or None to go on."""
        ...
