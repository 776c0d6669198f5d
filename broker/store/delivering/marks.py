"""High-water marks of delivery: up to which ledger offset an outbox partition's records are finished.

The exchange writes its outputs in source order, so per outbox partition the source offsets of one ledger
partition only rise; what does not rise above the mark is a repeat. A mark is that of the *committed* place
on the outbox, never of what was merely read, and is stored before the group's commit: a kill in between
leaves marks that cover finished records only.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from broker.core.records import TopicPartition
from broker.store.tables import mark

Marks = Mapping[int, int]
"""Ledger partition to the highest ledger offset whose output is finished."""


def read(connection: Connection, topic: str, partition: int) -> dict[int, int]:
    """The marks of one outbox partition; empty if it was never delivered from."""
    chosen = select(mark.c.ledger_partition, mark.c.source_offset).where(
        mark.c.topic == topic, mark.c.partition == partition
    )
    return {row[0]: row[1] for row in connection.execute(chosen)}


def write(connection: Connection, marks: Mapping[TopicPartition, Marks]) -> None:
    """Store the marks of some outbox partitions, as of the places about to be committed.

    A mark only rises: a worker that was frozen writes those it had, and others are further since.
    """
    rows = [
        {
            "topic": place.topic,
            "partition": place.partition,
            "ledger_partition": ledger_partition,
            "source_offset": offset,
        }
        for place, each in marks.items()
        for ledger_partition, offset in each.items()
    ]
    if not rows:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(mark)
    further = statement.excluded.source_offset
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(mark.primary_key),
            set_={"source_offset": further},
            where=further > mark.c.source_offset,
        ),
        rows,
    )
