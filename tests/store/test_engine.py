"""The store's own promises: whole transactions, bounded waits, and it mends itself."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from broker.errors import Corrupt, Unreachable, WrongUse
from broker.store.access.engine import Store
from broker.store.tables import position
from tests.store.postgres import EmbeddedPostgres, fresh_database


def _put(connection: Connection, partition: int) -> int:
    connection.execute(
        position.insert().values(ledger_partition=partition, next_offset=1, directory_version="")
    )
    return partition


def _all(connection: Connection) -> list[int]:
    return list(connection.scalars(select(position.c.ledger_partition).order_by(position.c.ledger_partition)))


class _Gate:
    """Work that puts a row, tells that it has begun, and goes on when it is let."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let = threading.Event()

    def work(self, connection: Connection, partition: int) -> None:
        _put(connection, partition)
        self.begun.set()
        assert self.let.wait(10)

    def look(self, connection: Connection) -> list[int]:
        _all(connection)  # takes the snapshot
        self.begun.set()
        assert self.let.wait(10)
        return _all(connection)


async def test_a_call_commits_and_returns_what_its_work_returns(store: Store) -> None:
    assert await store.call(_put, 7) == 7
    assert await store.read(_all) == [7]


async def test_work_that_raises_leaves_nothing_behind(store: Store) -> None:
    def work(connection: Connection) -> None:
        _put(connection, 1)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await store.call(work)
    assert await store.read(_all) == []


async def test_a_mistake_in_a_statement_is_no_fault_of_the_database(store: Store) -> None:
    await store.call(_put, 1)
    with pytest.raises(IntegrityError):
        await store.call(_put, 1)
    with pytest.raises(DBAPIError):
        await store.call(lambda connection: connection.execute(text("SELECT * FROM nowhere")))


async def test_a_read_cannot_write(store: Store) -> None:
    with pytest.raises((DBAPIError, Unreachable)):
        await store.read(_put, 1)
    assert await store.read(_all) == []


async def test_a_long_read_keeps_its_snapshot_and_never_holds_up_the_writer(store: Store) -> None:
    gate = _Gate()
    reading = asyncio.create_task(store.read(gate.look))
    await asyncio.to_thread(gate.begun.wait, 10)
    await asyncio.wait_for(store.call(_put, 1), 2)
    gate.let.set()
    assert await reading == []
    assert await store.read(_all) == [1]


async def test_a_scan_leaves_every_reader_free(store: Store) -> None:
    gate = _Gate()
    scanning = asyncio.create_task(store.scan(gate.look))
    await asyncio.to_thread(gate.begun.wait, 10)
    assert await asyncio.gather(*(store.read(_all) for _ in range(6))) == [[]] * 6
    gate.let.set()
    await scanning


async def test_calls_run_one_after_the_other_in_their_order(store: Store) -> None:
    seen: list[int] = []

    def work(connection: Connection, number: int) -> None:
        _put(connection, number)
        seen.append(len(_all(connection)))

    await asyncio.gather(*(store.call(work, number) for number in range(20)))
    assert seen == list(range(1, 21))


async def test_a_cancelled_caller_leaves_a_whole_transaction_or_none(store: Store) -> None:
    gate = _Gate()
    begun = asyncio.create_task(store.call(gate.work, 1))
    await asyncio.to_thread(gate.begun.wait, 10)
    waiting = asyncio.create_task(store.call(_put, 2))
    await asyncio.sleep(0.05)
    begun.cancel()
    waiting.cancel()
    for task in (begun, waiting):
        with pytest.raises(asyncio.CancelledError):
            await task
    gate.let.set()
    await store.call(_put, 3)
    assert await store.read(_all) == [1, 3], "what had begun ended by itself; what had not never happened"


async def test_a_transaction_past_its_deadline_is_ended_and_the_next_one_works(url: str) -> None:
    store = await Store.open(url, deadline_s=0.5)
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        if url.startswith("sqlite")
        else "SELECT pg_sleep(600)"
    )

    def work(connection: Connection) -> None:
        _put(connection, 1)
        connection.execute(text(endless))

    try:
        began = time.monotonic()
        with pytest.raises(Unreachable, match=r"did not answer within 0\.5 s"):
            await store.call(work)
        assert time.monotonic() - began < 2
        assert await _until_it_works(store, 2) < 3
        assert await store.read(_all) == [2]
    finally:
        await store.close()


async def test_a_closed_store_is_away(url: str) -> None:
    store = await Store.open(url)
    await store.close()
    with pytest.raises(Unreachable, match="closed"):
        await store.call(_put, 1)


async def test_close_waits_for_the_transaction_in_hand(url: str) -> None:
    store = await Store.open(url)
    gate = _Gate()
    task = asyncio.create_task(store.call(gate.work, 1))
    await asyncio.to_thread(gate.begun.wait, 10)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    gate.let.set()
    await asyncio.gather(task, closing)
    again = await Store.open(url, create=False)
    assert await again.read(_all) == [1]
    await again.close()


