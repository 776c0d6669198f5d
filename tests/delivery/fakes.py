"""Fakes with faults for the delivery stage: a log with a group, a ledger, partners with ledgers of their own."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from broker.core.catalogue.directory import Directory, Limits, Partner
from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, Party
from broker.core.lane.circuit import CircuitPolicy
from broker.core.lane.schedule import Schedule
from broker.core.message import Message, MessageClass, from_record, to_headers
from broker.core.operating.levers import Levers
from broker.core.records import Commit, NewRecord, Position, Record, TopicPartition
from broker.delivery.options import DeliveryOptions
from broker.delivery.ports import OnPartitions, Opened, Reader
from broker.delivery.stage import Delivery
from broker.errors import Corrupt, NotDurable, PositionConflict, Unreachable
from broker.log.admin.topics import DESK, LEDGER, outbox
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec
from broker.store.access.engine import Store
from connectors.base import Answer, Deferred, Delivered, Features, Parcel
from connectors.mapping import PartnerMapping

P = ParamSpec("P")
T = TypeVar("T")
SENDER = Party("451300")
CODEC = Codec(SchemaSet.load())
QUICK = Schedule(quick=(0.02, 0.05), parked=(0.15, 0.3), lane_wait_max_s=0.1, spread=0.1)
STEADY = CircuitPolicy(minimum=10_000, probe_first_s=0.05, probe_max_s=0.2, ramp_s=0.2)
LIMITS = Limits()
OPTIONS = DeliveryOptions(
    commit_s=0.01, parked_s=0.02, directory_s=0.05, levers_s=0.02, status_s=0.05, drain_s=0.5, poll_records=50
)
TOUCHY = CircuitPolicy(minimum=5, probe_first_s=0.05, probe_max_s=0.2, ramp_s=0.2)


class FakeLog:
    """Topics with partitions, and one group that reads them."""

    def __init__(self, *, partitions: int = 2, seed: int = 0) -> None:
        self.partitions = partitions
        self.records: dict[TopicPartition, list[Record]] = defaultdict(list)
        self.commits: dict[TopicPartition, Commit] = {}
        self.history: list[tuple[TopicPartition, int]] = []
        self.members: list[FakeReader] = []
        self.random = random.Random(seed)
        self.lose_polls = 0.0
        self._ledger_offsets: dict[int, int] = defaultdict(int)
        self._numbers: dict[tuple[str, str], int] = defaultdict(int)
        self._last: dict[tuple[str, str, int], tuple[TopicPartition, int]] = {}

    def send(
        self,
        partner: str,
        case: str,
        *,
        number: int | None = None,
        expires: datetime | None = None,
        message_class: MessageClass = MessageClass.INITIAL,
        value: bytes = b"\0\0\0\0\1fine",
    ) -> Message:
        """The next message of a case, as the exchange would put it on the outbox."""
        if number is None:
            number = self._numbers[partner, case] = self._numbers[partner, case] + 1
        ledger_partition = sum(case.encode()) % 8
        source = Position(LEDGER, ledger_partition, self._ledger_offsets[ledger_partition])
        self._ledger_offsets[ledger_partition] += 1
        message = Message(
            id=MessageId(f"{case.rpartition('/')[2]}-{number}"),
            source=SENDER,
            type="case.urged",
            case=CaseId(case),
            destination=Party(partner),
            time=datetime.now(UTC),
            message_class=message_class,
            digest="sha-256:" + "0" * 64,
            dataschema="/schemas/ids/1",
            value=value,
            expires=expires,
            accepted_at=datetime.now(UTC),
            source_position=source,
        )
        self.append(partner, message)
        return message

    def redrive(self, partner: str, message: Message, number: int = 1) -> Message:
        """The message once more, as the exchange puts it on the outbox when a person has redriven it."""
        again = replace(message, redrive=number, source_position=self._act_on(message.case))
        self.append(partner, again)
        return again

    def let_go(self, partner: str, message: Message, act: str) -> Message:
        """Word to delivery that a person has ``returned`` or ``skipped`` a message."""
        to = message.source if act == "returned" else Party(partner)
        word = replace(
            message,
            id=MessageId(f"o-{act}-{message.id}"),
            source=BROKER,
            type=f"operator.{act}",
            destination=to,
            correlation=message.name,
            source_position=self._act_on(message.case),
        )
        self.append(partner, word)
        return word

    def _act_on(self, case: str) -> Position:
        partition = sum(case.encode()) % 8
        self._ledger_offsets[partition] += 1
        return Position(LEDGER, partition, self._ledger_offsets[partition] - 1)

    def append(self, partner: str, message: Message) -> None:
        assert message.source_position is not None
        place = TopicPartition(
            outbox(PartnerId(partner)), message.source_position.partition % self.partitions
        )
        self._last[partner, message.name, message.redrive] = place, len(self.records[place])
        self.append_raw(place, message.case.encode(), message.value, to_headers(message))

    def is_done(self, partner: str, message: Message) -> bool:
        """Whether no worker will read the message again: the group is past its last record."""
        place, offset = self._last[partner, message.name, message.redrive]
        return offset < self.commits.get(place, Commit(0)).offset

    def append_raw(
        self, place: TopicPartition, key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...]
    ) -> None:
        records = self.records[place]
        now_ms = round(datetime.now(UTC).timestamp() * 1000)
        records.append(
            Record(
                position=Position(place.topic, place.partition, len(records)),
                timestamp_ms=now_ms,
                key=key,
                value=value,
                headers=headers,
            )
        )

    def reader(self, topics: Iterable[str], *, assigned: OnPartitions, revoked: OnPartitions) -> Reader:
        return FakeReader(self, topics, assigned, revoked)

    async def rebalance(self) -> None:
        """Eager, as aiokafka: everything is revoked, then spread anew."""
        for member in list(self.members):
            await member.hand_over()
        for index, member in enumerate(self.members):
            places = [
                TopicPartition(topic, partition)
                for topic in sorted(member.topics)
                for partition in range(self.partitions)
                if partition % len(self.members) == index
            ]
            await member.take(places)


class FakeReader:
    def __init__(
        self, log: FakeLog, topics: Iterable[str], assigned: OnPartitions, revoked: OnPartitions
    ) -> None:
        self.log = log
        self.topics = set(topics)
        self._assigned = assigned
        self._revoked = revoked
        self.next: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.dead = False

    async def start(self) -> None:
        self.log.members.append(self)
        await self.log.rebalance()

    async def close(self) -> None:
        if self in self.log.members:
            await self.hand_over()
            self.log.members.remove(self)
            await self.log.rebalance()

    async def hand_over(self) -> None:
        if self.next and not self.dead:
            await self._revoked(frozenset(self.next))
        self.next = {}

    async def take(self, places: Sequence[TopicPartition]) -> None:
        self.next = {place: self.log.commits.get(place, Commit(0)).offset for place in places}
        self.paused &= set(places)
        await self._assigned(frozenset(places))

    async def poll(self, *, max_records: int, wait_s: float) -> dict[TopicPartition, list[Record]]:
        await asyncio.sleep(0.002)
        if self.log.random.random() < self.log.lose_polls:
            raise Unreachable
        found: dict[TopicPartition, list[Record]] = {}
        for place, offset in self.next.items():
            records = self.log.records[place][offset : offset + max_records]
            if records and place not in self.paused:
                found[place] = records
                self.next[place] = offset + len(records)
        return found

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused -= set(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition in self.next:
            self.next[partition] = offset

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        if self.dead:
            raise PositionConflict
        if self.log.random.random() < self.log.lose_polls:
            raise Unreachable
        for place, commit in commits.items():
            if place not in self.next:
                raise PositionConflict
            assert commit.offset >= self.log.commits.get(place, Commit(0)).offset
            self.log.commits[place] = commit
            self.log.history.append((place, commit.offset))

    async def committed(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Commit]:
        return {place: self.log.commits[place] for place in partitions if place in self.log.commits}

    async def ends(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {place: len(self.log.records[place]) for place in partitions}

    async def subscribe(self, topics: Iterable[str]) -> None:
        self.topics = set(topics)
        await self.log.rebalance()


class FakeLedger:
    """Where receipts and dossiers go; it may fail, before or after the records are there."""

    def __init__(self, seed: int = 0) -> None:
        self.records: list[NewRecord] = []
        self.fail = 0.0
        self.random = random.Random(seed)

    async def write(self, records: Sequence[NewRecord], *, deadline_s: float = 15.0) -> list[Position]:
        await asyncio.sleep(0.001)
        if self.random.random() < self.fail:
            raise NotDurable
        self.records.extend(records)
        if self.random.random() < self.fail:
            raise NotDurable  # it happened all the same
        return [Position(record.topic, 0, n) for n, record in enumerate(records)]

    def said(self, message_type: str) -> list[str]:
        """The names acknowledged by receipts or notices of a type, in order, each once."""
        names = [_correlation(record) for record in self._of(LEDGER) if _type(record) == message_type]
        return list(dict.fromkeys(names))

    def dossiers(self) -> list[tuple[Message, str]]:
        """What went to the desk, in order, each time it did, and its cause."""
        return [
            (from_record(_as_record(record)), _header(record, "__connect.errors.exception.class.name"))
            for record in self._of(DESK)
        ]

    def desk(self) -> list[Message]:
        messages = [from_record(_as_record(record)) for record in self._of(DESK)]
        return list({message.name: message for message in messages}.values())

    def _of(self, topic: str) -> list[NewRecord]:
        return [record for record in self.records if record.topic == topic]


def _header(record: NewRecord, name: str) -> str:
    return dict(record.headers)[name].decode()


def _type(record: NewRecord) -> str:
    return _header(record, "ce_type").removeprefix("cn.tongban.")


def _correlation(record: NewRecord) -> str:
    return _header(record, "ce_correlationid")


def _as_record(record: NewRecord) -> Record:
    return Record(
        position=Position(record.topic, 0, 0),
        timestamp_ms=0,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )


Judge = Callable[[Parcel], Answer]


def fine(parcel: Parcel) -> Answer:
    return Delivered(code="200", reference="ref")


@dataclass
class City:
    """A partner's system: it remembers what took effect, and answers as ``judge`` says."""

    judge: Judge = fine
    latency_s: float = 0.001
    batch: int = 1
    effects: list[tuple[str, str]] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    in_flight: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    most_in_flight: int = 0
    overtaken: list[str] = field(default_factory=list)
    alone: bool = True

    def hear(self, parcel: Parcel) -> Answer:
        name, case = parcel.message.name, parcel.message.case
        self.attempts[name] += 1
        answer = self.judge(parcel)
        if isinstance(answer, Delivered) and (case, name) not in self.effects:
            self.effects.append((case, name))
        return answer

    def names(self, case: str | None = None) -> list[str]:
        return [name for each, name in self.effects if case in {None, each}]


