"""Ledger records judged once more for a rebuild: same judging, same transactions, no outputs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Final

from broker.core.catalogue.directory import EMPTY, Directory, read_directory
from broker.core.records import Record
from broker.exchange import batch, reading
from broker.exchange.originals import read_originals
from broker.exchange.ports import ReadAt
from broker.log import scan, topics
from broker.log.codec import Codec
from broker.log.options import KafkaOptions
from broker.store import directory as directory_rows
from broker.store import ledger_view
from broker.store.engine import Store

BATCH: Final = 2000


async def judge_partition(
    kafka: KafkaOptions,
    store: Store,
    codec: Codec,
    partition: int,
    until: int,
    *,
    told: Callable[[int], None],
) -> int:
    """Judge a partition's records up to offset ``until``, batch by batch. ``told`` hears how many each batch had."""
    parsed: dict[str, Directory] = {}
    done = 0
    records = scan.scan(kafka, topics.LEDGER, partitions=[partition], end={partition: until})
    async for batch_of in chunks(records):
        await take_in(
            store,
            codec,
            batch_of,
            read_at=partial(scan.read_at, kafka),
            outbox_partitions=kafka.outbox_partitions,
            parsed=parsed,
        )
        done += len(batch_of)
        told(len(batch_of))
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


async def chunks(records: AsyncIterator[Record]) -> AsyncIterator[list[Record]]:
    chunk: list[Record] = []
    async for record in records:
        chunk.append(record)
        if len(chunk) >= BATCH:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
