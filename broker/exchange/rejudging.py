"""Ledger records judged once more for a rebuild: same judging, same transactions, no outputs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

from broker.core.catalogue.directory import EMPTY, Directory, read_directory
from broker.core.records import Record
from broker.exchange import batch, reading
from broker.exchange.originals import read_originals
from broker.exchange.ports import ReadAt
from broker.exchange.rebuild_workers import Tools
from broker.log.admin import topics
from broker.log.reading import scan
from broker.log.values.codec import Codec
from broker.store.access.engine import Store
from broker.store.view import directory as directory_rows
from broker.store.view import ledger_view

BATCH: Final = 8000
"""Records of one transaction: of a case that is in it several times, the state is read and written once."""
_BATCH_BYTES: Final = 64 * 1024 * 1024
FETCH_BYTES: Final = 8 * 1024 * 1024
"""Of one partition at once: while a batch is judged nothing else is fetched, and each answer is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A piece of a rebuild: one partition, judged from where the view stands up to the offset ``until``."""

    partition: int
    until: int

    async def do(self, tools: Tools) -> int:
        """Batch by batch; how many records it were."""
        kafka, done = tools.kafka, 0
        records = scan.scan(
            kafka,
            topics.LEDGER,
            partitions=[self.partition],
            end={self.partition: self.until},
            partition_fetch_bytes=FETCH_BYTES,
        )
        async with aclosing(chunks(records)) as batches:
            async for batch_of in batches:
                await take_in(
                    tools.store,
                    tools.codec,
                    batch_of,
                    read_at=partial(scan.read_at, kafka),
                    outbox_partitions=kafka.outbox_partitions,
                    parsed=tools.parsed,
                )
                done += len(batch_of)
                tools.told(len(batch_of))
        return done


async def take_in(
    store: Store,
    codec: Codec,
    records: Sequence[Record],
    *,
    read_at: ReadAt,
    outbox_partitions: int,
    parsed: dict[str, Directory] | None = None,
) -> None:
    """Judge the next records of one partition, and apply what they amount to; their outputs are there already.

    ``parsed``: directories read before, by version; those read now are added.
    """
    parsed = {} if parsed is None else parsed
    partition = records[0].position.partition
    since, version = (await store.read(ledger_view.positions, [partition])).get(partition, (0, ""))
    directory = await _directory(store, version, parsed)
    reads = reading.read(records, codec)
    wanted = reading.wanted(reads)
    loaded = await store.read(ledger_view.load, wanted.cases, wanted.names, wanted.desk)
    originals = await read_originals(read_at, reads, loaded.messages, loaded.cases)
    for each in {state.directory for state in loaded.cases.values()}:
        await _directory(store, each, parsed)
    judged = batch.judge_batch(
        reads,
        loaded,
        directory,
        originals,
        codec=codec,
        outbox_partitions=outbox_partitions,
        routing=False,
        book=parsed,
    )
    parsed[judged.directory.version] = judged.directory
    until = records[-1].position.offset + 1
    await store.call(ledger_view.apply, [judged.ledger_batch(partition, since, until)])


async def _directory(store: Store, version: str, parsed: dict[str, Directory]) -> Directory:
    if not version:
        return EMPTY
    if version not in parsed:
        parsed[version] = read_directory(json.loads(await store.read(directory_rows.documents, version)))
    return parsed[version]


async def chunks(records: AsyncGenerator[Record, None]) -> AsyncGenerator[list[Record], None]:
    """By :data:`BATCH`, or fewer where they are large. Leave it early only through ``contextlib.aclosing``."""
    chunk: list[Record] = []
    size = 0
    async with aclosing(records):
        async for record in records:
            chunk.append(record)
            size += len(record.value)
            if len(chunk) >= BATCH or size >= _BATCH_BYTES:
                yield chunk
                chunk, size = [], 0
    if chunk:
        yield chunk
