"""A rebuild's partitions judged by several processes: one for each core, each partition wholly by one of them.

Partitions share no case, and each batch moves its own partition's position in the transaction that holds what it
stands for, as the exchange's workers do: whoever judges it, the view is the same.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import uvloop

from broker.exchange.rejudging import judge_partition
from broker.log.options import KafkaOptions
from broker.log.registry import open_codec
from broker.store.engine import Store

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

WORTH: Final = 20_000
"""Records below which a second process costs more than it saves."""
_LOOK_S: Final = 0.25
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One partition, to be judged from where the view stands up to ``until``, into the store at ``url``."""

    kafka: KafkaOptions
    url: str
    partition: int
    until: int


def processes(records: int, partitions: int) -> int:
    """How many processes a rebuild of so much is worth; 1: none but this one."""
    return 1 if records < WORTH else min(len(os.sched_getaffinity(0)), partitions)


async def judge_all(
    kafka: KafkaOptions, url: str, wanted: Mapping[int, int], *, total: int, count: int, progress: Progress
) -> int:
    """Judge every partition up to its offset in ``wanted``, in ``count`` processes. Returns how many records it were.

    Raises what the first of them to fail has raised; the others then end with the partition in hand.
    """
    context = multiprocessing.get_context("spawn")  # an event loop and threads do not survive a fork
    done: Synchronized[int] = context.Value("q", 0)
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(done,))
    largest_first = sorted(wanted, key=lambda partition: wanted[partition], reverse=True)
    shares = [Share(kafka=kafka, url=url, partition=each, until=wanted[each]) for each in largest_first]
    try:
        works: list[Future[int]] = [pool.submit(_judge, share) for share in shares]
        waiting = asyncio.gather(*map(asyncio.wrap_future, works))
        while not waiting.done():
            await asyncio.wait([waiting], timeout=_LOOK_S)
            progress(done.value, total)
        return sum(await waiting)
    finally:
        await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)


_done: Any = None
"""In a worker: the counter that all of them share."""


def _begin(done: Synchronized[int]) -> None:
    global _done  # noqa: PLW0603 - a pool's initializer has no other way to hand anything on
    _done = done


def _judge(share: Share) -> int:
    return uvloop.run(_judged(share))


async def _judged(share: Share) -> int:
    store = await Store.open(share.url, create=False)
    try:
        codec = await open_codec(share.kafka)
        return await judge_partition(share.kafka, store, codec, share.partition, share.until, told=_tell)
    finally:
        await store.close()


def _tell(records: int) -> None:
    with _done.get_lock():
        _done.value += records
