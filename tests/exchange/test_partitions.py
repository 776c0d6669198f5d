"""Several partitions in one hand: judged for one transaction, each in its own order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path

import pytest_asyncio

from broker.core.ids import CaseId
from broker.core.message import from_record, to_headers
from broker.core.records import Commit, NewRecord, Record, TopicPartition
from broker.exchange.applying import directory_records
from broker.exchange.options import ExchangeOptions
from broker.exchange.ports import OnPartitions
from broker.exchange.stage import Exchange
from broker.log.admin.topics import LEDGER
from broker.store.access.engine import Store
from broker.store.view import cases, ledger_view
from tests.core.test_routing import DOCUMENTS
from tests.exchange.fakes import CODEC, NOW, Ledger, message

PLACES = (TopicPartition(LEDGER, 0), TopicPartition(LEDGER, 1))


class Both:
    """One member that holds two partitions, and polls them together."""

    def __init__(self, ledger: Ledger, *, assigned: OnPartitions, revoked: OnPartitions) -> None:
        self._ledger = ledger
        self._assigned = assigned
        self._revoked = revoked
        self._at = dict.fromkeys(PLACES, 0)

    async def start(self) -> None:
        await self._assigned(frozenset(PLACES))

    async def close(self) -> None:
        await self._revoked(frozenset(PLACES))

    async def poll(self, *, max_records: int, wait_s: float) -> dict[TopicPartition, list[Record]]:
        del max_records
        await asyncio.sleep(min(wait_s, 0.01))
        found: dict[TopicPartition, list[Record]] = {}
        for place in PLACES:
            records = self._ledger.records[place.topic, place.partition][self._at[place] :]
            self._at[place] += len(records)
            if records:
                found[place] = records
        return found

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._at[partition] = offset

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(PLACES)

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        del commits


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path / 'view.db'}")
    yield opened
    await opened.close()


async def _no_topics(partners: object) -> None:
    del partners


async def test_an_id_reused_on_another_partition_of_the_same_batch_is_refused_and_all_go_on(
    store: Store,
) -> None:
    """Both judged new, neither could ever be stored: the worker would judge them again for ever."""
    ledger = Ledger()
    for record in directory_records(
        CODEC, DOCUMENTS, by="test", reason="test", now=NOW, ledger_partitions=len(PLACES)
    ):
        ledger.append(record)
    for number in range(len(PLACES)):
        said = message("m-1", case=CaseId(f"451300/LB-{number}"), digest=f"sha-256:{number}")
        ledger.append(
            NewRecord(
                topic=LEDGER,
                key=said.case.encode(),
                value=said.value,
                headers=to_headers(said),
                partition=number,
            )
        )
    exchange = Exchange(
        ExchangeOptions(wait_s=0.01),
        reader=partial(Both, ledger),
        writer=ledger,
        store=store,
        codec=CODEC,
        outbox_partitions=1,
        make_topics=_no_topics,
        read_at=ledger.read_at,
    )
    running = asyncio.create_task(exchange.run())
    async with asyncio.timeout(10):
        while len(ledger.outbox("451300")) < 1:
            await asyncio.sleep(0.01)
    exchange.stop()
    await running
    positions = await store.read(ledger_view.positions, [0, 1])
    assert {partition: offset for partition, (offset, _) in positions.items()} == {0: 2, 1: 3}
    assert len(await store.read(cases.list_cases)) == 1
    assert [from_record(each).case for each in ledger.outbox("430423")] == ["451300/LB-0"]
    (notice,) = [from_record(each) for each in ledger.outbox("451300")]
    assert CODEC.decode(notice.value).datum["code"] == "message-id-reused"
