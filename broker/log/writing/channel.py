"""One idempotent producer and the batches it has in flight: opened, used, and thrown away as a whole.

A producer that failed one batch is broken for that partition for ever: the batch's sequence numbers are used
up, and the broker refuses every later one (``OutOfOrderSequenceNumber``). So a channel is never mended.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from broker.errors import Unreachable
from broker.log.clients import Batch, Producer, make_producer
from broker.log.faults import FOREIGN, translated
from broker.log.giving_up import give_up_producer
from broker.log.options import KafkaOptions

_START_PAUSE_S: Final = 0.25


class Channel:
    """``open`` one, ``send`` through it, ``close`` it. Belongs to the event loop it was opened in."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._in_flight = 0
        self._landed = asyncio.Event()
        self._landed.set()

    @classmethod
    async def open(cls, options: KafkaOptions, *, client_id: str, timeout_s: float) -> Channel:
        """Connect, waiting ``timeout_s`` for the cluster to answer. Raises :class:`Unreachable`.

        :class:`WrongUse` at once when the cluster refuses this client.
        """
        fault: Exception = TimeoutError()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    producer = make_producer(options, client_id=client_id)
                    try:
                        await producer.start()
                    except KafkaError as refused:
                        fault = refused
                        await give_up_producer(producer)
                        if not isinstance(translated(refused, "connecting"), Unreachable):
                            break  # no right to: waiting does not heal that
                        await asyncio.sleep(_START_PAUSE_S)
                    except BaseException:
                        await give_up_producer(producer)
                        raise
                    else:
                        return cls(producer)
        except TimeoutError:
            pass
        raise translated(fault, f"connecting to {options.bootstrap}") from fault

    async def partitions(self, topic: str) -> frozenset[int]:
        """The partitions of ``topic``. Waits for its metadata; raises :class:`Unreachable` if there is none."""
        try:
            return frozenset(await self._producer.partitions_for(topic))
        except FOREIGN as fault:
            raise translated(fault, f"looking up topic {topic}") from fault

    def batch(self) -> Batch:
        return self._producer.create_batch()

    async def send(self, batch: Batch, topic: str, partition: int) -> int:
        """Send a batch; the offset of its first record once all in-sync replicas hold it.

        It may take as long as the cluster does. Raises what the client raises, or :class:`Unreachable` when the
        log holds the batch but can no longer say where.
        """
        self._in_flight += 1
        self._landed.clear()
        try:
            base = (await (await self._producer.send_batch(batch, topic, partition=partition))).offset
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._landed.set()
        if base < 0:  # an answer was lost and the broker has forgotten all but that it has the batch
            raise Unreachable(f"{topic}/{partition} holds the batch, but not its offsets")
        return base

    async def close(self, *, grace_s: float) -> None:
        """Let what is in flight land for ``grace_s``, then fail the rest: their ``send`` raises."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._landed.wait()
        await give_up_producer(self._producer)
