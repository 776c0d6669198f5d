"""Acts of a named person: who acts and why, the records that say so, and what the exchange said to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from broker.core.codes import names_a_citizen
from broker.core.ids import MessageId
from broker.core.message import from_epoch_ms
from broker.core.records import NewRecord, Position
from broker.errors import WrongUse
from broker.log.registry.registry import open_codec
from broker.log.values.codec import Codec
from broker.log.writing.writer import Writer
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.view import standing
from broker.store.view.standing import Verdict

POLL_S: Final = 0.05
_LONGEST: Final = {"--by": 200, "--reason": 1000, "--owner": 200, "--note": 4000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A named person and the reason: every act on the ledger says both."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An act that the ledger holds, under which id and where."""

    id: MessageId
    position: Position


def actor(command: str, by: str, reason: str) -> Actor:
    """Check who acts and why. Raises :class:`WrongUse` with one line."""
    if not by.strip():
        raise WrongUse(f"{command}: --by: say who acts, or set TONGBAN_OPERATOR; the ledger names a person")
    if not reason.strip():
        raise WrongUse(f"{command}: --reason: say why; the ledger keeps it with the act")
    return Actor(by=words(command, "--by", by), reason=words(command, "--reason", reason))


def words(command: str, option: str, text: str) -> str:
    """A text for the ledger, which keeps it for ever: bounded, on one line, and of no citizen. Raises WrongUse."""
    trimmed, longest = text.strip(), _LONGEST[option]
    if not trimmed or len(trimmed) > longest or not trimmed.isprintable():
        raise WrongUse(f"{command}: {option}: expected 1 to {longest} printable characters on one line")
    if names_a_citizen(trimmed):
        raise WrongUse(
            f"{command}: {option}: holds what reads as a citizen's number; the ledger is for ever, name a case instead"
        )
    return trimmed


def now() -> datetime:
    """The time of an act: milliseconds, as its schema has them."""
    return from_epoch_ms(now_ms())


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Ledger(Protocol):
    """The part of ``broker.log.writing.writer.Writer`` that acts need."""

    async def write(self, records: Sequence[NewRecord]) -> list[Position]: ...


class Pen:
    """Writes acts on the ledger. Made by :func:`open_pen`."""

    def __init__(self, writer: Ledger, codec: Codec, ledger_partitions: int) -> None:
        self._writer = writer
        self.codec: Final = codec
        self.ledger_partitions: Final = ledger_partitions

    async def write(self, records: Sequence[NewRecord]) -> list[Written]:
        """Write acts in their order; per case they are on the ledger in it. Raises Unreachable or NotDurable."""
        positions = await self._writer.write(records)
        return [
            Written(id=MessageId(dict(record.headers)["ce_id"].decode()), position=position)
            for record, position in zip(records, positions, strict=True)
        ]


@asynccontextmanager
async def open_pen(settings: Settings) -> AsyncIterator[Pen]:
    """A pen for this command. Raises :class:`Unreachable` while the cluster is away."""
    writer = Writer(settings.kafka, client_id="tongban-operator")
    await writer.start()
    try:
        yield Pen(writer, await open_codec(settings.kafka), settings.kafka.ledger_partitions)
    finally:
        await writer.close()


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The view as it is: one that is missing is wrong use, a command of operations makes none."""
    store = await Store.open(settings.store.url, create=False)
    try:
        yield store
    finally:
        await store.close()


async def until_judged(store: Store, written: Sequence[Written], wait_s: float) -> dict[MessageId, Verdict]:
    """Wait until the view shows every act, ``wait_s`` at most; those that it does not show are left out."""
    end = time.monotonic() + wait_s
    found: dict[MessageId, Verdict] = {}
    while True:
        found |= await store.read(standing.verdicts, [each.id for each in written if each.id not in found])
        if len(found) == len(written) or time.monotonic() >= end:
            return found
        await asyncio.sleep(POLL_S)
