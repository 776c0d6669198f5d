"""A lane to the database: threads of its own, whole transactions, bounded waits.

A transaction that has begun always ends by itself, with commit or rollback, whatever becomes of its caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from broker.errors import Unreachable
from broker.store.access.database import Database, Mode, interrupt

T = TypeVar("T")


class _Job(Generic[T]):
    """One transaction to run. The lock keeps an interrupt from hitting the connection's next job."""

    def __init__(self, work: Callable[[Connection], T], *, durable: bool) -> None:
        self.work: Final = work
        self.durable: Final = durable
        self.asked_at: Final = time.monotonic()
        self._lock = threading.Lock()
        self._driver: Any = None
        self._late = False

    def attach(self, driver: Any) -> None:
        with self._lock:
            if self._late:
                raise Unreachable("the database did not answer in time; nothing was changed")
            self._driver = driver

    def detach(self) -> None:
        with self._lock:
            self._driver = None

    def give_up(self) -> None:
        with self._lock:
            self._late = True
            if self._driver is not None:
                interrupt(self._driver)


class Lane:
    """Threads of one mode on one database."""

    def __init__(self, database: Database, mode: Mode, *, threads: int, deadline_s: float | None) -> None:
        self._database = database
        self._deadline_s = deadline_s
        self._engine = database.engine(mode, threads)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"store-{mode}")
        self._away: tuple[float, str] = (-1.0, "")

    async def run(self, work: Callable[[Connection], T], *, durable: bool = False) -> T:
        """Run ``work`` in one transaction. Raises :class:`Unreachable` no later than the deadline."""
        job = _Job(work, durable=durable)
        try:
            future: Future[T] = self._threads.submit(self._run, job)
        except RuntimeError:
            raise Unreachable(f"the store {self._database} is closed") from None
        try:
            async with asyncio.timeout(self._deadline_s) as deadline:
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if not deadline.expired():
                raise
            job.give_up()
            raise Unreachable(
                f"the database {self._database} did not answer within {self._deadline_s:g} s; "
                "the transaction may have happened"
            ) from None

    async def close(self) -> None:
        """Wait for the transactions in hand, drop those that have not begun, let go of the connections."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        self._engine.dispose()

    def _run(self, job: _Job[T]) -> T:
        away_at, why = self._away
        if job.asked_at <= away_at:
            # It waited behind a call that found the database away: no second wait of the same length.
            raise Unreachable(why)
        try:
            return self._transact(job)
        except Exception as fault:
            told = self._database.told(fault)
            if told is None:
                raise
            if isinstance(told, Unreachable):
                self._away = (time.monotonic(), str(told))
            raise told from fault

    def _transact(self, job: _Job[T]) -> T:
        with self._connect(job) as connection:
            try:
                if not (job.durable and self._database.loses_last_commits):
                    return self._commit(job, connection)
                with _synced(connection):
                    return self._commit(job, connection)
            finally:
                job.detach()

    def _connect(self, job: _Job[T]) -> Connection:
        """A connection that works: one that died while it was idle is replaced at once."""
        connection = self._attached(job)
        if self._database.is_sqlite:
            return connection
        try:
            connection.exec_driver_sql("SELECT 1")
        except DBAPIError as fault:
            job.detach()
            connection.close()
            if not fault.connection_invalidated:
                raise
            return self._attached(job)
        return connection

    def _attached(self, job: _Job[T]) -> Connection:
        connection = self._engine.connect()
        try:
            job.attach(connection.connection.driver_connection)
        except Unreachable:
            connection.close()
            raise
        return connection

    @staticmethod
    def _commit(job: _Job[T], connection: Connection) -> T:
        try:
            result = job.work(connection)
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
        return result


@contextlib.contextmanager
def _synced(connection: Connection) -> Iterator[None]:
    """While open, commits of this SQLite connection reach the disk, and with them all commits before them."""
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA synchronous=FULL")
    try:
        yield
    finally:
        driver.execute("PRAGMA synchronous=NORMAL")
