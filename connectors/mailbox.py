"""Mailbox: the partner only calls out. Messages lie ready until it pulls and acknowledges them.

Placing is no delivery: the effect is the partner's acknowledgement (contract, ``/v1/mailbox/receipts``).
Records are placed sealed, as they came, and opened when they are pulled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from broker.core.catalogue.directory import Partner
from broker.core.documents import FORBID_UNKNOWN, Fault
from connectors.base import Answer, Delivered, Features, Held, Parcel, Ports
from connectors.mapping import MappingOptions

_FEATURES: Final = Features(batch=500, holds=True, opens=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxOptions:
    """A partner that pulls. ``mapping`` is applied when it does."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    kind: Literal["mailbox"] = "mailbox"
    mapping: tuple[MappingOptions, ...] = ()


def faults(partner: Partner, options: MailboxOptions) -> Iterator[Fault]:
    """Nothing that the types do not check."""
    del partner, options
    yield from ()


class MailboxConnector:
    """Places parcels through the port that the wiring gives. Raises what the port raises (Unreachable)."""

    def __init__(self, partner: Partner, options: MailboxOptions, ports: Ports) -> None:
        del options
        self._partner = partner.id
        self._place = ports.place

    @property
    def features(self) -> Features:
        return _FEATURES

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def deliver(self, parcels: Sequence[Parcel]) -> Sequence[Answer]:
        await self._place(self._partner, parcels)
        return [Held()] * len(parcels)

    async def probe(self) -> Answer:
        return Delivered(code="held", detail="the partner calls us")
