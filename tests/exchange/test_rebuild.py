"""A rebuild on a real Kafka: the desk is the same again, and what it held back is held back again."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from broker.core.ids import CaseId, PartnerId
from broker.core.message import Message, to_headers
from broker.core.operating.desk import BEHIND_A_DOSSIER, Act
from broker.core.receipts import Outcome
from broker.core.records import Commit, NewRecord, TopicPartition
from broker.exchange import rebuild
from broker.exchange.applying import directory_records
from broker.exchange.options import ExchangeOptions
from broker.exchange.ports import OnPartitions
from broker.exchange.stage import Exchange
from broker.log.admin import group_admin, groups, topics
from broker.log.options import KafkaOptions
from broker.log.reading import scan
from broker.log.reading.reader import GroupReader
from broker.log.writing.writer import Writer
from broker.store.access.engine import Store
from broker.store.delivering import blocked
from broker.store.view import ledger_view
from broker.store.view.export import export
from deploy.kafka.cluster import EmbeddedKafka
from tests.core.test_routing import DOCUMENTS
from tests.exchange.desk_samples import Office, ended
from tests.exchange.fakes import CODEC, NOW, Ledger, message

B = PartnerId("430423")
FIRST = message("m-1")
SECOND, THIRD = (message(f"m-{number}", "case.urged") for number in (2, 3))
OTHER = message("m-5", case=CaseId("451300/LB-5"))
LAST = message("m-6", case=CaseId("451300/LB-6"))


def said(each: Message) -> NewRecord:
    return NewRecord(
        topic=topics.LEDGER,
        key=each.case.encode(),
        value=each.value,
        headers=to_headers(each),
        partition=0,
    )


def a_history(office: Office) -> list[NewRecord]:
    """On the outbox of 衡山县: m-1, m-2, m-3, m-1 again, the return of m-2, m-5 and m-6."""
    return [
        *directory_records(CODEC, DOCUMENTS, by="test", reason="test", now=NOW, ledger_partitions=1),
        *map(said, (FIRST, SECOND, THIRD)),
        ended(FIRST),
        *(ended(each, cause=BEHIND_A_DOSSIER) for each in (SECOND, THIRD)),
        office.record(Act.REDRIVEN, FIRST),
        ended(FIRST, redrive=1),
        office.record(Act.RETURNED, SECOND),
        *map(said, (OTHER, LAST)),
        ended(LAST, Outcome.DELIVERED),
    ]


async def routed(kafka: KafkaOptions, store: Store, writer: Writer, until: int) -> None:
    def reader(*, assigned: OnPartitions, revoked: OnPartitions) -> GroupReader:
        return GroupReader(
            kafka, group=groups.EXCHANGE, topics=[topics.LEDGER], assigned=assigned, revoked=revoked
        )

    exchange = Exchange(
        ExchangeOptions(),
        reader=reader,
        writer=writer,
        store=store,
        codec=CODEC,
        outbox_partitions=1,
        make_topics=partial(topics.ensure_topics, kafka),
        read_at=partial(scan.read_at, kafka),
    )
    running = asyncio.create_task(exchange.run())
    async with asyncio.timeout(60):
        while (await store.read(ledger_view.positions, [0])).get(0, (0, ""))[0] < until:
            await asyncio.sleep(0.05)
    exchange.stop()
    await running


async def exported(store: Store) -> bytes:
    return await store.scan(lambda connection: b"".join(export(connection)))


@pytest.mark.parametrize("processes", [1, 2])
async def test_after_a_rebuild_the_desk_holds_its_lanes_from_their_last_records_on(
    tmp_path: Path, processes: int
) -> None:
    async with EmbeddedKafka() as cluster:
        kafka = KafkaOptions(
            bootstrap=cluster.bootstrap, start_timeout_s=20, ledger_partitions=1, outbox_partitions=1
        )
        await topics.ensure_topics(kafka, [])
        writer = Writer(kafka, client_id="test")
        await writer.start()
        store = await Store.open(f"sqlite:///{tmp_path}/view.db")
        try:
            history = a_history(Office(Ledger()))
            await writer.write(history)
            await routed(kafka, store, writer, len(history))
            lying = TopicPartition(topics.outbox(B), 0)
            await group_admin.set_committed(kafka, groups.DELIVERY, {lying: Commit(7)})
            before = await exported(store)
            told: list[tuple[int, int]] = []
            done = await rebuild.rebuild(
                kafka, store, progress=lambda *each: told.append(each), processes=processes
            )
            assert done.records == len(history)
            assert told[-1] == (len(history), len(history))
            assert await exported(store) == before
            held = await store.read(blocked.read, B, 0)
            assert [(each.id, each.outbox_offset) for each in held] == [("m-3", 2), ("m-1", 3)]
            committed = await group_admin.committed(kafka, groups.DELIVERY)
            assert committed[lying].offset == 5, "m-5 alone is still to be brought"
            assert (done.set_back, done.again) == (1, 2)
            # As after a kill: the group's offset is behind, and what was routed beyond it stands on the outboxes.
            behind = {TopicPartition(topics.LEDGER, 0): Commit(2)}
            await group_admin.set_committed(kafka, groups.EXCHANGE, behind)
            again = await rebuild.rebuild(kafka, store, progress=lambda *_: None, processes=processes)
            assert again.records == len(history)
            assert await exported(store) == before
        finally:
            await store.close()
            await writer.close()
