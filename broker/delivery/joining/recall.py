"""What is known of a partition that was just assigned: its commit, the marks, and the note if it is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from broker.core.lane.offset_map import NoteUnreadable, OffsetMap, decode, digest
from broker.core.records import Commit, TopicPartition
from broker.delivery.ports import Reader, Rows
from broker.store.delivering import commit_notes, marks
from broker.telemetry import OFFSET_MAPS_IGNORED, get_log

_LOG: Final = get_log("delivery")
_START: Final = Commit(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """Where a tenure begins. ``committed`` False: the group has never committed here.

    ``end``: the offset after the last record that was there. An earlier holder may have had those before it.
    """

    offset: int
    committed: bool
    marks: Mapping[int, int]
    known: OffsetMap | None
    digest: str
    end: int
    ignored: str | None
    """Why the commit's note is not believed; its content is in no log."""

    def tell(self, place: TopicPartition) -> None:
        """Say once, when the tenure begins, that finished records may be delivered again."""
        if self.ignored is not None:
            OFFSET_MAPS_IGNORED.inc()
            _LOG.warning(
                "offset_map_ignored", topic=place.topic, partition=place.partition, reason=self.ignored
            )


class Recall:
    """Reads it. ``trust_foreign``: believe notes of others too (when taking over from a Parallel Consumer)."""

    def __init__(self, store: Rows, *, trust_foreign: bool) -> None:
        self._store = store
        self._trust_foreign = trust_foreign

    async def commits(
        self, reader: Reader, places: Sequence[TopicPartition]
    ) -> tuple[Mapping[TopicPartition, Commit], Mapping[TopicPartition, int]]:
        """What the group has committed, and where the partitions end.

        Raises Unreachable. The ends are asked after the commits: a note is never newer than them.
        """
        commits = await reader.committed(places)
        return commits, await reader.ends(places)

    async def recall(self, place: TopicPartition, commit: Commit | None, log_end: int) -> Recalled:
        """Raises Unreachable."""
        stored, believed = await self._store.read(_read, place)
        offset, text = commit or _START
        mark = digest(offset, text)
        known, ignored = None, None
        if text and mark not in believed and not self._trust_foreign:
            ignored = "it is not the one that was written here"
        elif text:
            try:
                known = decode(text, base=offset, log_end=log_end)
            except NoteUnreadable as unreadable:
                ignored = str(unreadable)
        return Recalled(
            offset=offset,
            committed=commit is not None,
            marks=stored,
            known=known,
            digest=mark if known is not None else "",
            end=log_end,
            ignored=ignored,
        )


def _read(connection: Connection, place: TopicPartition) -> tuple[dict[int, int], frozenset[str]]:
    return marks.read(connection, *place), commit_notes.read(connection, *place)
