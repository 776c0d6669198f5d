"""Messages put where their partner fetches them: in order, many at once, without lanes or attempts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from broker.core.ids import PartnerId
from broker.delivery.chores import Chores
from broker.delivery.gatherer import Gatherer
from broker.delivery.receipts import Ending
from broker.delivery.sending import Sender
from broker.delivery.settlement import Settlement
from broker.delivery.tenure import Entry
from broker.errors import Unreachable
from connectors.base import Held, Parcel


class Holding:
    """One partner's mailbox. A message is finished here once it lies there; its receipt is another's matter."""

    def __init__(self, partner: PartnerId, sender: Sender, settlement: Settlement) -> None:
        self._partner = partner
        self._sender = sender
        self._settlement = settlement
        self._chores = Chores()
        self._gatherer = Gatherer[Entry]("the mailbox", self._place, most=sender.features.batch)

    @property
    def trouble(self) -> str | None:
        return self._gatherer.trouble

    def start(self) -> None:
        self._chores.start(self._gatherer.run())

    async def close(self) -> None:
        await self._chores.close()

    def add(self, entry: Entry) -> None:
        entry.tenure.busy += 1
        self._gatherer.add(entry)

    async def _place(self, entries: Sequence[Entry]) -> None:
        """Raises Unreachable, and is then called again with the same entries."""
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
