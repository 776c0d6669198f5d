"""Messages put where their partner fetches them: in order, many at once, without lanes or attempts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from broker.core.ids import PartnerId
from broker.delivery.assigned.lease import Lease
from broker.delivery.assigned.tenure import Entry, Tenure
from broker.delivery.chores import Chores
from broker.delivery.ending.gatherer import Gatherer
from broker.delivery.ending.receipts import Ending
from broker.delivery.ending.settlement import Settlement
from broker.delivery.lines.sending import Sender
from broker.errors import Unreachable
from connectors.base import Held, Parcel


class Holding:
    """One partner's mailbox. A message is finished here once it lies there; its receipt is another's matter."""

    def __init__(self, partner: PartnerId, sender: Sender, settlement: Settlement, lease: Lease) -> None:
        self._partner = partner
        self._sender = sender
        self._settlement = settlement
        self._lease = lease
        self._chores = Chores()
        self._gatherer = Gatherer[Entry]("the mailbox", self._place, most=sender.features.batch)
        self._paused = False
        self._kept: list[Entry] = []
        """What came while an operator has paused the partner, in order."""

    @property
    def trouble(self) -> str | None:
        return self._gatherer.trouble

    @property
    def waiting(self) -> int:
        """Messages kept while paused."""
        return len(self._kept)

    def start(self) -> None:
        self._chores.start(self._gatherer.run())

    async def close(self) -> None:
        await self._chores.close()

    def add(self, entry: Entry) -> None:
        if self._paused:
            self._kept.append(entry)
            return
        entry.tenure.busy += 1
        self._gatherer.add(entry)

    def pause(self, *, paused: bool) -> None:
        """Place nothing while paused; what is being placed is."""
        self._paused = paused
        if not paused:
            kept, self._kept = self._kept, []
            for entry in kept:
                self.add(entry)

    def drop(self, tenure: Tenure) -> None:
        """The tenure ends: forget what of it is kept."""
        self._kept = [entry for entry in self._kept if entry.tenure is not tenure]

    async def _place(self, entries: Sequence[Entry]) -> None:
        """Raises Unreachable, and is then called again with the same entries."""
        await self._lease.held()
        kept: list[Entry] = []
        parcels: list[Parcel] = []
        for entry in entries:
            if entry.tenure.closing or not entry.tenure.alive:
                continue
            parcel = self._sender.parcel(entry)
            if isinstance(parcel, Parcel):
                kept.append(entry)
                parcels.append(parcel)
            elif isinstance(parcel, Ending):
                done = partial(_finish, entry)
                self._settlement.end(entry, self._partner, self._sender.kind, parcel, done)
        if parcels:
            answers = await self._sender.deliver(parcels)
            if not all(isinstance(answer, Held) for answer in answers):
                raise Unreachable(f"the mailbox of {self._partner} does not take what is placed")
        for entry in kept:
            _finish(entry)
        for entry in entries:
            entry.tenure.busy -= 1


def _finish(entry: Entry) -> None:
    if entry.tenure.alive:
        entry.tenure.finish(entry.record.position.offset)
