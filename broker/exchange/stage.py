"""The exchange at work: read the ledger, judge, write what follows, commit the view, commit the group.

The store's position, not the group's offset, says where a partition continues: state and position move in
one transaction, conditional on the position before. The group's offsets follow for the eyes of lag tools.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from broker.core.catalogue.directory import EMPTY, Directory, read_directory
from broker.core.records import Commit, Record, TopicPartition
from broker.errors import PositionConflict, TongbanError, Unreachable
from broker.exchange import batch, reading
from broker.exchange.kept import Kept, beyond, joined
from broker.exchange.options import ExchangeOptions
from broker.exchange.originals import read_originals
from broker.exchange.ports import MakeTopics, ReadAt, ReaderFactory, Writer
from broker.log.values.codec import Codec
from broker.store.access.engine import Store
from broker.store.view import directory as directory_rows
from broker.store.view import ledger_view
from broker.telemetry import ROAD, get_log

_log = get_log("exchange")
_BACK_OFF_S: Final = 1.0
_DRAIN_S: Final = 5.0
_SMALL: Final = 200


@dataclass(slots=True, kw_only=True)
class _Hand:
    """The records of one partition in hand, from position ``since`` on, and what they amount to."""

    partition: TopicPartition
    since: int
    records: Sequence[Record]
    judged: batch.Judged

    @property
    def until(self) -> int:
        return self.records[-1].position.offset + 1


class Exchange:
    """The stage that turns the ledger into outboxes and the view. Any number of them share the partitions."""

    def __init__(
        self,
        options: ExchangeOptions,
        *,
        reader: ReaderFactory,
        writer: Writer,
        store: Store,
        codec: Codec,
        outbox_partitions: int,
        make_topics: MakeTopics,
        read_at: ReadAt,
    ) -> None:
        self._options = options
        self._writer = writer
        self._store = store
        self._codec = codec
        self._outbox_partitions = outbox_partitions
        self._make_topics = make_topics
        self._read_at = read_at
        self._reader = reader(assigned=self._assigned, revoked=self._revoked)
        self._kept = Kept()
        self._next: dict[int, int] = {}
        self._directories: dict[int, Directory] = {}
        self._parsed: dict[str, Directory] = {"": EMPTY}
        self._stopping = asyncio.Event()
        self._busy = asyncio.Lock()
        self._uncommitted: dict[TopicPartition, Commit] = {}
        self._committed_s = 0.0
        self._trouble: str | None = "is starting"

    def health(self) -> str | None:
        """None while the stage works, else a sentence on what it waits for."""
        return self._trouble

    def stop(self) -> None:
        """Ask :meth:`run` to end after the batch in hand."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until :meth:`stop`. A part that is away is waited for; nothing is skipped meanwhile."""
        await self._reader.start()
        self._trouble = None
        _log.info("stage_started", stage="exchange")
        try:
            while not self._stopping.is_set():
                try:
                    polled = await self._reader.poll(
                        max_records=self._options.batch, wait_s=self._options.wait_s
                    )
                    await self._work(polled)
                    await self._commit_group()
                    self._trouble = None
                    if 0 < sum(map(len, polled.values())) < _SMALL:
                        await asyncio.sleep(self._options.gather_s)
                except PositionConflict:
                    _log.warning(
                        "stage_failed", stage="exchange", reason="another worker moved the partition on"
                    )
                    await self._rewind()
                except Unreachable as away:
                    self._trouble = f"waits: {away}"
                    _log.warning("dependency_lost", stage="exchange", reason=str(away))
                    await asyncio.sleep(_BACK_OFF_S)
                    await self._rewind()
        finally:
            await self._reader.close()
            _log.info("stage_stopped", stage="exchange")

    async def _assigned(self, partitions: frozenset[TopicPartition]) -> None:
        await self._load_positions(partitions)
        for each in partitions:
            self._reader.seek(each, self._next[each.partition])
            _log.info(
                "partition_assigned",
                topic=each.topic,
                partition=each.partition,
                offset=self._next[each.partition],
            )

    async def _revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Let the batch in hand finish, for a bounded time: what is committed need not be judged twice."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._busy.acquire(), _DRAIN_S)
            self._busy.release()
        with contextlib.suppress(TongbanError):  # the store has moved; the group's offsets only follow it
            await self._commit_group(now=True)
        self._kept.forget()
        for each in partitions:
            self._uncommitted.pop(each, None)
            self._next.pop(each.partition, None)
            _log.info("partition_revoked", topic=each.topic, partition=each.partition)

    async def _load_positions(self, partitions: frozenset[TopicPartition]) -> None:
        self._kept.forget()
        wanted = [each.partition for each in partitions]
        positions = await self._store.read(ledger_view.positions, wanted)
        for partition in wanted:
            offset, version = positions.get(partition, (0, ""))
            self._next[partition] = offset
            self._directories[partition] = await self._directory(version)

    async def _directory(self, version: str) -> Directory:
        if version not in self._parsed:
            documents = await self._store.read(directory_rows.documents, version)
            self._parsed[version] = read_directory(json.loads(documents))
        return self._parsed[version]

    async def _rewind(self) -> None:
        """Go back to what the store says, for every partition still held: the batch in hand is dropped."""
        try:
            await self._assigned(self._reader.assignment())
        except Unreachable as away:
            self._trouble = f"waits: {away}"

    async def _work(self, polled: Mapping[TopicPartition, Sequence[Record]]) -> None:
        hands = [
            self._take(each, records) for each, records in polled.items() if each.partition in self._next
        ]
        hands = [hand for hand in hands if hand.records]
        if not hands:
            return
        async with self._busy:
            ROAD.on_step("exchange.polled")
            await self._judge(hands)
            ROAD.on_step("exchange.decided")
            outputs = [record for hand in hands for record in hand.judged.outputs]
            if outputs:
                await self._writer.write(outputs, deadline_s=self._options.write_deadline_s)
            ROAD.on_step("exchange.written")
            await self._commit(hands)

    def _take(self, partition: TopicPartition, records: Sequence[Record]) -> _Hand:
        """The records at or after the position: a partition given back in mid-fetch may read some again."""
        since = self._next[partition.partition]
        fresh = [record for record in records if record.position.offset >= since]
        judged = batch.Judged(directory=self._directories[partition.partition], book=self._parsed)
        return _Hand(partition=partition, since=since, records=fresh, judged=judged)

    async def _judge(self, hands: Sequence[_Hand]) -> None:
        reads = {hand.partition: reading.read(hand.records, self._codec) for hand in hands}
        together = [read for reads_of in reads.values() for read in reads_of]
        loaded = await self._load(reading.wanted(together))
        originals = await read_originals(self._read_at, together, loaded.messages, loaded.cases)
        for version in {state.directory for state in loaded.cases.values()}:
            await self._directory(version)
        seen = dict(loaded.messages)
        for hand in hands:
            directory = hand.judged.directory
            hand.judged = batch.judge_batch(
                reads[hand.partition],
                loaded,
                directory,
                originals,
                codec=self._codec,
                outbox_partitions=self._outbox_partitions,
                book=self._parsed,
                seen=seen,
            )
            if hand.judged.directories:
                await self._make_topics(hand.judged.directory.partners)

    async def _load(self, wanted: reading.Wanted) -> ledger_view.Loaded:
        kept = self._kept.of(wanted)
        others = beyond(wanted, kept)
        read = await self._store.read(ledger_view.load, others.cases, others.names, others.desk)
        return joined(kept, read)

    async def _commit(self, hands: Sequence[_Hand]) -> None:
        batches = [
            hand.judged.ledger_batch(hand.partition.partition, hand.since, hand.until) for hand in hands
        ]
        await self._store.call(ledger_view.apply, batches)
        ROAD.on_step("exchange.committed_store")
        for hand in hands:
            number, directory = hand.partition.partition, hand.judged.directory
            if self._next.get(number) == hand.since:
                self._next[number] = hand.until
                self._directories[number] = self._parsed[directory.version] = directory
                self._kept.take(hand.judged)
        self._uncommitted.update({hand.partition: Commit(hand.until) for hand in hands})

    async def _commit_group(self, *, now: bool = False) -> None:
        """Let the group's offsets follow the store's, every ``group_commit_s`` seconds."""
        loop_s = asyncio.get_running_loop().time()
        if not self._uncommitted or (not now and loop_s < self._committed_s + self._options.group_commit_s):
            return
        due, self._uncommitted = self._uncommitted, {}
        self._committed_s = loop_s
        try:
            await self._reader.commit(due)
        except TongbanError:
            self._uncommitted = due | self._uncommitted  # else a quiet partition would seem behind for ever
            raise
        ROAD.on_step("exchange.committed_group")
