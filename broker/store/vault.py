"""The vault: one data key per case, wrapped by a key-encryption key (KEK). Destroying a key erases a person.

It is rebuilt from nothing, so it is kept apart from the view, every commit reaches the disk before a key is
handed out, and no rebuild touches it. Source: design, "Two compartments"; RFC 3394; ADR 0005.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select, update

from broker.core.ids import CaseId
from broker.core.sealing import KEY_BYTES, SealBroken, unwrap, wrap
from broker.errors import Corrupt, TongbanError, Unreachable, WrongUse
from broker.store.access import names
from broker.store.access.engine import Store
from broker.store.access.schema import VAULT_SCHEMA
from broker.store.access.statements import insert_missing, insert_or_update
from broker.store.tables import case_key

CACHE_CASES: Final = 20_000
CACHE_S: Final = 60.0
"""How long a key is remembered: a key destroyed by one process is forgotten by all others after this."""
_REWRAPPED_AT_ONCE: Final = 500


class KeyDestroyed(TongbanError):
    """The keys of some cases were destroyed: their papers can never be opened again, nor added to."""

    def __init__(self, cases: frozenset[CaseId]) -> None:
        super().__init__()
        self.cases = cases


class Vault:
    """The cases' keys. Make it with :meth:`open`. Every call raises Unreachable when its database is away."""

    def __init__(
        self,
        store: Store,
        kek: Mapping[str, bytes],
        current: str,
        *,
        cache_cases: int = CACHE_CASES,
        cache_s: float = CACHE_S,
    ) -> None:
        self._store = store
        self._kek = dict(kek)
        self._current = current
        self._cache_cases = cache_cases
        self._cache_s = cache_s
        self._cache: OrderedDict[CaseId, tuple[bytes, float]] = OrderedDict()
        self._destroyed_here: set[CaseId] = set()

    @classmethod
    async def open(
        cls,
        url: str,
        kek: Mapping[str, bytes],
        current: str,
        *,
        create: bool = True,
        cache_cases: int = CACHE_CASES,
        cache_s: float = CACHE_S,
    ) -> Vault:
        """Open the vault at ``url``, a SQLite file of its own or a PostgreSQL database.

        New keys are wrapped by the KEK named ``current``; those that others in ``kek`` wrap stay readable, so
        KEKs rotate: add one, make it current, :meth:`rewrap`, remove the old one. Raises
        :class:`broker.errors.WrongUse` when a KEK is not 32 bytes, or the vault needs one that is not given,
        and :class:`Corrupt` when one is not what its name says: before any key is made or handed out.
        """
        if current not in kek:
            raise WrongUse("the current key-encryption key is not among those given")
        if any(len(key) != KEY_BYTES for key in kek.values()):
            raise WrongUse(f"a key-encryption key has {KEY_BYTES} bytes")
        store = await Store.open(url, create=create, schema=VAULT_SCHEMA)
        vault = cls(store, kek, current, cache_cases=cache_cases, cache_s=cache_s)
        try:
            for row in await store.read(_one_of_each_kek):
                vault._unwrapped(row)
        except BaseException:
            await store.close()
            raise
        return vault

    async def keys(self, case_ids: Collection[CaseId]) -> dict[CaseId, bytes]:
        """The keys of these cases; missing ones are made, all in one transaction, and are durable on return.

        Two processes that ask for a new case at once get the same key. Give it all that is there: a call
        costs a write to the disk. Raises :class:`KeyDestroyed`, naming the cases; ask again without them.
        """
        found = await self.known(case_ids)
        missing = [each for each in dict.fromkeys(case_ids) if each not in found]
        if missing:
            rows = await self._store.call(_get_or_make, missing, self._current, self._kek[self._current])
            found.update(self._read(rows))
        return found

    async def known(self, case_ids: Collection[CaseId]) -> dict[CaseId, bytes]:
        """The keys of those of these cases that have one. Raises :class:`KeyDestroyed`, naming the cases."""
        found = self._cached(case_ids)
        wanted = [each for each in dict.fromkeys(case_ids) if each not in found]
        if wanted:
            found.update(self._read(await self._store.read(_get, wanted)))
        return found

    async def destroy(self, case: CaseId) -> bool:
        """Destroy a case's key for ever; returns whether there was one. No later call makes another.

        In SQLite the wrapped key is overwritten; PostgreSQL's old row goes with the next vacuum. Backups
        keep what they hold: they are worth nothing once the KEK of their time is destroyed.
        """
        self._destroyed_here.add(case)
        self._cache.pop(case, None)
        had = await self._store.call(_destroy, case)
        # The key is gone already; this only shortens the time for which the write-ahead log still holds it.
        with contextlib.suppress(Unreachable):
            await self._store.call(_empty_log)
        return had

    async def rewrap(self) -> int:
        """Wrap with the current KEK every key that another wraps. Returns how many; may be repeated."""
        rewrapped = 0
        while rows := await self._store.read(_wrapped_by_others, self._current):
            kek = self._kek[self._current]
            fresh = [(row.case_id, row.wrapped, wrap(self._unwrapped(row), kek=kek)) for row in rows]
            rewrapped += await self._store.call(_replace, fresh, self._current)
        return rewrapped

    async def close(self) -> None:
        """Forget the keys and let go of the database."""
        self._cache.clear()
        await self._store.close()

    def _cached(self, case_ids: Collection[CaseId]) -> dict[CaseId, bytes]:
        now = time.monotonic()
        found: dict[CaseId, bytes] = {}
        for case in case_ids:
            entry = self._cache.get(case)
            if entry is not None and now < entry[1]:
                self._cache.move_to_end(case)
                found[case] = entry[0]
        return found

    def _read(self, rows: Collection[Row[Any]]) -> dict[CaseId, bytes]:
        """The keys of rows, now cached too. Raises :class:`KeyDestroyed`."""
        destroyed = frozenset(CaseId(row.case_id) for row in rows if row.destroyed)
        if destroyed:
            raise KeyDestroyed(destroyed)
        keys = {CaseId(row.case_id): self._unwrapped(row) for row in rows}
        expires_at = time.monotonic() + self._cache_s
        for case, key in keys.items():
            if case not in self._destroyed_here:
                self._cache[case] = (key, expires_at)
                self._cache.move_to_end(case)
        while len(self._cache) > self._cache_cases:
            self._cache.popitem(last=False)
        return keys

    def _unwrapped(self, row: Row[Any]) -> bytes:
        kek = self._kek.get(row.kek)
        if kek is None:
            raise WrongUse(
                f"the vault holds keys wrapped by the key-encryption key {row.kek!r}: give that one too"
            )
        try:
            return unwrap(bytes(row.wrapped), kek=kek)
        except SealBroken:
            raise Corrupt(
                f"a key in the vault does not open with the key-encryption key {row.kek!r}"
            ) from None


