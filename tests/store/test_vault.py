"""One key per case for ever, the same for everybody who asks, and gone for ever once destroyed."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import Connection, select, update

from broker.core.ids import CaseId
from broker.errors import Corrupt, WrongUse
from broker.store import vault as vault_module
from broker.store.access.engine import Store
from broker.store.access.schema import VAULT_SCHEMA
from broker.store.tables import case_key
from broker.store.vault import KeyDestroyed, Vault
from broker.store.view import ledger_view

KEK = {"2026": b"k" * 32}
CASES = [CaseId(f"451300/{number}") for number in range(5)]


@pytest_asyncio.fixture
async def vault(url: str) -> AsyncIterator[Vault]:
    opened = await Vault.open(url, KEK, "2026")
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def rows(url: str, vault: Vault) -> AsyncIterator[Store]:
    """The vault's database, looked at directly."""
    opened = await Store.open(url, schema=VAULT_SCHEMA, create=False)
    yield opened
    await opened.close()


async def test_keys_are_made_once_and_differ_by_case(vault: Vault, url: str) -> None:
    made = await vault.keys(CASES)
    assert {len(key) for key in made.values()} == {32}
    assert len(set(made.values())) == len(CASES)
    assert await vault.keys(CASES[::-1]) == made
    other = await Vault.open(url, KEK, "2026")
    assert await other.known([*CASES, CaseId("451300/none")]) == made
    assert await other.keys(CASES) == made
    await other.close()


async def test_known_makes_nothing(vault: Vault) -> None:
    assert await vault.known(CASES) == {}
    assert await vault.keys([]) == {}


async def test_a_case_asked_for_twice_at_once_has_one_key(vault: Vault) -> None:
    made = await asyncio.gather(*(vault.keys([CASES[0], CASES[0], case]) for case in CASES))
    assert len({each[CASES[0]] for each in made}) == 1


async def test_no_key_lies_open_in_the_database(vault: Vault, rows: Store) -> None:
    made = await vault.keys(CASES)
    stored = await rows.read(lambda connection: list(connection.scalars(select(case_key.c.wrapped))))
    assert not {bytes(each) for each in stored} & set(made.values())
    assert {len(each) for each in stored} == {40}


_RACER = """
import asyncio, sys
from broker.store.vault import Vault

async def main():
    vault = await Vault.open(sys.argv[1], {"2026": b"k" * 32}, "2026")
    print("ready", flush=True)
    sys.stdin.readline()
    names = [f"451300/{number}" for number in range(200)]
    found = {}
    for at in range(0, 200, 20):
        batch = names[at:at + 20]
        found.update(await vault.keys(batch[::-1] if sys.argv[2] == "1" else batch))
    print("".join(found[name].hex() for name in names), flush=True)
    await vault.close()

asyncio.run(main())
"""


def test_processes_that_race_for_new_cases_get_the_same_keys(url: str) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, url, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    one, other = (racer.communicate(timeout=60)[0].strip() for racer in racers)
    assert one == other
    assert len(one) == 200 * 64


async def test_a_destroyed_key_stays_destroyed(vault: Vault, url: str, rows: Store) -> None:
    made = await vault.keys(CASES)
    assert await vault.destroy(CASES[0])
    assert not await vault.destroy(CASES[0])
    other = await Vault.open(url, KEK, "2026")
    for asked in (vault, other):
        for ask in (asked.keys, asked.known):
            with pytest.raises(KeyDestroyed) as told:
                await ask(CASES)
            assert told.value.cases == {CASES[0]}
            assert await ask(CASES[1:]) == {case: made[case] for case in CASES[1:]}
    row = await rows.read(
        lambda connection: connection.execute(select(case_key).order_by(case_key.c.case_id)).first()
    )
    assert row is not None
    assert (row.wrapped, row.destroyed) == (None, True)
    await other.close()


async def test_a_key_read_while_it_is_destroyed_is_not_remembered(vault: Vault, url: str) -> None:
    await vault.keys(CASES[:1])
    late = await Vault.open(url, KEK, "2026")
    rows = await late._store.read(vault_module._get, CASES[:1])
    await late.destroy(CASES[0])
    late._read(rows)
    with pytest.raises(KeyDestroyed):
        await late.known(CASES[:1])
    await late.close()


async def test_a_key_destroyed_while_it_is_rewrapped_stays_destroyed(vault: Vault, rows: Store) -> None:
    await vault.keys(CASES[:2])
    old = {row.case_id: row.wrapped for row in await rows.read(vault_module._get, CASES[:2])}
    await vault.destroy(CASES[0])
    fresh = [(case, wrapped, b"new") for case, wrapped in old.items()]
    assert await rows.call(vault_module._replace, fresh, "2027") == 1
    found = {row.case_id: row.wrapped for row in await rows.read(vault_module._get, CASES[:2])}
    assert found == {CASES[0]: None, CASES[1]: b"new"}


