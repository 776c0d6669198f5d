"""One database by its URL: engines for writing and reading, and foreign faults told in our own words.

SQLite runs in WAL with one writer (``BEGIN IMMEDIATE``) and readers beside it; PostgreSQL through psycopg 3.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from broker.errors import Corrupt, TongbanError, Unreachable, WrongUse
from broker.store.access.schema import Schema

Mode = Literal["write", "read"]

_AWAY: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_READ_ONLY_SERVER: Final = "25006"
"""SQLSTATE of a write on a standby: after a fail-over the address leads to the wrong server."""
_PLANNING: Final = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
"""We join from a few names to rows by their key. psycopg keeps plans, and one that PostgreSQL made while the
table was small (read it whole) must not stay when it has grown."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database by its URL. ``patience_s`` bounds every wait for a connection or a lock."""

    url: URL
    schema: Schema
    patience_s: float

    @classmethod
    def of(cls, url: str, schema: Schema, patience_s: float) -> Database:
        """Read ``sqlite:///path.db`` or ``postgresql://…``. Raises :class:`WrongUse` for anything else."""
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise WrongUse("not a database URL: expected sqlite:///path.db or postgresql://…") from None
        match parsed.drivername:
            case "sqlite" if parsed.database and parsed.database != ":memory:" and not parsed.query:
                return cls(parsed, schema, patience_s)
            case "postgresql" | "postgres" | "postgresql+psycopg":
                return cls(parsed.set(drivername="postgresql+psycopg"), schema, patience_s)
        raise WrongUse("not a database that this broker keeps: expected sqlite:///path.db or postgresql://…")

    @property
    def is_sqlite(self) -> bool:
        return self.url.drivername == "sqlite"

    @property
    def path(self) -> Path:
        """The file of a SQLite database."""
        assert self.is_sqlite
        assert self.url.database is not None
        return Path(self.url.database)

    @property
    def loses_last_commits(self) -> bool:
        """Whether a loss of power (not of the process) may undo the last commits, wholly."""
        return self.is_sqlite and not self.schema.full_sync

    def __str__(self) -> str:
        """Its address without a password."""
        return self.url.render_as_string(hide_password=True).replace("+psycopg", "", 1)

    def engine(self, mode: Mode, connections: int) -> Engine:
        """An engine of at most ``connections`` connections. Nothing is opened before it is used."""
        if self.is_sqlite:
            return self._sqlite(mode, connections)
        return self._postgresql(mode, connections)

    def _sqlite(self, mode: Mode, connections: int) -> Engine:
        engine = create_engine(
            self.url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=self.patience_s,
            connect_args={"timeout": self.patience_s, "check_same_thread": False},
        )
        pragmas = [
            f"synchronous={'FULL' if self.schema.full_sync else 'NORMAL'}",
            "temp_store=MEMORY",
            f"cache_size=-{32768 if mode == 'write' else 4096}",
            # Each checkpoint writes the pages that random keys have touched since the last: fewer is quicker.
            "wal_autocheckpoint=8000",
            "journal_size_limit=67108864",
            f"secure_delete={'ON' if self.schema.full_sync else 'OFF'}",
            f"query_only={'OFF' if mode == 'write' else 'ON'}",
        ]
        begin = "BEGIN IMMEDIATE" if mode == "write" else "BEGIN"

        # The driver must not begin by itself: it would begin too late, without taking the writer's lock.
        @event.listens_for(engine, "connect")
        def connected(connection: sqlite3.Connection, _: object) -> None:
            connection.isolation_level = None
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def began(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    def _postgresql(self, mode: Mode, connections: int) -> Engine:
        wait_s = max(2, round(self.patience_s))  # libpq takes 1 as 2
        engine = create_engine(
            self.url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=self.patience_s,
            connect_args={
                "connect_timeout": wait_s,
                "tcp_user_timeout": wait_s * 2000,
                "keepalives_idle": 15,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "application_name": "tongban",
            },
        )
        settings = {**_PLANNING, "lock_timeout": wait_s * 1000}

        @event.listens_for(engine, "connect")
        def connected(connection: Any, _: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))
            connection.commit()

        if mode == "read":
            return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return engine

    def told(self, fault: Exception) -> TongbanError | None:
        """The fault of a driver in our own words; None when it is a mistake of this program instead."""
        if isinstance(fault, PoolTimeout):
            return Unreachable(f"the database {self} is busy: no connection became free")
        if isinstance(fault, DBAPIError) and fault.connection_invalidated:
            return self._away("the connection was lost")
        original = fault.orig if isinstance(fault, DBAPIError) else fault
        if isinstance(original, sqlite3.Error):
            return self._told_by_sqlite(original)
        return None if self.is_sqlite else self._told_by_postgresql(original)

    def _told_by_sqlite(self, fault: sqlite3.Error) -> TongbanError | None:
        code = (getattr(fault, "sqlite_errorcode", None) or 0) & 0xFF
        if code in _DAMAGED:
            return Corrupt(
                f"the database {self} is damaged ({fault}): restore it, or rebuild it from the ledger"
            )
        return self._away(str(fault)) if code in _AWAY else None

    def _told_by_postgresql(self, fault: BaseException | None) -> TongbanError | None:
        import psycopg

        if isinstance(fault, psycopg.errors.DataCorrupted | psycopg.errors.IndexCorrupted):
            return Corrupt(f"the database {self} is damaged: restore it, or rebuild it from the ledger")
        if isinstance(fault, psycopg.errors.ReadOnlySqlTransaction):
            return self._away("the server is a standby and does not take writes")
        if isinstance(fault, psycopg.OperationalError | psycopg.InterfaceError):
            return self._away(str(fault).partition("\n")[0])
        return None

    def _away(self, why: str) -> Unreachable:
        return Unreachable(f"the database {self} is away or locked: {why}")


def interrupt(driver: Any) -> None:
    """End what a driver's connection is doing, from another thread: its transaction fails and is rolled back."""
    if isinstance(driver, sqlite3.Connection):
        driver.interrupt()
        return
    # A frozen server answers no cancel request, so the wait is ended on our own side of the socket.
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(driver.pgconn.socket)) as wire:
        wire.shutdown(socket.SHUT_RDWR)
