"""Waiting for records of a group without being caught in its rebalances."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from broker.core.records import TopicPartition
from broker.log.clients import Consumer, KafkaRecord, foreign, ours

_OVERSHOOT_S: Final = 0.05

Found = Mapping[TopicPartition, list[KafkaRecord]]


class Fetching:
    """One consumer's records, asked for with a time limit that holds.

    aiokafka's ``getmany`` waits without limit for the end of a rebalance that begins meanwhile, and must not be
    cancelled (its count of readers would stay wrong). So the waiting is a task, left behind when it takes too long;
    what it finds afterwards is put back, for the caller may have sought or paused since.
    """

    def __init__(self, consumer: Consumer, *, settled: Callable[[], bool]) -> None:
        self._consumer = consumer
        self._settled = settled
        self._waiting: asyncio.Task[Found] | None = None
        self._abandoned = False

    async def fetch(self, max_records: int, wait_s: float) -> Found:
        """What there is, or what comes within ``wait_s``. Raises what the client raises."""
        if self._waiting is None:
            found = await self._consumer.getmany(timeout_ms=0, max_records=max_records)
            if found or wait_s <= 0:
                return found
            self._abandoned = False
            self._waiting = asyncio.create_task(self._await_records(max_records, wait_s))
        waiting = self._waiting
        try:
            await asyncio.wait({waiting}, timeout=wait_s + _OVERSHOOT_S)
        except asyncio.CancelledError:
            self._leave(waiting)
            raise
        if not waiting.done():
            self._abandoned = True
            return {}
        self._waiting = None
        found = waiting.result()
        if not self._settled():  # a rebalance began this very moment
            self._put_back(found)
            return {}
        return found

    async def close(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)

    async def _await_records(self, max_records: int, wait_s: float) -> Found:
        found = await self._consumer.getmany(timeout_ms=round(wait_s * 1000), max_records=max_records)
        if self._abandoned:
            self._put_back(found)
            return {}
        return found

    def _leave(self, waiting: asyncio.Task[Found]) -> None:
        self._abandoned = True
        if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
            self._waiting = None
            self._put_back(waiting.result())

    def _put_back(self, found: Found) -> None:
        for partition in ours(self._consumer.assignment()).intersection(found):
            self._consumer.seek(foreign(partition), found[partition][0].offset)
