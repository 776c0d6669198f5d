"""The topics of the broker: their names, which partition a case has, and how they come to be.

Source: contract, "Topics".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from broker.core.ids import CaseId, InvalidId, PartnerId, key_case, partner_id
from broker.errors import WrongUse
from broker.log.admin.topic_admin import TopicAdmin, Wanted
from broker.log.options import KafkaOptions
from broker.log.partitioner import partition_of
from broker.telemetry import get_log

_LOG: Final = get_log("log")
_OUTBOX_PREFIX: Final = "tongban.outbox."
_DAY_MS: Final = 24 * 3600 * 1000

LEDGER: Final = "tongban.exchange"
DESK: Final = "tongban.desk"


def outbox(partner: PartnerId) -> str:
    """The topic of what ``partner`` is to get."""
    return _OUTBOX_PREFIX + partner


def partner_of(topic: str) -> PartnerId | None:
    """The partner whose outbox ``topic`` is; None if it is not an outbox."""
    if not topic.startswith(_OUTBOX_PREFIX):
        return None
    try:
        return partner_id(topic.removeprefix(_OUTBOX_PREFIX))
    except InvalidId:
        return None


def ledger_key(case: CaseId) -> bytes:
    """The key of a case's records; of a bundle's part, its parent's: they share one order and one worker."""
    return key_case(case).encode()


def ledger_partition(case: CaseId, partitions: int) -> int:
    """The ledger's partition of a case, for life: what Kafka's own clients choose for its key."""
    return partition_of(ledger_key(case), partitions)


def outbox_partition(ledger_partition: int, outbox_partitions: int) -> int:
    """The outbox partition of all that is derived from one ledger partition: so repeats are seen there."""
    return ledger_partition % outbox_partitions


async def outboxes(options: KafkaOptions) -> list[str]:
    """The outboxes that the cluster has, in order. Raises :class:`Unreachable`."""
    async with TopicAdmin(options) as admin:
        return sorted(topic for topic in await admin.names() if partner_of(topic) is not None)


async def ensure_topics(options: KafkaOptions, partners: Iterable[PartnerId]) -> list[str]:
    """Create the ledger, the desk and the outboxes of ``partners`` where missing; the names of those created.

    Returns once every partition has a leader and all its replicas in sync, so that a write right after succeeds.
    Topics that exist are left as they are; a setting that differs is reported as the event ``topic_differs``.
    Raises :class:`WrongUse` when the ledger has another number of partitions than ``ledger_partitions`` (adding
    some would break the order of open cases), :class:`Unreachable` when the cluster does not answer.
    """
    wanted = {each.name: each for each in _wanted(options, partners)}
    async with TopicAdmin(options) as admin:
        existing = await admin.partitions(wanted)
        _refuse_other_ledger(existing.get(LEDGER), options.ledger_partitions)
        created = await admin.create([topic for name, topic in wanted.items() if name not in existing])
        await admin.wait_until_ready(wanted, timeout_s=options.start_timeout_s)
        # Another process may have created the ledger in between, with other options.
        _refuse_other_ledger((await admin.partitions([LEDGER])).get(LEDGER), options.ledger_partitions)
        for difference in await admin.differences([wanted[name] for name in existing]):
            _LOG.warning(
                "topic_differs",
                topic=difference.topic,
                setting=difference.setting,
                wanted=difference.wanted,
                found=difference.found,
            )
    for name in created:
        _LOG.info("topic_created", topic=name, partitions=wanted[name].partitions)
    return created


def _refuse_other_ledger(found: int | None, wanted: int) -> None:
    if found is not None and found != wanted:
        raise WrongUse(
            f"{LEDGER} has {found} partitions and kafka.ledger_partitions says {wanted}: set it to {found}. "
            "The number is fixed for life; another one would break the order of open cases."
        )


def _wanted(options: KafkaOptions, partners: Iterable[PartnerId]) -> Iterable[Wanted]:
    for_ever = _settings(options, retention_ms=-1)
    yield Wanted(name=LEDGER, partitions=options.ledger_partitions, settings=for_ever)
    yield Wanted(name=DESK, partitions=options.desk_partitions, settings=for_ever)
    for_a_while = _settings(options, retention_ms=options.outbox_retention_days * _DAY_MS)
    for partner in partners:
        yield Wanted(name=outbox(partner), partitions=options.outbox_partitions, settings=for_a_while)


def _settings(options: KafkaOptions, *, retention_ms: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "compression.type": "producer",
        "max.message.bytes": str(options.max_batch_bytes),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(options.min_insync),
        "retention.bytes": "-1",
        "retention.ms": str(retention_ms),
        "unclean.leader.election.enable": "false",
    }
