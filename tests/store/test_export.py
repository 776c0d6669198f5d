"""Two rebuilds give the same bytes: however the ledger was cut into batches, and on either database."""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy import Connection, event

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.operating.levers import Levers, Pulled
from broker.store.access.engine import Store
from broker.store.view import ledger_view
from broker.store.view.export import export
from broker.store.view.ledger_view import LedgerBatch
from tests.store import samples
from tests.store.samples import batch, case_state, dossier, outcome


def _ledger(cut: int) -> list[LedgerBatch]:
    """The same twelve records of two partitions, in batches of at most ``cut``."""
    found: list[LedgerBatch] = []
    for partition in (0, 1):
        for since in range(0, 6, cut):
            numbers = range(since, min(since + cut, 6))
            names = {number: f"{partition}-{number}" for number in numbers}
            found.append(
                batch(
                    since,
                    numbers[-1] + 1,
                    partition=partition,
                    # One case a partition: its last state is what stands.
                    cases=[case_state(f"甲-{partition}", revision=numbers[-1] + 1)],
                    messages=[
                        samples.message(
                            name,
                            case_id=CaseId(f"451300/甲-{partition}"),
                            ledger_partition=partition,
                            ledger_offset=number,
                            source=Party(("451300", "350206-minzheng")[number % 2]),
                        )
                        for number, name in names.items()
                    ],
                    outcomes=[
                        outcome(name, outcome=("delivered", "rejected")[partition])
                        for number, name in names.items()
                        if number % 2 == 0
                    ],
                    dossiers=[
                        dossier(name) for number, name in names.items() if partition and number % 2 == 0
                    ],
                    acts=[
                        samples.act_row(number, name, ledger_partition=partition, detail="é\0")
                        for number, name in names.items()
                        if partition and number % 2 == 0
                    ],
                    levers=[
                        Levers(
                            partner=PartnerId(f"43042{partition}"),
                            paused=Pulled(by="值班员", reason="检修", at_ms=numbers[-1]),
                            updated_at_ms=numbers[-1],
                        )
                    ],
                    directories=[
                        replace(samples.directory(), applied_at=partition * 10 + number)
                        for number in numbers
                        if number in (0, 4)
                    ],
                )
            )
    return found


async def _export(store: Store) -> bytes:
    return await store.scan(lambda connection: b"".join(export(connection)))


async def test_two_rebuilds_are_byte_identical(store: Store) -> None:
    exports = []
    for cut in (6, 1, 4):
        await store.call(ledger_view.clear_view)
        for each in _ledger(cut):
            await store.call(ledger_view.apply, [each])
        exports.append(await _export(store))
    assert exports[0] == exports[1] == exports[2]
    assert exports[0].count(b"\n") == 2 + 1 + 2 + 12 + 2 + 3 + 3 + 2


async def test_both_databases_export_the_same(sqlite_url: str, postgres_url: str) -> None:
    exports = []
    for url in (sqlite_url, postgres_url):
        store = await Store.open(url)
        names = ["a", "B", "é", "中", "-", "_", "\U0001f600", "z", "Z9"]
        rows = [samples.message(name, id=MessageId(name)) for name in names]
        await store.call(ledger_view.apply, [batch(0, 9, messages=rows), *_ledger(6)[1:]])
        exports.append(await _export(store))
        await store.close()
    assert exports[0] == exports[1]


async def test_a_line_is_canonical_json(store: Store) -> None:
    await store.call(ledger_view.apply, [batch(0, 1)])
    assert await _export(store) == (
        b'{"row":{"directory_version":"0123456789abcdef","ledger_partition":0,"next_offset":1},"table":"position"}\n'
    )


async def test_an_export_reads_in_pieces(store: Store) -> None:
    await store.call(ledger_view.apply, [samples.filled(0, 2500)])
    lines = (await _export(store)).splitlines()
    tables = [json.loads(line)["table"] for line in lines]
    assert {name: tables.count(name) for name in set(tables)} == {
        "position": 1,
        "case_view": 2500,
        "message": 2500,
        "tally": 1,
    }


async def test_postgresql_is_told_to_sort_texts_by_their_bytes(postgres_url: str) -> None:
    """The embedded server knows no other order, so that its result alone would prove nothing."""
    store = await Store.open(postgres_url)
    asked: list[str] = []

    def listen(connection: Connection) -> None:
        event.listen(connection, "before_cursor_execute", lambda *heard: asked.append(heard[2]))
        assert list(export(connection)) == []

    await store.scan(listen)
    orders = [statement.partition("ORDER BY ")[2] for statement in asked if "ORDER BY" in statement]
    assert 'message.source COLLATE "C", message.id COLLATE "C"' in orders
    assert 'tally.partner COLLATE "C", tally.ledger_partition' in orders
    assert 'case_view.case_id COLLATE "C"' in orders
    await store.close()
