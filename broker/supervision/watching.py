"""What supervision does all the time: keep the lag gauges fresh, issue cards, tell of agreements that end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from broker.core.catalogue.directory import Directory
from broker.errors import TongbanError
from broker.log.options import KafkaOptions
from broker.log.values.codec import Codec
from broker.store.access.engine import Store
from broker.supervision.deadlines import Deadlines, Writer
from broker.supervision.expiring import Agreements
from broker.supervision.lag import read_lag
from broker.supervision.options import SupervisionOptions
from broker.telemetry import get_log

_log = get_log("supervision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What a supervising worker is given."""

    options: SupervisionOptions
    kafka: KafkaOptions
    directory: Callable[[], Directory]
    store: Store
    writer: Writer
    codec: Codec

    def begin(self) -> list[asyncio.Task[None]]:
        """Start all of it; the caller cancels. A task that ends by itself has failed."""
        deadlines = Deadlines(
            self.store, self.writer, self.codec, ledger_partitions=self.kafka.ledger_partitions, now=_now
        )
        agreements = Agreements(self.directory, _now, within_days=self.options.agreement_days)
        return [
            asyncio.create_task(self._watch_lag(), name="supervision"),
            asyncio.create_task(deadlines.run(self.options.deadlines_every_s), name="deadlines"),
            asyncio.create_task(agreements.run(), name="agreements"),
        ]

    async def _watch_lag(self) -> None:
        """Keep the lag gauges fresh. A measurement that fails leaves the last one and says so."""
        while True:
            try:
                await read_lag(self.kafka, self.directory())
            except TongbanError as fault:
                _log.warning("dependency_lost", stage="supervision", reason=str(fault))
            await asyncio.sleep(self.options.lag_every_s)


def _now() -> datetime:
    return datetime.now(UTC)
