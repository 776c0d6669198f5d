"""Delivery on a real Kafka, a real store, a real vault and a real HTTP partner."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from broker.core.catalogue.directory import Directory, Limits, Partner
from broker.core.events import compartment_aad
from broker.core.ids import CaseId, PartnerId
from broker.core.message import from_record, to_headers
from broker.core.records import NewRecord
from broker.core.signatures import sign_v1a
from broker.delivery.lines.papers import Papers
from broker.delivery.lines.place import MailboxPlace
from broker.delivery.options import DeliveryOptions
from broker.delivery.ports import OnPartitions, Reader
from broker.delivery.stage import Delivery, SystemClock
from broker.log.admin.topics import LEDGER, ensure_topics, outbox, outbox_partition
from broker.log.options import KafkaOptions
from broker.log.reading.lag import group_lag
from broker.log.reading.reader import GroupReader
from broker.log.reading.scan import scan
from broker.log.values.compartment import seal_value
from broker.log.writing.writer import Writer
from broker.store.access.engine import Store
from broker.store.delivering import mailbox
from broker.store.vault import Vault
from connectors import registry
from connectors.base import Connector, Ports
from connectors.mapping import PartnerMapping
from deploy.kafka.cluster import EmbeddedKafka
from tests.connectors.city import KEY, City
from tests.delivery.fakes import CODEC, SENDER, FakeLog, wait_for

DATA = {
    "item_name": "新生儿入户", "mode": "collected", "title": "新生儿落户登记", "agent": False, "materials": 0,
    "submitted_at": "2026-03-02T01:00:00.000Z",
    "sealed": {
        "applicant": {"name": "张三（示例）", "id_number": "11010519491231002X", "phone": "10000000000"},
        "agent": None, "documents": [], "form": {},
    },
}  # fmt: skip


class PartnerLinks:
    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def connector(self, partner: Partner) -> Connector:
        return registry.make_connector(partner, self._ports)

    def mapping(self, partner: Partner) -> PartnerMapping:
        return registry.make_mapping(partner)


async def test_from_outbox_to_partner_and_back_as_a_receipt(
    kafka: EmbeddedKafka, store: Store, tmp_path: Path
) -> None:
    kafka_options = KafkaOptions(bootstrap=kafka.bootstrap, start_timeout_s=20)
    group = f"test.delivery.{uuid.uuid4().hex[:8]}"
    city_id, box_id, run = PartnerId("430423-d1"), PartnerId("350200-d1"), uuid.uuid4().hex[:6]
    await ensure_topics(kafka_options, [city_id, box_id])
    vault = await Vault.open(f"sqlite:///{tmp_path}/vault.db", {"k1": bytes(32)}, "k1")
    writer = Writer(kafka_options, client_id="test")
    await writer.start()
    clock = SystemClock()
    ports = Ports(sign=partial(sign_v1a, KEY), secrets={}, now_s=time.time, place=MailboxPlace(store, clock))

    def reader(topics: Iterable[str], *, assigned: OnPartitions, revoked: OnPartitions) -> Reader:
        return GroupReader(kafka_options, group=group, topics=topics, assigned=assigned, revoked=revoked)

    async with City(body=b'{"reference": "HS-1"}') as city:
        http = {"kind": "http", "url": city.url, "allow": ["127.0.0.0/8"]}
        partners = {
            each: Partner(id=each, name="-", contact="-", connector=how, limits=Limits(in_flight=8))
            for each, how in ((city_id, http), (box_id, {"kind": "mailbox"}))
        }
        current = Directory(version="1", partners={city_id: partners[city_id]}, items={}, agreements={})

        def stage() -> Delivery:
            return Delivery(
                DeliveryOptions(directory_s=0.2),
                reader=reader,
                ledger=writer,
                store=store,
                papers=Papers(CODEC, vault),
                codec=CODEC,
                directory=lambda: current,
                links=PartnerLinks(ports),
                clock=clock,
            )

        names = await submit(writer, vault, kafka_options, city_id, f"{run}a", 60)
        first, second = stage(), stage()
        running = [asyncio.create_task(first.run())]
        await wait_for(lambda: len(city.ledger) >= 60, within_s=30, also=running[0])
        running.append(asyncio.create_task(second.run()))  # a rebalance in mid-flight
        names += await submit(writer, vault, kafka_options, city_id, f"{run}b", 200)
        await wait_for(lambda: len(city.ledger) >= 260, within_s=30, also=running[0])
        current = Directory(version="2", partners=partners, items={}, agreements={})
        held = await submit(writer, vault, kafka_options, box_id, f"{run}c", 40)
        await until_held(store, box_id, len(held))
        lag = await until_no_lag(kafka_options, group)
        assert lag == 0
        first.stop()
        second.stop()
        await asyncio.gather(*running)

    assert sorted(city.ledger) == sorted(names)
    for case in {name.rpartition("-")[0] for name in names}:
        mine = [int(name.rpartition("-")[2]) for name in city.ledger if name.startswith(f"{case}-")]
        assert mine == sorted(mine)
    receipts = {}
    async for record in scan(kafka_options, LEDGER):
        message = from_record(record)
        if message.correlation in names:
            receipts[message.correlation] = CODEC.decode(message.value).datum
    assert set(receipts) == set(names)
    assert {receipt["reference"] for receipt in receipts.values()} == {"HS-1"}
    await writer.close()
    await vault.close()


async def submit(
    writer: Writer, vault: Vault, options: KafkaOptions, partner: PartnerId, prefix: str, count: int
) -> list[str]:
    """Messages on an outbox, sealed, as the exchange would put them there."""
    schema = CODEC.schemas.latest("case.submitted")
    assert schema is not None
    datum = CODEC.from_json(schema, DATA)
    assert isinstance(datum, dict)
    value = CODEC.encode("case.submitted", datum)
    source_of, names, records = FakeLog(), list[str](), list[NewRecord]()
    cases = [CaseId(f"{SENDER}/{prefix}{n}") for n in range(7)]
    keys = await vault.keys(cases)
    for n in range(count):
        message = source_of.send(partner, cases[n % 7])
        sealed = seal_value(
            CODEC, value, b"{}", key=keys[message.case], nonce=os.urandom(12), aad=compartment_aad(message)
        )
        message = replace(message, type="case.submitted", value=sealed, dataschema=schema.dataschema)
        assert message.source_position is not None
        # every run stands on a ledger of its own: its offsets go on where the last one's ended
        offset = time.time_ns() // 1000 + n
        message = replace(message, source_position=replace(message.source_position, offset=offset))
        assert message.source_position is not None
        records.append(
            NewRecord(
                topic=outbox(partner),
                key=message.case.encode(),
                value=sealed,
                headers=to_headers(message),
                partition=outbox_partition(message.source_position.partition, options.outbox_partitions),
            )
        )
        names.append(message.name)
    await writer.write(records)
    return names


async def until_held(store: Store, partner: PartnerId, count: int) -> None:
    for _ in range(600):
        if (await store.read(mailbox.waiting, partner))[0] == count:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the mailbox was not filled")


async def until_no_lag(options: KafkaOptions, group: str) -> int:
    behind = -1
    for _ in range(100):
        lags = await group_lag(options, group)
        behind = sum(each.lag or 0 for each in lags)
        if behind == 0:
            return 0
        await asyncio.sleep(0.1)
    return behind
