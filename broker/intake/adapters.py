"""The ports of the partner API, made of the store and the log."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from broker.core.case.lifecycle import CaseState
from broker.core.catalogue.directory import Directory, read_directory
from broker.core.events import compartment_aad
from broker.core.ids import BROKER, CaseId, PartnerId, key_case
from broker.core.message import Message, epoch_ms, from_epoch_ms, from_record
from broker.intake.ports import Held, Name, Whereabouts
from broker.log.values.codec import Codec
from broker.log.values.compartment import open_value
from broker.store.access.engine import Store
from broker.store.delivering import attempts, awaiting, frames, mailbox, parked
from broker.store.rows import MessageRow
from broker.store.vault import KeyDestroyed, Vault
from broker.store.view import cases, desk, ledger_view, messages
from broker.store.view import directory as directory_rows
from broker.store.view.ledger_view import Loaded

FIRST_LOOK_S = 0.005
LONGEST_LOOK_S = 0.1
MAILBOX_LOOK_S = 0.5
"""How often a long poll looks by itself: another process may have placed something."""

DIRECTORIES = 16
"""Versions of the directory that are kept parsed: those that cases under way were opened under."""

Ends = Callable[[], Awaitable[Mapping[int, int]]]
"""The ledger's end offsets, asked of Kafka: not older than the call."""


class SharedEnds:
    """One question to Kafka for all who ask while another is under way, and none answered from the past."""

    def __init__(self, ask: Ends) -> None:
        self._ask = ask
        self._under_way: asyncio.Task[Mapping[int, int]] | None = None
        self._next: asyncio.Task[Mapping[int, int]] | None = None

    async def __call__(self) -> Mapping[int, int]:
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._under_way))
        return await asyncio.shield(self._next)

    async def _after(self, before: asyncio.Task[Mapping[int, int]] | None) -> Mapping[int, int]:
        if before is not None:
            await asyncio.wait([before])
        self._under_way, self._next = self._next, None
        return await self._ask()


