"""A ledger in memory for the exchange: records in partitions, a reader of them, a writer with faults."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from broker.core.ids import CaseId, MessageId, Party
from broker.core.message import Message, MessageClass, Mode, epoch_ms, to_headers, value_digest
from broker.core.records import Commit, NewRecord, Position, Record, TopicPartition
from broker.errors import Corrupt, NotDurable, Unreachable
from broker.exchange.applying import directory_records
from broker.exchange.ports import OnPartitions
from broker.log.admin.topics import LEDGER
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec
from tests.core.test_routing import DOCUMENTS

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
CODEC = Codec(SchemaSet.load())
P0 = TopicPartition(LEDGER, 0)


class Ledger:
    """Records by topic and partition. ``fail_writes``: how many of the next writes fail, after having happened.

    ``fail_reads``: how many of the next reads of single records fail. ``lost``: positions that have none any more.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.fail_writes = 0
        self.writes = 0
        self.fail_reads = 0
        self.reads = 0
        self.lost: set[Position] = set()

    def append(self, new: NewRecord) -> Position:
        log = self.records[new.topic, new.partition or 0]
        position = Position(new.topic, new.partition or 0, len(log))
        log.append(
            Record(
                position=position,
                timestamp_ms=epoch_ms(NOW) + len(log),
                key=new.key,
                value=new.value,
                headers=new.headers,
            )
        )
        return position

    async def write(self, records: Sequence[NewRecord], *, deadline_s: float = 15.0) -> list[Position]:
        del deadline_s
        await asyncio.sleep(0)
        self.writes += 1
        positions = [self.append(each) for each in records]
        if self.fail_writes:
            self.fail_writes -= 1
            raise NotDurable
        return positions

    async def read_at(self, positions: Sequence[Position]) -> list[Record]:
        await asyncio.sleep(0)
        self.reads += 1
        if self.fail_reads:
            self.fail_reads -= 1
            raise Unreachable("the log is away")
        for each in positions:
            if each in self.lost:
                raise Corrupt(f"the log has no record at {each}")
        return [self.records[each.topic, each.partition][each.offset] for each in positions]

    def put_directory(self) -> None:
        (record,) = directory_records(
            CODEC, DOCUMENTS, by="test", reason="test", now=NOW, ledger_partitions=1
        )
        self.append(record)

    def put(self, message: Message) -> Position:
        return self.append(
            NewRecord(
                topic=LEDGER,
                key=message.case.encode(),
                value=message.value,
                headers=to_headers(message),
                partition=0,
            )
        )

    def outbox(self, partner: str) -> list[Record]:
        return self.records[f"tongban.outbox.{partner}", 0]


class Reader:
    """One member that holds partition 0 of the ledger."""

    def __init__(self, ledger: Ledger, *, assigned: OnPartitions, revoked: OnPartitions) -> None:
        self._ledger = ledger
        self._assigned = assigned
        self._revoked = revoked
        self._at = 0
        self.commits: list[int] = []

    async def start(self) -> None:
        await self._assigned(frozenset({P0}))

    async def close(self) -> None:
        await self._revoked(frozenset({P0}))

    async def poll(self, *, max_records: int, wait_s: float) -> dict[TopicPartition, list[Record]]:
        found = self._ledger.records[LEDGER, 0][self._at : self._at + max_records]
        if not found:
            await asyncio.sleep(min(wait_s, 0.01))
            return {}
        self._at += len(found)
        return {P0: found}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert partition == P0
        self._at = offset

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset({P0})

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        self.commits.append(commits[P0].offset)


def message(identity: str, message_type: str = "case.submitted", **changes: object) -> Message:
    """A message of 来宾 to 衡山县."""
    value = b"\x00\x00\x00\x00\x01" + identity.encode()
    made = Message(
        id=MessageId(identity),
        source=Party("451300"),
        type=message_type,
        case=CaseId("451300/LB-1"),
        destination=Party("430423"),
        time=NOW,
        message_class=MessageClass.INITIAL,
        digest=value_digest(value),
        dataschema="/schemas/ids/1",
        value=value,
        item="xinshenger-ruhu",
        mode=Mode.COLLECTED,
    )
    return replace(made, **changes)  # type: ignore[arg-type]
