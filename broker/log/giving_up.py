"""Ending a client of Kafka now, whatever the cluster does. The one place that reaches into aiokafka.

Its own ``stop()`` waits without limit for what cannot happen while the cluster is away: for a producer's last
batch to be sent, for a consumer to leave its group.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any, Final, cast

from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from broker.log.clients import Consumer, Producer
from broker.log.faults import FOREIGN

_STEP_S: Final = 2.0


async def give_up_producer(producer: Producer) -> None:
    """Stop a producer; what it has not sent, or was not told of, fails with ``KafkaError``."""
    inner = cast("Any", producer)
    await _within(inner._sender.close(), _STEP_S)  # noqa: SLF001 - see the module
    accumulator = inner._message_accumulator  # noqa: SLF001
    for batches in accumulator._batches.values():  # noqa: SLF001
        for batch in batches:
            batch._drain_waiter.cancel()  # noqa: SLF001 - nobody awaits it: its fault would be logged as lost
    accumulator.fail_all(KafkaError("the producer was given up"))
    await _within(producer.stop(), _STEP_S)


async def give_up_consumer(consumer: Consumer, *, grace_s: float) -> None:
    """Stop a consumer: it leaves its group within ``grace_s``, or is cut off and the group finds out."""
    inner = cast("Any", consumer)
    if await _within(consumer.stop(), grace_s):
        return
    if inner._fetcher is not None:  # noqa: SLF001 - stop() was cut short before it came to these
        await _within(inner._fetcher.close(), _STEP_S)  # noqa: SLF001
    await _within(inner._client.close(), _STEP_S)  # noqa: SLF001


async def _within(step: Awaitable[object], seconds: float) -> bool:
    """Await a step for so long; True if it ended by itself. A fault of a client being thrown away is no news."""
    with contextlib.suppress(asyncio.CancelledError, *FOREIGN):
        await asyncio.wait_for(step, seconds)
        return True
    return False
