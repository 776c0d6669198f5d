"""How far each stage and each partner is behind: in messages and in exact seconds, without guessing.

A figure that cannot be known is unknown, never 0 (console.md: unknown is grey, never green).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker.core.catalogue.directory import Directory
from broker.log.admin import groups, topics
from broker.log.options import KafkaOptions
from broker.log.reading.lag import Exactness, PartitionLag, group_lag
from broker.telemetry import (
    GROUP_LAG,
    GROUP_LAG_SECONDS,
    GROUP_MAX_LAG,
    GROUP_MAX_LAG_SECONDS,
    LATEST_OFFSET,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLag:
    """One stage's lag, for delivery per partner: messages behind, age of the oldest in seconds.

    ``partitions`` is how many of the topic's partitions could be asked, ``of`` how many there are.
    """

    stage: str
    partner: str
    messages: int | None
    seconds: float | None
    exactness: Exactness
    partitions: int
    of: int


async def read_lag(kafka: KafkaOptions, directory: Directory) -> list[StageLag]:
    """Every stage's lag now, and the exporter's gauges set to it."""
    exchange = await group_lag(kafka, groups.EXCHANGE, [topics.LEDGER])
    outboxes = [topics.outbox(partner) for partner in directory.partners]
    delivery = await group_lag(kafka, groups.DELIVERY, outboxes) if outboxes else []
    _export(groups.EXCHANGE, exchange)
    _export(groups.DELIVERY, delivery)
    by_topic: dict[str, list[PartitionLag]] = defaultdict(list)
    for each in delivery:
        by_topic[each.topic].append(each)
    lags = [_sum("exchange", "", exchange)]
    lags.extend(
        _sum("delivery", topics.partner_of(topic) or topic, found)
        for topic, found in sorted(by_topic.items())
    )
    return lags


def _sum(stage: str, partner: str, lags: Sequence[PartitionLag]) -> StageLag:
    known = [each for each in lags if each.lag is not None]
    seconds = [each.seconds for each in known if each.seconds is not None]
    return StageLag(
        stage=stage,
        partner=partner,
        messages=sum(each.lag or 0 for each in known) if known else None,
        seconds=max(seconds) if seconds else None,
        exactness=_worst(each.exactness for each in lags),
        partitions=len(known),
        of=len(lags),
    )


def _worst(found: Iterable[Exactness]) -> Exactness:
    order = (Exactness.EXACT, Exactness.ESTIMATED, Exactness.UNKNOWN)
    return max(found, key=order.index, default=Exactness.UNKNOWN)


def _export(group: str, lags: Sequence[PartitionLag]) -> None:
    for each in lags:
        partition = str(each.partition)
        if each.end is not None:
            LATEST_OFFSET.labels(each.topic, partition).set(each.end)
        if each.lag is not None:
            GROUP_LAG.labels(group, each.topic, partition).set(each.lag)
        if each.seconds is not None:
            GROUP_LAG_SECONDS.labels(group, each.topic, partition).set(each.seconds)
    if lags:
        GROUP_MAX_LAG.labels(group).set(max((each.lag or 0 for each in lags), default=0))
        GROUP_MAX_LAG_SECONDS.labels(group).set(max((each.seconds or 0.0 for each in lags), default=0.0))