def _get(connection: Connection, cases: Collection[CaseId]) -> list[Row[Any]]:
    dialect = connection.dialect.name
    return list(connection.execute(_rows_of(dialect), names.texts(dialect, "cases", cases)))


def _get_or_make(
    connection: Connection, cases: Collection[CaseId], kek_name: str, kek: bytes
) -> list[Row[Any]]:
    """The rows of all cases. Where another process makes a key too, the first to commit wins for both."""
    now_ms = time.time_ns() // 1_000_000
    made = [
        {
            "case_id": case,
            "kek": kek_name,
            "wrapped": wrap(os.urandom(KEY_BYTES), kek=kek),
            "created_at": now_ms,
            "destroyed": False,
        }
        for case in sorted(cases)  # in one order everywhere, so that two processes cannot wait for each other
    ]
    insert_missing(connection, case_key, made)
    return _get(connection, cases)


def _destroy(connection: Connection, case: CaseId) -> bool:
    had = connection.scalar(select(case_key.c.wrapped.is_not(None)).where(case_key.c.case_id == case))
    gone = {"kek": "", "wrapped": None, "created_at": time.time_ns() // 1_000_000, "destroyed": True}
    insert_or_update(connection, case_key, [{"case_id": case, **gone}])
    return bool(had)


def _empty_log(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _one_of_each_kek(connection: Connection) -> list[Row[Any]]:
    found: list[Row[Any]] = []
    for name in connection.scalars(select(case_key.c.kek).where(case_key.c.kek != "").distinct()).all():
        one = select(case_key).where(case_key.c.kek == name, case_key.c.wrapped.is_not(None)).limit(1)
        found.extend(connection.execute(one))
    return found


def _wrapped_by_others(connection: Connection, current: str) -> list[Row[Any]]:
    others = select(case_key).where(case_key.c.wrapped.is_not(None), case_key.c.kek != current)
    return list(connection.execute(others.limit(_REWRAPPED_AT_ONCE)))


def _replace(connection: Connection, fresh: Collection[tuple[str, bytes, bytes]], kek_name: str) -> int:
    replaced = 0
    for case, old, new in fresh:
        # Only what is still there: a key destroyed meanwhile stays destroyed.
        same = update(case_key).where(case_key.c.case_id == case, case_key.c.wrapped == old)
        replaced += connection.execute(same.values(wrapped=new, kek=kek_name)).rowcount
    return replaced


@cache
def _rows_of(dialect: str) -> Select[Any]:
    return select(case_key).where(case_key.c.case_id.in_(names.listed(dialect, "cases")))
