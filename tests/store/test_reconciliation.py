"""Of several lists of a city and month the last one counts, as a whole."""

from __future__ import annotations

from dataclasses import replace

from broker.core.ids import PartnerId
from broker.store.access.engine import Store
from broker.store.view import ledger_view
from broker.store.view.reconciliation import ReconciledRow, in_force, insert, partners
from tests.store import samples

HENGSHAN, HENGYANG = PartnerId("430423"), PartnerId("430400")


def line(number: int, offset: int, /, **facts: object) -> ReconciledRow:
    plain = ReconciledRow(
        partner=HENGSHAN,
        month="2026-11",
        number=f"HS-{number}",
        item=None,
        decided_on="2026-11-24",
        fee_fen=None,
        ledger_partition=3,
        ledger_offset=offset,
        line=number,
    )
    return replace(plain, **facts)  # type: ignore[arg-type]


async def listed(store: Store, partner: PartnerId = HENGSHAN) -> list[ReconciledRow]:
    return await store.read(lambda connection: list(in_force(connection, partner)))


async def test_the_last_list_of_a_month_counts_with_all_its_records(store: Store) -> None:
    first = [line(1, 10), line(2, 10), line(3, 11)]
    last = [line(1, 20, number="HS-9"), line(2, 21, number="HS-8")]
    october = [line(1, 15, month="2026-10")]
    other = [line(1, 30, partner=HENGYANG)]
    batch = samples.batch(0, 40, partition=3, reconciled=[*first, *october, *last, *other])
    await store.call(ledger_view.apply, [batch])
    assert await listed(store) == [*october, *last]
    assert await listed(store, HENGYANG) == other
    assert await store.read(partners) == [HENGYANG, HENGSHAN]


async def test_a_line_is_kept_once_and_goes_with_the_view(store: Store) -> None:
    await store.call(insert, [line(1, 10)])
    await store.call(insert, [line(1, 10)])
    assert await listed(store) == [line(1, 10)]
    await store.call(ledger_view.clear_view)
    assert await listed(store) == []


async def test_a_long_list_is_written_in_pieces(store: Store) -> None:
    await store.call(insert, [line(number, 10) for number in range(1, 1201)])
    assert [row.line for row in await listed(store)] == list(range(1, 1201))
