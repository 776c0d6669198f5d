"""The mailbox as a place for the mailbox connector: rows of the store."""

from __future__ import annotations

from collections.abc import Sequence

from broker.core.ids import PartnerId
from broker.delivery.ports import Clock, Rows
from broker.store.delivering import frames, mailbox
from connectors.base import Parcel


class MailboxPlace:
    """Fits connectors.base.Place. Returns once the records survive a loss of power. Raises Unreachable."""

    def __init__(self, store: Rows, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def __call__(self, partner: PartnerId, parcels: Sequence[Parcel]) -> None:
        placed_at = round(self._clock.now_s() * 1000)
        rows = [
            mailbox.Placed(
                partner=partner,
                outbox_partition=parcel.record.position.partition,
                outbox_offset=parcel.record.position.offset,
                source=parcel.message.source,
                id=parcel.message.id,
                case=parcel.message.case,
                record=frames.pack(parcel.record),
                placed_at=placed_at,
            )
            for parcel in parcels
        ]
        await self._store.call_durably(mailbox.place, rows)