class StoreView:
    """The view of the ledger in the store."""

    def __init__(self, store: Store, ends: Ends) -> None:
        self._store = store
        self._ends = SharedEnds(ends)
        self._directories: OrderedDict[str, Directory] = OrderedDict()

    async def load(self, case_ids: Collection[CaseId], names: Collection[Name]) -> Loaded:
        return await self._store.read(ledger_view.load, case_ids, names)

    async def caught_up(self, partition: int, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                end = (await self._ends()).get(partition, 0)
                pause_s = FIRST_LOOK_S
                while True:
                    positions = await self._store.read(ledger_view.positions, [partition])
                    if end <= (positions[partition][0] if partition in positions else 0):
                        return True
                    await asyncio.sleep(pause_s)
                    pause_s = min(LONGEST_LOOK_S, pause_s * 2)
        except TimeoutError:
            return False

    async def whereabouts(self, name: Name) -> Whereabouts | None:
        return await self._store.read(_whereabouts, name)

    async def case(self, case: CaseId) -> CaseState | None:
        return await self._store.read(cases.case_state, case)

    async def timeline(self, case: CaseId) -> Sequence[MessageRow]:
        return await self._store.read(cases.timeline, case)

    async def directory(self, version: str) -> Directory | None:
        """Parsed once, for as long as it is asked for."""
        found = self._directories.get(version)
        if found is None:
            found = await self._store.read(_directory, version)
            if found is None:
                return None
            self._directories[version] = found
            if len(self._directories) > DIRECTORIES:
                self._directories.popitem(last=False)
        self._directories.move_to_end(version)
        return found


def _directory(connection: Connection, version: str) -> Directory | None:
    documents = directory_rows.by_version(connection, version)
    return None if documents is None else read_directory(documents)


def _whereabouts(connection: Connection, name: Name) -> Whereabouts | None:
    row = messages.message(connection, *name)
    if row is None:
        return None
    recipient = PartnerId(row.destination)
    lane = parked.messages(connection, recipient, row.case_id)
    dossier = desk.dossier(connection, *name)
    return Whereabouts(
        row=row,
        parked=any((each.source, each.id) == name for each in lane),
        in_mailbox=bool(mailbox.find(connection, recipient, [name])),
        awaited=bool(awaiting.find(connection, recipient, [name])),
        attempts=attempts.attempts_of(connection, *name),
        dossier=dossier,
        redrives=0 if dossier is None else desk.redrives(connection, *name),
    )


class StoreMailboxes:
    """Mailboxes and owed receipts in the store. ``placed`` wakes a long poll within the process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._news: dict[PartnerId, asyncio.Event] = defaultdict(asyncio.Event)

    def placed(self, partner: PartnerId) -> None:
        """Something was placed in this partner's mailbox."""
        if partner in self._news:
            self._news.pop(partner).set()

    async def lease(
        self,
        partner: PartnerId,
        *,
        lease: str,
        max_messages: int,
        max_bytes: int,
        now: datetime,
        until: datetime,
    ) -> Sequence[Held]:
        if not await self._store.read(mailbox.free, partner, epoch_ms(now)):
            return []  # many wait at empty mailboxes: only a lease is worth a writing transaction
        found = await self._store.call(
            mailbox.lease,
            partner,
            lease=lease,
            max_messages=max_messages,
            max_bytes=max_bytes,
            now_ms=epoch_ms(now),
            until_ms=epoch_ms(until),
        )
        return [_held(each) for each in found]

    async def changed(self, partner: PartnerId, within_s: float) -> None:
        try:
            async with asyncio.timeout(min(within_s, MAILBOX_LOOK_S)):
                await self._news[partner].wait()
        except TimeoutError:
            return

    async def owed(self, partner: PartnerId, names: Collection[Name]) -> Mapping[Name, Held]:
        return await self._store.read(_owed, partner, names)

    async def settle(self, partner: PartnerId, names: Collection[Name]) -> None:
        await self._store.call(_settle, partner, names)


def _owed(connection: Connection, partner: PartnerId, names: Collection[Name]) -> Mapping[Name, Held]:
    held = {(each.source, each.id): _held(each) for each in mailbox.find(connection, partner, names)}
    for each in awaiting.find(connection, partner, names):
        record = frames.unpack(each.record)
        held[each.source, each.id] = Held(
            message=from_record(record), attempts=each.attempts, placed_at=from_epoch_ms(record.timestamp_ms)
        )
    return held


def _settle(connection: Connection, partner: PartnerId, names: Collection[Name]) -> None:
    mailbox.remove(connection, partner, names)
    awaiting.remove(connection, partner, names)


def _held(lying: mailbox.Lying) -> Held:
    message = from_record(frames.unpack(lying.record))
    return Held(message=message, attempts=lying.attempts, placed_at=from_epoch_ms(lying.placed_at))


class VaultOpener:
    """Opens compartments with the vault's keys."""

    def __init__(self, vault: Vault, codec: Codec) -> None:
        self._vault = vault
        self._codec = codec

    async def open(self, opened: Sequence[Message]) -> Sequence[Mapping[str, object] | None]:
        keys = await self._keys({key_case(message.case) for message in opened if message.source != BROKER})
        return [self._open(message, keys) for message in opened]

    async def _keys(self, wanted: set[CaseId]) -> Mapping[CaseId, bytes]:
        while wanted:
            try:
                return await self._vault.known(wanted)
            except KeyDestroyed as gone:
                wanted = wanted - gone.cases
        return {}

    def _open(self, message: Message, keys: Mapping[CaseId, bytes]) -> Mapping[str, object] | None:
        value = message.value
        if message.source != BROKER:
            key = keys.get(key_case(message.case))
            if key is None:
                return None
            value = open_value(self._codec, value, key=key, aad=compartment_aad(message)).value
        decoded = self._codec.decode(value)
        return self._codec.to_json(decoded.schema, decoded.datum)
