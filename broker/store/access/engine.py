"""The store at work: whole transactions, off the event loop.

Writers queue on one thread; reads have threads of their own, so a long read never holds up the writer. Give
each call a whole batch: a transaction costs as much as fifty rows.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Connection

from broker.store.access.database import Database
from broker.store.access.lane import Lane
from broker.store.access.migrate import check, migrate
from broker.store.access.schema import VIEW_SCHEMA, Schema

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE_S: Final = 3.0
DEADLINE_S: Final = 15.0
READERS: Final = 3


class Store:
    """One database, open. Make it with :meth:`open`.

    Every call raises :class:`broker.errors.Unreachable` when the database is away or locked, within
    ``patience_s`` as a rule and ``deadline_s`` at the latest; the next call tries afresh, so the store mends
    itself once the database is back. A cancelled caller leaves no half transaction: what had not begun never
    happens, what had begun ends by itself and may have happened.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: Schema = VIEW_SCHEMA,
        patience_s: float = PATIENCE_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.database: Final = Database.of(url, schema, patience_s)
        self._writer = Lane(self.database, "write", threads=1, deadline_s=deadline_s)
        self._readers = Lane(self.database, "read", threads=READERS, deadline_s=deadline_s)
        self._scanner = Lane(self.database, "read", threads=1, deadline_s=None)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        create: bool = True,
        schema: Schema = VIEW_SCHEMA,
        patience_s: float = PATIENCE_S,
        deadline_s: float = DEADLINE_S,
    ) -> Store:
        """Open the database at ``url`` (``sqlite:///path.db`` or ``postgresql://…``).

        With ``create``, its tables are made or brought up to date; else one that is missing or behind is
        refused. Raises :class:`broker.errors.WrongUse` for that, for another kind of URL and for a database
        of a newer release; :class:`broker.errors.Unreachable` when it is away.
        """
        prepare = functools.partial(migrate if create else check, url, schema=schema, patience_s=patience_s)
        await asyncio.to_thread(prepare)
        return cls(url, schema=schema, patience_s=patience_s, deadline_s=deadline_s)

    async def call(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``work(connection, …)`` in one writing transaction: committed when it returns, else rolled back."""
        return await self._writer.run(lambda connection: work(connection, *args, **kwargs))

    async def call_durably(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As :meth:`call`; when it returns, this and all earlier commits survive a loss of power.

        For what nothing else holds. :meth:`call` survives the death of the process, not that of the machine.
        """
        return await self._writer.run(lambda connection: work(connection, *args, **kwargs), durable=True)

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``work(connection, …)`` on one consistent snapshot. A write in it fails."""
        return await self._readers.run(lambda connection: work(connection, *args, **kwargs))

    async def scan(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As :meth:`read`, for what takes minutes (an export): no deadline, and beside the other reads."""
        return await self._scanner.run(lambda connection: work(connection, *args, **kwargs))

    async def close(self) -> None:
        """Wait for the transactions in hand and let go of the database. Later calls raise Unreachable."""
        for lane in (self._writer, self._readers, self._scanner):
            await lane.close()
