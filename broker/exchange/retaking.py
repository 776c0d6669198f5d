"""Where delivery takes up an outbox again after a rebuild: at the first record there that nobody has receipted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from broker.core.ids import PartnerId
from broker.core.message import BadRecord, Message, MessageClass, from_record
from broker.core.operating.desk import is_control
from broker.core.records import Record, TopicPartition
from broker.exchange.rebuild_workers import Tools
from broker.exchange.rejudging import FETCH_BYTES, chunks
from broker.log.admin import topics
from broker.log.reading import scan
from broker.store.access.engine import Store
from broker.store.rows import Name
from broker.store.view import desk, messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Retaken:
    """The offset of the first record without an outcome, and delivery's marks as of that offset."""

    first: int
    marks: dict[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retake:
    """A piece of a rebuild: one outbox partition, looked through up to the offset ``until``.

    The view must be whole, as far as the ledger partitions go that this one is fed from.
    """

    place: TopicPartition
    until: int

    async def do(self, tools: Tools) -> Retaken:
        marks: dict[int, int] = {}
        partner = topics.partner_of(self.place.topic)
        records = scan.scan(
            tools.kafka,
            self.place.topic,
            partitions=[self.place.partition],
            end={self.place.partition: self.until},
            partition_fetch_bytes=FETCH_BYTES,
        )
        async with aclosing(chunks(records)) as batches:
            async for batch in batches:
                found = [(record, message) for record in batch if (message := message_of(record)) is not None]
                ended = await _ended(tools.store, [message for _, message in found], partner)
                for record, message in found:
                    if (name_of(message), message.redrive) not in ended:
                        return Retaken(first=record.position.offset, marks=marks)
                    source = message.source_position
                    if source is not None:
                        marks[source.partition] = max(marks.get(source.partition, -1), source.offset)
        return Retaken(first=self.until, marks=marks)


def name_of(message: Message) -> Name:
    return message.source, message.id


def message_of(record: Record) -> Message | None:
    """The message that a record of an outbox holds; None: it is none of ours."""
    try:
        return from_record(record)
    except BadRecord:
        return None


async def _ended(store: Store, found: Sequence[Message], partner: PartnerId | None) -> set[tuple[Name, int]]:
    """Those of these records, by name and redrive, that nobody need be brought: settled, receipts, control."""
    names = {name_of(message) for message in found if not message.redrive}
    ended = {(name, 0) for name in await store.read(messages.settled, names)}
    redriven = {(name_of(message), message.redrive) for message in found if message.redrive}
    ended |= await store.read(desk.settled, redriven)
    for message in found:
        receipt = message.message_class is MessageClass.RECEIPT
        if receipt or (partner is not None and is_control(message, partner)):
            ended.add((name_of(message), message.redrive))
    return ended
