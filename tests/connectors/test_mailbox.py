from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from broker.core.catalogue.directory import Partner
from broker.core.ids import PartnerId
from broker.errors import Unreachable
from connectors.base import Connector, Held, Parcel
from connectors.contract import ConnectorContract, PartnerSide, sample_parcel
from connectors.mailbox import MailboxConnector, MailboxOptions
from tests.connectors.test_http import PORTS

PARTNER = Partner(id=PartnerId("350200"), name="厦门", contact="-", connector={"kind": "mailbox"})


class Box:
    """A mailbox in memory that can be away."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.away = False

    async def __call__(self, partner: PartnerId, parcels: Sequence[Parcel]) -> None:
        if self.away:
            raise Unreachable
        assert partner == PARTNER.id
        for parcel in parcels:
            if parcel.message.name not in self.names:
                self.names.append(parcel.message.name)

    def effects(self) -> Sequence[str]:
        return self.names

    async def go_away(self) -> None:
        self.away = True

    async def come_back(self) -> None:
        self.away = False


class TestTheContract(ConnectorContract):
    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[Connector, PartnerSide]]:
        box = Box()
        connector = MailboxConnector(PARTNER, MailboxOptions(), replace(PORTS, place=box))
        await connector.start()
        yield connector, box
        await connector.close()


async def test_placing_is_no_delivery_and_keeps_the_order_of_a_case() -> None:
    box = Box()
    connector = MailboxConnector(PARTNER, MailboxOptions(), replace(PORTS, place=box))
    assert await connector.deliver([sample_parcel(n) for n in range(3)]) == [Held()] * 3
    assert box.names == ["451300/m-0", "451300/m-1", "451300/m-2"]
    assert not connector.features.opens


async def test_a_place_that_is_away_is_raised() -> None:
    box = Box()
    box.away = True
    with pytest.raises(Unreachable):
        await MailboxConnector(PARTNER, MailboxOptions(), replace(PORTS, place=box)).deliver(
            [sample_parcel(1)]
        )