async def test_a_case_destroyed_before_it_had_a_key_never_gets_one(vault: Vault) -> None:
    assert not await vault.destroy(CASES[0])
    with pytest.raises(KeyDestroyed):
        await vault.keys(CASES[:1])


async def test_other_processes_forget_a_destroyed_key(url: str, vault: Vault) -> None:
    other = await Vault.open(url, KEK, "2026", cache_s=0.2)
    await other.keys(CASES[:1])
    await vault.destroy(CASES[0])
    await asyncio.sleep(0.25)
    with pytest.raises(KeyDestroyed):
        await other.known(CASES[:1])
    await other.close()


async def test_the_cache_is_bounded_and_spares_what_was_used_last(url: str, rows: Store) -> None:
    small = await Vault.open(url, KEK, "2026", cache_cases=2)
    made = await small.keys(CASES[:2])
    await small.keys(CASES[:1])  # used: the other one is the older now
    await small.keys(CASES[2:3])
    await rows.call(lambda connection: connection.execute(case_key.delete()))
    assert await small.known(CASES) == {
        CASES[0]: made[CASES[0]],
        CASES[2]: (await small.keys(CASES[2:3]))[CASES[2]],
    }
    await small.close()


async def test_the_wrapped_key_is_overwritten_in_the_file(sqlite_url: str) -> None:
    vault = await Vault.open(sqlite_url, KEK, "2026")
    await vault.keys(CASES)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with sqlite3.connect(path) as connection:
        (wrapped,) = connection.execute(
            "SELECT wrapped FROM case_key WHERE case_id = ?", (CASES[0],)
        ).fetchone()
    connection.close()
    assert wrapped in path.read_bytes() + path.with_name("view.db-wal").read_bytes()
    await vault.destroy(CASES[0])
    assert wrapped not in path.read_bytes() + path.with_name("view.db-wal").read_bytes()
    await vault.close()


async def test_keys_are_on_the_disk_before_they_are_handed_out(sqlite_url: str) -> None:
    store = await Store.open(sqlite_url, schema=VAULT_SCHEMA)

    def synchronous(connection: Connection) -> object:
        return connection.exec_driver_sql("PRAGMA synchronous").scalar()

    for ask in (store.call, store.call_durably, store.call):
        assert await ask(synchronous) == 2  # FULL
    await store.close()


async def test_keks_rotate(url: str) -> None:
    old = await Vault.open(url, KEK, "2026")
    made = await old.keys(CASES)
    await old.destroy(CASES[4])
    await old.close()
    both = await Vault.open(url, {**KEK, "2027": b"n" * 32}, "2027")
    assert await both.known(CASES[:4]) == {case: made[case] for case in CASES[:4]}
    made.update(await both.keys([CaseId("451300/new")]))
    assert await both.rewrap() == 4
    assert await both.rewrap() == 0
    await both.close()
    new = await Vault.open(url, {"2027": b"n" * 32}, "2027")
    del made[CASES[4]]
    assert await new.known(list(made)) == made
    with pytest.raises(KeyDestroyed):
        await new.keys(CASES)
    await new.close()


async def test_a_missing_or_wrong_kek_is_told_before_anything_starts(url: str, vault: Vault) -> None:
    await vault.keys(CASES)
    with pytest.raises(WrongUse, match="'2026'"):
        await Vault.open(url, {"2027": b"n" * 32}, "2027")
    with pytest.raises(Corrupt, match="'2026'"):
        await Vault.open(url, {"2026": b"x" * 32}, "2026")
    with pytest.raises(WrongUse, match="current"):
        await Vault.open(url, KEK, "2027")
    with pytest.raises(WrongUse, match="32 bytes"):
        await Vault.open(url, {"2026": b"short"}, "2026")


async def test_a_changed_key_is_corrupt(vault: Vault, url: str, rows: Store) -> None:
    await vault.keys(CASES)
    broken = update(case_key).where(case_key.c.case_id == CASES[3]).values(wrapped=b"\0" * 40)
    await rows.call(lambda connection: connection.execute(broken))
    cold = await Vault.open(url, KEK, "2026")
    with pytest.raises(Corrupt):
        await cold.known(CASES)
    await cold.close()


async def test_a_rebuild_of_the_view_does_not_touch_a_vault_beside_it(
    store: Store, url: str, vault: Vault
) -> None:
    made = await vault.keys(CASES)
    await store.call(ledger_view.clear_view)
    other = await Vault.open(url, KEK, "2026")
    assert await other.known(CASES) == made
    await other.close()
