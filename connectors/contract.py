"""What every connector holds to, as one suite: a test class per kind inherits it and says how to make one.

The suite speaks to the partner's side only through :class:`PartnerSide`, whose own ledger is the judge.
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Protocol

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.message import Message, MessageClass, to_headers
from broker.core.records import Position, Record
from broker.errors import Unreachable
from connectors.base import Answer, Connector, Deferred, Delivered, Held, Parcel, Taken

SOURCE = Party("451300")
RECIPIENT = PartnerId("430423")


def sample_parcel(number: int, *, case: str = "451300/1", attempt: int = 1) -> Parcel:
    """A parcel that any partner may be sent: no person is in it."""
    value = b"\x00\x00\x00\x00\x01" + number.to_bytes(4, "big")
    message = Message(
        id=MessageId(f"m-{number}"),
        source=SOURCE,
        type="case.urged",
        case=CaseId(case),
        destination=Party(RECIPIENT),
        time=datetime(2026, 1, 5, 8, 0, tzinfo=UTC),
        message_class=MessageClass.INITIAL,
        digest="sha-256:" + "0" * 64,
        dataschema="/schemas/ids/1",
        value=value,
    )
    record = Record(
        position=Position(f"tongban.outbox.{RECIPIENT}", 0, number),
        timestamp_ms=1_767_600_000_000,
        key=message.case.encode(),
        value=value,
        headers=to_headers(message),
    )
    data = {"number": number, "text": "请尽快办理"}
    return Parcel(message=message, record=record, value=value, data=data, attempt=attempt)


class PartnerSide(Protocol):
    """The partner's system in a test: its own ledger, and its two states."""

    def effects(self) -> Sequence[str]:
        """The names (``<source>/<id>``) that took effect, in order, each once."""
        ...

    async def go_away(self) -> None: ...

    async def come_back(self) -> None: ...


class ConnectorContract(abc.ABC):
    """Inherit in a test module; every method ``test_…`` is a promise of :mod:`connectors.base`."""

    @abc.abstractmethod
    def connected(self) -> AbstractAsyncContextManager[tuple[Connector, PartnerSide]]:
        """A started connector and the partner's side it leads to; both are ended on leaving."""

    async def test_one_answer_per_parcel_in_order(self) -> None:
        async with self.connected() as (connector, side):
            parcels = [sample_parcel(n, case=f"451300/{n}") for n in range(connector.features.batch)][:20]
            answers = await connector.deliver(parcels)
            assert len(answers) == len(parcels)
            assert all(_went_well(answer) for answer in answers)
            assert list(side.effects()) == [parcel.message.name for parcel in parcels]

    async def test_a_repeated_attempt_has_one_effect(self) -> None:
        async with self.connected() as (connector, side):
            for attempt in (1, 2, 3):
                answer = (await connector.deliver([sample_parcel(7, attempt=attempt)]))[0]
                assert _went_well(answer)
            assert list(side.effects()) == [sample_parcel(7).message.name]

    async def test_a_partner_that_is_away_is_told_as_such_and_in_time(self) -> None:
        async with self.connected() as (connector, side):
            await side.go_away()
            begun = time.monotonic()
            assert await _away(connector)
            assert time.monotonic() - begun < 30
            assert not side.effects()
            await side.come_back()
            assert _went_well((await connector.deliver([sample_parcel(1)]))[0])

    async def test_a_probe_has_no_effect(self) -> None:
        async with self.connected() as (connector, side):
            assert _went_well(await connector.probe())
            assert not side.effects()

    async def test_many_calls_at_once(self) -> None:
        async with self.connected() as (connector, side):
            calls = [connector.deliver([sample_parcel(n, case=f"451300/{n}")]) for n in range(50)]
            answers = [answer for each in await asyncio.gather(*calls) for answer in each]
            assert all(_went_well(answer) for answer in answers)
            assert sorted(side.effects()) == sorted(sample_parcel(n).message.name for n in range(50))

    async def test_closing_ends_what_is_in_flight(self) -> None:
        async with self.connected() as (connector, _):
            flying = asyncio.ensure_future(connector.deliver([sample_parcel(1)]))
            await asyncio.sleep(0)
            await connector.close()
            answers = await asyncio.wait_for(flying, 5)
            assert len(answers) == 1


async def _away(connector: Connector) -> bool:
    try:
        answers = await connector.deliver([sample_parcel(1)])
    except Unreachable:
        return True
    return isinstance(answers[0], Deferred)


def _went_well(answer: Answer) -> bool:
    return isinstance(answer, Delivered | Taken | Held)
