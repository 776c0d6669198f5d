"""Migrations and tables.py say the same, processes that start together do not collide, and a wheel has them."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from broker.errors import WrongUse
from broker.store.access import migrate as migrate_module
from broker.store.access.database import Database
from broker.store.access.migrate import check, migrate
from broker.store.access.schema import MIGRATIONS, VAULT_SCHEMA, VIEW_SCHEMA, Schema
from tests.store.postgres import fresh_database

CHECKOUT = Path(__file__).parents[2]
SCHEMAS = pytest.mark.parametrize("schema", [VIEW_SCHEMA, VAULT_SCHEMA], ids=lambda schema: str(schema.name))


def _engine(url: str, schema: Schema = VIEW_SCHEMA) -> Engine:
    return Database.of(url, schema, 3.0).engine("write", 1)


def _catalogue(connection: Connection) -> set[tuple[str, ...]]:
    """What the database itself says it holds: tables with columns, types and comments, and every index."""
    if connection.dialect.name == "sqlite":
        found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return {(row.name, " ".join(row.sql.replace(" )", ")").split())) for row in found}
    columns = text(
        "SELECT a.attrelid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,"
        " coalesce(pg_get_expr(d.adbin, d.adrelid), ''), coalesce(col_description(a.attrelid, a.attnum), '')"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0"
    )
    indexes = text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
    return {tuple(row) for row in connection.execute(columns)} | {
        tuple(row) for row in connection.execute(indexes)
    }


@pytest.fixture
def other_url(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Another empty database of the same kind."""
    if url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'other.db'}"
        return
    with fresh_database(request.getfixturevalue("postgres")) as other:
        yield other


@SCHEMAS
def test_migrations_give_the_tables_of_tables_py(url: str, other_url: str, schema: Schema) -> None:
    migrate(url, schema=schema)
    migrated, declared = _engine(url, schema), _engine(other_url, schema)
    try:
        with declared.begin() as connection:
            schema.metadata.create_all(connection)
            wanted = _catalogue(connection)
        with migrated.begin() as connection:
            found = {line for line in _catalogue(connection) if schema.version_table not in " ".join(line)}
            context = MigrationContext.configure(
                connection, opts={"version_table": schema.version_table, "compare_type": True}
            )
            assert compare_metadata(context, schema.metadata) == []
        assert found == wanted
    finally:
        migrated.dispose()
        declared.dispose()


@SCHEMAS
def test_the_newest_revision_is_the_one_that_is_named(url: str, schema: Schema) -> None:
    migrate(url, schema=schema)
    engine = _engine(url, schema)
    with engine.begin() as connection:
        found = connection.scalar(text(f"SELECT version_num FROM {schema.version_table}"))
        newest = ScriptDirectory(str(MIGRATIONS), version_locations=[str(schema.versions)]).get_heads()
    engine.dispose()
    assert [found] == [schema.head] == list(newest)


@SCHEMAS
def test_a_second_run_changes_nothing(url: str, schema: Schema) -> None:
    migrate(url, schema=schema)
    migrate(url, schema=schema)
    check(url, schema=schema)


def test_view_and_vault_may_share_a_database(url: str) -> None:
    for schema in (VIEW_SCHEMA, VAULT_SCHEMA):
        migrate(url, schema=schema)
    for schema in (VIEW_SCHEMA, VAULT_SCHEMA):
        check(url, schema=schema)


def test_a_database_without_tables_is_told(url: str) -> None:
    migrate(url, schema=VAULT_SCHEMA)
    with pytest.raises(WrongUse, match="tongban setup"):
        check(url)


@pytest.mark.parametrize("look", [migrate, check])
def test_a_database_of_a_newer_release_is_refused(url: str, look: object) -> None:
    assert callable(look)
    migrate(url)
    engine = _engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE view_version SET version_num = '9999'"))
    with pytest.raises(WrongUse, match="newer release \\(revision 9999\\)"):
        look(url)
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT version_num FROM view_version")) == "9999"
    engine.dispose()


def test_a_migration_waits_for_one_that_is_under_way(url: str) -> None:
    engine, database = _engine(url), Database.of(url, VIEW_SCHEMA, 3.0)
    if database.is_sqlite:
        migrate_module._make_file(database)
    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as connection:
            migrate_module._upgrade(database, connection)
            second = threads.submit(migrate, url)
            with pytest.raises(FutureTimeout):
                second.result(0.5)
        second.result(10)
    engine.dispose()
    check(url)


def test_processes_that_start_together_make_the_tables_once(url: str) -> None:
    program = (
        "import sys; from broker.store.access.migrate import migrate; print('ready', flush=True);"
        " sys.stdin.readline(); migrate(sys.argv[1]); migrate(sys.argv[1])"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in started]
    assert [code for _, code in ended] == [0] * 4, ended
    check(url)


def test_an_installed_wheel_migrates(url: str, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    program = "import sys; from broker.store.access import migrate; print(migrate.__file__); migrate.migrate(sys.argv[1])"
    ran = subprocess.run(
        [sys.executable, "-c", program, url],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.startswith(str(tmp_path / "installed"))
    check(url)
