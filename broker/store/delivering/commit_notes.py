"""By which the notes of delivery's commits are known again (``broker.core.lane.offset_map``).

Written in the transaction of the marks, before the group's commit. A kill between the two leaves the group with
the note before: so a row names that one as well, and both are believed. Nothing else is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from broker.core.records import TopicPartition
from broker.store.access.statements import insert_or_update
from broker.store.tables import commit_note

_EACH = 32


def read(connection: Connection, topic: str, partition: int) -> frozenset[str]:
    """The digests of the notes that may be believed of one outbox partition; empty when there is none."""
    chosen = select(commit_note.c.digest).where(
        commit_note.c.topic == topic, commit_note.c.partition == partition
    )
    stored: str = connection.execute(chosen).scalar() or ""
    return frozenset(stored[at : at + _EACH] for at in range(0, len(stored), _EACH))


def write(connection: Connection, notes: Mapping[TopicPartition, tuple[int, Sequence[str]]]) -> None:
    """Of some partitions the offset about to be committed; the digests of its note and of the one before."""
    insert_or_update(
        connection,
        commit_note,
        [
            {
                "topic": place.topic,
                "partition": place.partition,
                "next_offset": offset,
                "digest": "".join(digests),
            }
            for place, (offset, digests) in notes.items()
        ],
    )
