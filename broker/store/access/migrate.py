"""Bring a database's tables up to date, once, however many processes start at the same moment.

A migration runs in one transaction under a lock (SQLite's writer's lock, PostgreSQL's advisory lock), on
both databases: it is there whole or not at all. To change a table: edit ``tables.py``, add a revision under
``migrations/<schema>/`` and name it in ``schema.py``; ``tests/store/test_migrate.py`` says whether the two agree.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import Connection, inspect, text

from broker.errors import Unreachable, WrongUse
from broker.store.access.database import Database, Mode
from broker.store.access.schema import MIGRATIONS, VIEW_SCHEMA, Schema

if TYPE_CHECKING:
    # Alembic is imported only where a database is behind: it takes longer than all else at the start.
    from alembic.config import Config

T = TypeVar("T")
OTHER_MIGRATION_S: Final = 60.0
"""How long to wait for another process that is migrating the same database."""


def migrate(url: str, *, schema: Schema = VIEW_SCHEMA, patience_s: float = 3.0) -> None:
    """Create or update the tables of ``schema``. A database that is up to date is only looked at.

    Raises :class:`WrongUse` for a database of a newer release, :class:`Unreachable` when it is away.
    """
    database = Database.of(url, schema, patience_s)
    if database.is_sqlite:
        _make_file(database)
    if _run(database, "read", lambda connection: _pending(database, connection)):
        _run(
            Database.of(url, schema, OTHER_MIGRATION_S),
            "write",
            lambda connection: _upgrade(database, connection),
        )


def check(url: str, *, schema: Schema = VIEW_SCHEMA, patience_s: float = 3.0) -> None:
    """Raises :class:`WrongUse` unless the tables are there and up to date. Changes nothing."""
    database = Database.of(url, schema, patience_s)
    if database.is_sqlite and not database.path.exists():
        raise WrongUse(f"there is no database at {database}: run `tongban setup`")
    if _run(database, "read", lambda connection: _pending(database, connection)):
        raise WrongUse(f"the tables of {database} are missing or of an older release: run `tongban setup`")


def _run(database: Database, mode: Mode, work: Callable[[Connection], T]) -> T:
    engine = database.engine(mode, 1)
    try:
        with engine.begin() as connection:
            return work(connection)
    except Exception as fault:
        told = database.told(fault)
        if told is None:
            raise
        raise told from fault
    finally:
        engine.dispose()


def _make_file(database: Database) -> None:
    """Make the file, readable by its owner only, and set WAL, which it keeps."""
    try:
        database.path.parent.mkdir(parents=True, exist_ok=True)
        database.path.touch(mode=0o600)
    except OSError as fault:
        raise Unreachable(f"the database {database} cannot be made: {fault.strerror}") from fault
    give_up_at = time.monotonic() + database.patience_s
    while True:
        try:
            connection = sqlite3.connect(database.path, timeout=database.patience_s)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            finally:
                connection.close()
        except sqlite3.Error as fault:
            # Two that switch at once do not wait for each other's lock: SQLite tells one of them at once.
            if fault.sqlite_errorcode == sqlite3.SQLITE_BUSY and time.monotonic() < give_up_at:
                time.sleep(0.02)
                continue
            raise database.told(fault) or fault from fault
        return


def _pending(database: Database, connection: Connection) -> bool:
    """Whether revisions are missing. Raises :class:`WrongUse` for a revision that this release does not know."""
    table = database.schema.version_table
    found = None
    if inspect(connection).has_table(table):
        found = connection.scalar(text(f"SELECT version_num FROM {table}"))  # noqa: S608 - a name of ours
    if found == database.schema.head:
        return False
    if found is not None and found not in _known(database.schema):
        raise WrongUse(
            f"the database {database} is of a newer release (revision {found}): "
            "install that release, or rebuild into another database"
        )
    return True


def _known(schema: Schema) -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(_config(schema)).walk_revisions()}


def _config(schema: Schema) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("version_locations", str(schema.versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config


def _upgrade(database: Database, connection: Connection) -> None:
    from alembic import command

    if not database.is_sqlite:
        connection.execute(text(f"SET LOCAL lock_timeout = '{OTHER_MIGRATION_S:.0f}s'"))
        key = zlib.crc32(f"tongban {database.schema.name}".encode())
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
    if not _pending(database, connection):
        return
    config = _config(database.schema)
    config.attributes["connection"] = connection
    config.attributes["version_table"] = database.schema.version_table
    config.attributes["metadata"] = database.schema.metadata
    command.upgrade(config, "head")
