"""What happened to records in an earlier assignment: asked of the store once, for those that were there before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from broker.core.ids import MessageId, PartnerId, Party
from broker.core.message import BadRecord, Message
from broker.core.records import Record, TopicPartition
from broker.delivery.assigned.tenure import Tenure
from broker.delivery.ports import Rows
from broker.store.delivering import attempts, awaiting, mailbox, parked
from broker.store.view import desk, messages

Read = Sequence[tuple[Record, Message | BadRecord]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What happened to records in an earlier assignment.

    ``settled``: offsets that are delivered, parked, held or awaited. ``made``: attempts made so far, and those
    that the schedule has counted, so that no schedule begins again.
    """

    settled: AbstractSet[int]
    made: Mapping[tuple[Party, MessageId, int], tuple[int, int]]


NOTHING: Final = Before(settled=frozenset(), made={})


async def look_back(
    store: Rows, tenures: Mapping[TopicPartition, Tenure], read: Mapping[TopicPartition, Read]
) -> Mapping[TopicPartition, Before]:
    """What is known of those records that were there at assignment, in one read. Raises Unreachable."""
    old = {place: found for place, each in read.items() if (found := _old(tenures[place], each))}
    if not old:
        return {}
    partners = {place: tenures[place].partner for place in old}
    return await store.read(_known_before, partners, old)


def _old(tenure: Tenure, read: Read) -> dict[int, Message]:
    """Those of the records, by offset, that were there at assignment. (By offset: clocks may be set back.)"""
    there = tenure.there
    if not read or read[0][0].position.offset >= there:
        return {}
    return {
        record.position.offset: message
        for record, message in read
        if isinstance(message, Message) and record.position.offset < there
    }


def _known_before(
    connection: Connection,
    partners: Mapping[TopicPartition, PartnerId],
    old: Mapping[TopicPartition, Mapping[int, Message]],
) -> dict[TopicPartition, Before]:
    return {place: _known_of(connection, partners[place], place, each) for place, each in old.items()}


def _known_of(
    connection: Connection, partner: PartnerId, place: TopicPartition, old: Mapping[int, Message]
) -> Before:
    # Of a message that was redriven the view may still hold the outcome that brought it to the desk. A
    # message may be there twice: the exchange repeats itself after a kill of its own.
    names = {(each.source, each.id) for each in old.values() if not each.redrive}
    known = messages.settled(connection, list(names))
    found = {at for at, each in old.items() if not each.redrive and (each.source, each.id) in known}
    again = {((each.source, each.id), each.redrive) for each in old.values() if each.redrive}
    if again:
        ended = desk.settled(connection, list(again))
        found |= {at for at, each in old.items() if ((each.source, each.id), each.redrive) in ended}
    for rows in (parked.known, mailbox.known, awaiting.known):
        found |= rows(connection, partner, place.partition, list(old))
    wanted = {(each.source, each.id) for each in old.values()}
    return Before(settled=found, made=attempts.so_far(connection, partner, wanted))
