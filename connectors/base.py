"""The contract between delivery and a partner's system: parcels go out, answers come back as values.

A connector knows one partner's system and nothing of Kafka, lanes, retries or receipts. What the partner
said is a value, never an exception; an exception out of :meth:`Connector.deliver` is a fault of the
connector itself and is treated as ``Deferred``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from broker.core.ids import PartnerId
from broker.core.message import Message
from broker.core.quick import quick
from broker.core.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One message on its way to a partner.

    ``record`` is the outbox record verbatim. ``value`` is its Avro value with the papers opened, or the
    record's own value where the connector does not open (:attr:`Features.opens`). ``data`` is the value in
    the partner's own mapping, or None when the partner takes the Avro itself. ``attempt`` counts from 1.
    """

    message: Message
    record: Record
    value: bytes
    data: Mapping[str, object] | None
    attempt: int


make_parcel = quick(Parcel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The partner has it. ``reference`` is its own number for it; ``code`` what it answered, ``200``."""

    code: str
    reference: str | None = None
    detail: str = ""


make_delivered = quick(Delivered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The partner has taken it and will send its receipt within ``within_s`` seconds, or is asked again."""

    within_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """It lies durably where the partner fetches it; the partner's acknowledgement is the effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The partner will never take this message: back to the sender with the reason, and a dossier."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Not now: again by the schedule, no earlier than ``retry_after_s`` if the partner named a time."""

    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Misconfigured:
    """A fault of configuration on either side: nothing is used up, the circuit opens, operations are told."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The partner has closed this endpoint for good: stop, tell operations."""

    reason: str


Answer = Delivered | Taken | Held | Refused | Deferred | Misconfigured | Closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What a connector promises. ``batch``: most parcels in one call. ``holds``: it answers ``Held``, and
    one call may carry several messages of a case, in order. ``opens``: papers are opened before it is called.
    ``maps``: it wants ``data`` in the partner's mapping.
    """

    batch: int = 1
    holds: bool = False
    opens: bool = True
    maps: bool = False


class Connector(Protocol):
    """One partner's system. Made without I/O; every call is bounded in time by the connector itself."""

    @property
    def features(self) -> Features: ...

    async def start(self) -> None: ...

    async def close(self) -> None:
        """Ends what is in flight; afterwards nothing of it is heard any more."""

    async def deliver(self, parcels: Sequence[Parcel]) -> Sequence[Answer]:
        """One answer per parcel, in the same order."""

    async def probe(self) -> Answer:
        """Whether the partner's system is there, without any effect on it."""


@runtime_checkable
class Submits(Protocol):
    """A connector that needs no task per call: ``done`` is called once, from the loop, with the answers."""

    def submit(self, parcels: Sequence[Parcel], done: Callable[[Sequence[Answer]], None]) -> None: ...


class Signer(Protocol):
    """Makes the ``webhook-signature`` of one request."""

    def __call__(self, webhook_id: str, timestamp: int, body: bytes) -> str: ...


class Place(Protocol):
    """Puts parcels where the partner fetches them. Returns once they are durable; placing twice is placing once.

    Raises broker.errors.Unreachable when the place is away.
    """

    async def __call__(self, partner: PartnerId, parcels: Sequence[Parcel]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What connectors are given by the wiring.

    ``sign`` signs with the broker's own key (``v1a``); ``secrets`` are the named shared secrets of the
    broker's configuration (``v1``); ``now_s`` is the clock in Unix seconds; ``place`` is the mailbox.
    """

    sign: Signer
    secrets: Mapping[str, bytes]
    now_s: Callable[[], float]
    place: Place