async def test_a_locked_database_is_told_soon_and_works_again_when_free(sqlite_url: str) -> None:
    store = await Store.open(sqlite_url, patience_s=0.5)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        ended = await asyncio.gather(
            *(store.call(_put, number) for number in range(8)), return_exceptions=True
        )
        took_s = time.monotonic() - began
        assert [type(each) for each in ended] == [Unreachable] * 8
        assert "locked" in str(ended[0])
        assert took_s < 1.5, "those that waited behind the first fail with it, not one after the other"
        assert await store.read(_all) == [], "reads go on"
        other.execute("ROLLBACK")
        await store.call(_put, 9)
        assert await store.read(_all) == [9]
    finally:
        other.close()
        await store.close()


async def test_a_damaged_file_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "view.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(Corrupt):
        await Store.open(f"sqlite:///{tmp_path / 'view.db'}")


async def test_a_file_is_made_with_its_folder_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "view.db"
    store = await Store.open(f"sqlite:///{path}")
    await store.call(_put, 1)
    assert {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {
        "view.db": 0o600,
        "view.db-wal": 0o600,
        "view.db-shm": 0o600,
    }
    await store.close()


async def test_a_folder_that_cannot_be_made_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unreachable):
        await Store.open(f"sqlite:///{tmp_path / 'file' / 'view.db'}")


async def test_without_create_nothing_is_made(url: str) -> None:
    with pytest.raises(WrongUse, match="tongban setup"):
        await Store.open(url, create=False)
    if url.startswith("sqlite"):
        assert not Path(url.removeprefix("sqlite:///")).exists()


@pytest.mark.parametrize("wrong", ["", "view.db", "sqlite://", "sqlite:///:memory:", "mysql://host/db"])
async def test_other_urls_are_refused(wrong: str) -> None:
    with pytest.raises(WrongUse, match=r"expected sqlite:///path\.db or postgresql://"):
        await Store.open(wrong)


async def test_no_password_is_told() -> None:
    with pytest.raises(Unreachable) as told:
        await Store.open("postgresql://user:geheim@127.0.0.1:1/nowhere")
    assert "geheim" not in str(told.value)
    assert "127.0.0.1" in str(told.value)


async def test_a_durable_call_reaches_the_disk_and_others_need_not(sqlite_url: str) -> None:
    store = await Store.open(sqlite_url)

    def synchronous(connection: Connection) -> object:
        return connection.exec_driver_sql("PRAGMA synchronous").scalar()

    assert await store.call(synchronous) == 1  # NORMAL
    assert await store.call_durably(synchronous) == 2  # FULL
    assert await store.call(synchronous) == 1
    assert await store.call(lambda each: each.exec_driver_sql("PRAGMA journal_mode").scalar()) == "wal"
    await store.close()


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres()
    yield server
    server.remove()


async def _until_it_works(store: Store, partition: int) -> float:
    """Put a row, again and again until it works; the seconds that took."""
    began = time.monotonic()
    while time.monotonic() - began < 20:
        try:
            await store.call(_put, partition)
        except Unreachable:
            await asyncio.sleep(0.05)
        else:
            return time.monotonic() - began
    raise AssertionError("the store did not mend itself")


async def test_a_server_that_restarts_or_goes_away(own_server: EmbeddedPostgres) -> None:
    with fresh_database(own_server.url) as url:
        store = await Store.open(url, patience_s=2)
        await store.call(_put, 1)
        await store.read(_all)
        await asyncio.to_thread(own_server.stop)
        await asyncio.to_thread(own_server.start)
        # Connections that died while they were idle are replaced without anybody noticing.
        assert await store.read(_all) == [1]
        await store.call(_put, 2)
        await asyncio.to_thread(own_server.stop)
        began = time.monotonic()
        for away in (store.read(_all), store.call(_put, 3)):
            with pytest.raises(Unreachable):
                await away
        assert time.monotonic() - began < 5
        await asyncio.to_thread(own_server.start)
        await _until_it_works(store, 4)
        assert await store.read(_all) == [1, 2, 4]
        await store.close()


async def test_a_server_that_hangs_is_given_up_and_found_again(own_server: EmbeddedPostgres) -> None:
    with fresh_database(own_server.url) as url:
        store = await Store.open(url, patience_s=2, deadline_s=1)
        await store.call(_put, 1)
        with own_server.frozen():
            began = time.monotonic()
            ended = await asyncio.gather(
                store.call(_put, 2), store.call(_put, 3), store.read(_all), return_exceptions=True
            )
            assert [type(each) for each in ended] == [Unreachable] * 3
            assert time.monotonic() - began < 3
        await _until_it_works(store, 4)
        assert set(await store.read(_all)) >= {1, 4}
        await store.close()
