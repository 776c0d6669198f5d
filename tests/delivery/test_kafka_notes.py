"""Notes of commits on a real Kafka: what was committed is what Kafka's own tools read, and what a restart heeds."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from broker.core.ids import CaseId, PartnerId
from broker.core.lane.offset_map import decode, digest
from broker.core.message import to_headers
from broker.core.records import Commit, NewRecord, TopicPartition
from broker.delivery.options import DeliveryOptions
from broker.delivery.ports import OnPartitions, Reader
from broker.delivery.stage import Delivery
from broker.errors import PositionConflict
from broker.log.admin.topics import ensure_topics, outbox
from broker.log.options import KafkaOptions
from broker.log.reading.reader import GroupReader
from broker.log.writing.writer import Writer
from broker.store.access.engine import Store
from broker.store.delivering import commit_notes
from connectors.base import Answer, Parcel
from deploy.kafka.cluster import EmbeddedKafka
from tests.delivery.fakes import CODEC, City, CityConnector, FakeLog, World, wait_for

STUCK = (3, 50, 51, 170)
"""Messages that the partner has and never answers."""


class Mortal(GroupReader):
    """Once dead it commits nothing any more, as a process that was killed."""

    dead = False

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        if self.dead:
            raise PositionConflict
        await super().commit(commits)


class Hanging(CityConnector):
    def submit(self, parcels: Sequence[Parcel], done: Callable[[Sequence[Answer]], None]) -> None:
        if int(parcels[0].message.case.rpartition("/")[2]) in STUCK:
            self.city.hear(parcels[0])
        else:
            super().submit(parcels, done)


async def test_after_a_kill_only_the_unfinished_are_delivered_again(
    kafka: EmbeddedKafka, store: Store
) -> None:
    options = KafkaOptions(bootstrap=kafka.bootstrap, start_timeout_s=20, session_timeout_s=2.0)
    group, partner = f"test.notes.{uuid.uuid4().hex[:8]}", PartnerId("430423-n1")
    place = TopicPartition(outbox(partner), 0)
    await ensure_topics(options, [partner])
    sent = await submit(options, partner, 200)
    city = City()
    world = World(store=store, cities={partner: city}, log=FakeLog())
    world.links.special[partner] = lambda _: Hanging(city)
    members: list[Mortal] = []

    def reader(topics: Iterable[str], *, assigned: OnPartitions, revoked: OnPartitions) -> Reader:
        members.append(Mortal(options, group=group, topics=topics, assigned=assigned, revoked=revoked))
        return members[-1]

    first = asyncio.create_task(stage(world, reader).run())
    await wait_for(lambda: len(city.attempts) == 200, within_s=30, also=first)
    commit = await until_noted(members[0], place, count=200 - len(STUCK) - STUCK[0])
    members[0].dead = True
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    # Kafka's own client sees the same note, and it says what the partner's ledger says
    assert await foreign_commit(kafka, group, place) == commit
    assert commit.offset == STUCK[0]
    known = decode(commit.metadata, base=commit.offset, log_end=200)
    assert [offset for offset in range(STUCK[0], 200) if offset not in known] == list(STUCK)
    assert digest(*commit) in await store.read(commit_notes.read, *place)

    before = dict(city.attempts)
    world.links.special.clear()
    second = stage(world, reader)
    running = asyncio.create_task(second.run())
    await wait_for(lambda: sum(city.attempts.values()) >= 200 + len(STUCK), within_s=30, also=running)
    assert await members[1].ends([place]) == {place: 200}
    await until_committed(members[1], place, 200)
    second.stop()
    await running
    again = {name: city.attempts[name] - before[name] for name in before}
    assert again == {name: int(number in STUCK) for number, name in enumerate(sent)}


def stage(world: World, reader: Callable[..., Reader]) -> Delivery:
    return Delivery(
        DeliveryOptions(directory_s=0.2),
        reader=reader,
        ledger=world.ledger,
        store=world.store,
        papers=world.papers,
        codec=CODEC,
        directory=lambda: world.directory,
        links=world.links,
    )


async def submit(options: KafkaOptions, partner: PartnerId, count: int) -> list[str]:
    """One message of each of ``count`` cases, all on one partition of a partner's outbox."""
    writer, log = Writer(options, client_id="test"), FakeLog()
    await writer.start()
    records, names = list[NewRecord](), list[str]()
    for n in range(count):
        message = log.send(partner, CaseId(f"451300/{n}"))
        names.append(message.name)
        records.append(
            NewRecord(
                topic=outbox(partner),
                key=message.case.encode(),
                value=message.value,
                headers=to_headers(message),
                partition=0,
            )
        )
    await writer.write(records)
    await writer.close()
    return names


async def until_noted(reader: GroupReader, place: TopicPartition, *, count: int) -> Commit:
    for _ in range(200):
        commit = (await reader.committed([place])).get(place, Commit(0))
        if commit.metadata and decode(commit.metadata, base=commit.offset, log_end=200).count == count:
            return commit
        await asyncio.sleep(0.05)
    raise AssertionError("the note was not committed")


async def until_committed(reader: GroupReader, place: TopicPartition, offset: int) -> None:
    for _ in range(200):
        if (await reader.committed([place])).get(place) == Commit(offset):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it was not committed")


async def foreign_commit(kafka: EmbeddedKafka, group: str, place: TopicPartition) -> Commit:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        found = {
            (each.topic, each.partition): (commit.offset, commit.metadata)
            for each, commit in (await admin.list_consumer_group_offsets(group)).items()
        }
    finally:
        await admin.close()
    return Commit(*found[place])