class CityConnector:
    """The fast way: no task per call, answers by callback."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.closed = False

    @property
    def features(self) -> Features:
        return Features(batch=self.city.batch)

    async def start(self) -> None: ...

    async def close(self) -> None:
        self.closed = True

    async def deliver(self, parcels: Sequence[Parcel]) -> Sequence[Answer]:
        heard: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        self.submit(parcels, lambda answers: None if heard.done() else heard.set_result(answers))
        return await heard

    def submit(self, parcels: Sequence[Parcel], done: Callable[[Sequence[Answer]], None]) -> None:
        city = self.city
        cases = [parcel.message.case for parcel in parcels]
        assert len(set(cases)) == len(cases), "a batch holds different cases only"
        for case in cases:
            city.in_flight[case] += 1
            if city.in_flight[case] > 1:
                city.overtaken.append(case)
        city.most_in_flight = max(city.most_in_flight, sum(city.in_flight.values()))

        def answer() -> None:
            for case in cases:
                city.in_flight[case] -= 1
            answers = [city.hear(parcel) for parcel in parcels]
            done([Deferred(reason="closed")] * len(answers) if self.closed else answers)

        asyncio.get_running_loop().call_later(city.latency_s, answer)

    async def probe(self) -> Answer:
        return Delivered(code="204")


class FakePapers:
    """Opens nothing, but finds what is corrupt; the vault may be away."""

    def __init__(self, seed: int = 0) -> None:
        self.fail = 0.0
        self.random = random.Random(seed)
        self.gate: asyncio.Event | None = None
        """Set: keys wait for it, and then the vault is found to be away, once."""

    async def keys(self, cases: Collection[CaseId]) -> Mapping[CaseId, bytes]:
        if self.gate is not None:
            await self.gate.wait()
            self.gate = None
            raise Unreachable
        if self.random.random() < self.fail:
            raise Unreachable
        return dict.fromkeys(cases, b"k")

    def open(
        self, message: Message, key: bytes | None, features: Features, mapping: PartnerMapping
    ) -> Opened:
        if message.value.endswith(b"corrupt"):
            raise Corrupt
        return Opened(value=message.value, data=None)


class FakeLinks:
    def __init__(self, cities: Mapping[str, City]) -> None:
        self.cities = cities
        self.special: dict[str, Callable[[Partner], Any]] = {}

    def connector(self, partner: Partner) -> Any:
        if partner.id in self.special:
            return self.special[partner.id](partner)
        return CityConnector(self.cities[partner.id])

    def mapping(self, partner: Partner) -> PartnerMapping:
        return PartnerMapping([])


class GatedRows:
    """The store, whose gathered writes wait while ``gate`` is set and not open."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.call = store.call
        self.read = store.read
        self.gate: asyncio.Event | None = None

    async def call_durably(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if self.gate is not None and work.__name__ == "_all_of":
            await self.gate.wait()
        return await self._store.call_durably(work, *args, **kwargs)


@dataclass
class World:
    """One broker's delivery with everything around it faked, but for the store."""

    store: Store | GatedRows
    cities: dict[str, City]
    log: FakeLog
    ledger: FakeLedger = field(default_factory=FakeLedger)
    papers: FakePapers = field(default_factory=FakePapers)
    limits: Limits = LIMITS
    schedule: Schedule = QUICK
    circuit: CircuitPolicy = STEADY
    draw: Callable[[], float] = lambda: 0.5
    options: DeliveryOptions = OPTIONS
    levers: dict[PartnerId, Levers] = field(default_factory=dict)
    session_s: float = 10.0

    def __post_init__(self) -> None:
        self.directory = directory_of(self.cities, self.limits)
        self.links = FakeLinks(self.cities)

    def delivery(self) -> Delivery:
        return Delivery(
            self.options,
            reader=self.log.reader,
            ledger=self.ledger,
            store=self.store,
            papers=self.papers,
            codec=CODEC,
            directory=lambda: self.directory,
            links=self.links,
            levers=lambda: self.levers,
            session_s=self.session_s,
            draw=self.draw,
            retries=self.schedule,
            policy=self.circuit,
        )

    async def run_until(self, done: Callable[[], bool], *, within_s: float = 15.0) -> None:
        """Run one stage until ``done``; fails when that takes too long."""
        delivery = self.delivery()
        running = asyncio.create_task(delivery.run())
        try:
            await wait_for(done, within_s=within_s, also=running)
        finally:
            delivery.stop()
            await asyncio.wait_for(running, 10)

    def committed(self) -> bool:
        """Whether everything on the outboxes is committed."""
        return all(
            self.log.commits.get(place, Commit(0)).offset == len(records)
            for place, records in self.log.records.items()
        )


async def wait_for(
    done: Callable[[], bool], *, within_s: float = 15.0, also: asyncio.Task[None] | None = None
) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while not done():
        if also is not None and also.done():
            also.result()
            raise AssertionError("the stage has ended by itself")
        assert loop.time() < until, "it took too long"
        await asyncio.sleep(0.005)


def directory_of(cities: Iterable[str], limits: Limits, *, contact: str = "-") -> Directory:
    partners = {
        PartnerId(each): Partner(
            id=PartnerId(each), name=each, contact=contact, connector={"kind": "fake"}, limits=limits
        )
        for each in cities
    }
    return Directory(version="1", partners=partners, items={}, agreements={})


def in_order(city: City, desk: Collection[str] = ()) -> bool:
    """Whether first effects rise per case; what is on the desk besides (refused first, then taken) may stand anywhere."""
    last: dict[str, int] = {}
    for case, name in city.effects:
        if name in desk:
            continue
        number = int(name.rpartition("-")[2])
        if number <= last.get(case, -1):
            return False
        last[case] = number
    return True
