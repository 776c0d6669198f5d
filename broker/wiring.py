"""The parts that stages and commands share, opened once and closed together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from broker.core.catalogue.directory import EMPTY, Directory, read_directory
from broker.core.ids import PartnerId
from broker.core.operating.levers import Levers
from broker.errors import Unreachable
from broker.keys import Keys, load_keys
from broker.log.registry.registry import open_codec
from broker.log.values.codec import Codec
from broker.settings import Settings
from broker.store.access.engine import Store
from broker.store.vault import Vault
from broker.store.view import directory as directory_rows
from broker.store.view import levers as lever_rows

REFRESH_S: Final = 1.0
LEVERS_S: Final = 0.5


class DirectoryWatch:
    """The directory in force as the view tells it, at most a second old."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._directory: Directory = EMPTY

    def current(self) -> Directory:
        return self._directory

    async def refresh(self) -> None:
        """Read the version in force; documents are parsed only when it has changed."""
        found = await self._store.read(directory_rows.current)
        if found is not None and found[0] != self._directory.version:
            self._directory = read_directory(found[1])

    async def run(self) -> None:
        """Refresh until cancelled. While the store is away the last directory stays in force."""
        while True:
            with contextlib.suppress(Unreachable):
                await self.refresh()
            await asyncio.sleep(REFRESH_S)


class LeverWatch:
    """The operators' levers as the view tells them, at most half a second old."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._levers: Mapping[PartnerId, Levers] = {}

    def current(self) -> Mapping[PartnerId, Levers]:
        """By partner; one of whom none was ever pulled is left out. The same object until one is pulled."""
        return self._levers

    async def refresh(self) -> None:
        found = await self._store.read(lever_rows.read_all)
        if found != self._levers:
            self._levers = found

    async def run(self) -> None:
        """Refresh until cancelled. While the store is away what was pulled last holds."""
        while True:
            with contextlib.suppress(Unreachable):
                await self.refresh()
            await asyncio.sleep(LEVERS_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every stage needs."""

    settings: Settings
    keys: Keys
    store: Store
    vault: Vault
    codec: Codec
    directory: DirectoryWatch
    levers: LeverWatch


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Open store, vault and schemas. Raises :class:`ConfigurationInvalid` or :class:`Unreachable`."""
    keys = load_keys(settings.keys)
    async with contextlib.AsyncExitStack() as opened:
        store = await Store.open(settings.store.url)
        opened.push_async_callback(store.close)
        vault = await open_vault(settings, keys)
        opened.push_async_callback(vault.close)
        directory = DirectoryWatch(store)
        await directory.refresh()
        levers = LeverWatch(store)
        await levers.refresh()
        yield Parts(
            settings=settings,
            keys=keys,
            store=store,
            vault=vault,
            codec=await open_codec(settings.kafka),
            directory=directory,
            levers=levers,
        )


async def open_vault(settings: Settings, keys: Keys) -> Vault:
    """The vault of case keys, made if it is not there."""
    return await Vault.open(settings.store.vault_url, keys.keks, keys.current_kek)
