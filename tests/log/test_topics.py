"""Topics: names, and how they come to be on a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from broker.core.ids import CaseId, PartnerId, part_case
from broker.errors import Unreachable, WrongUse
from broker.log.admin import topics
from broker.log.admin.topic_admin import TopicAdmin
from broker.log.options import KafkaOptions
from broker.log.partitioner import partition_of
from broker.log.reading import scan
from deploy.kafka.cluster import EmbeddedKafka
from tests.log.support import record, writing

GUIGANG = PartnerId("451300")
XIAMEN = PartnerId("350206-minzheng")


@pytest.fixture(scope="module")
def own() -> Iterator[EmbeddedKafka]:
    """A cluster without our topics: the shared one may have them from another test."""
    import asyncio

    cluster = EmbeddedKafka()
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


@pytest.mark.parametrize("partner", [GUIGANG, XIAMEN])
def test_outbox_names_its_partner(partner: PartnerId) -> None:
    assert topics.outbox(partner) == f"tongban.outbox.{partner}"
    assert topics.partner_of(topics.outbox(partner)) == partner


@pytest.mark.parametrize(
    "topic", [topics.LEDGER, topics.DESK, "tongban.outbox.", "tongban.outbox.x", "451300"]
)
def test_other_topics_have_no_partner(topic: str) -> None:
    assert topics.partner_of(topic) is None


@given(ledger=st.integers(1, 64), outboxes=st.integers(1, 16), number=st.text(min_size=1, max_size=20))
def test_a_case_has_one_road(ledger: int, outboxes: int, number: str) -> None:
    case = CaseId(f"451300/{number}")
    partition = topics.ledger_partition(case, ledger)
    assert partition == partition_of(case.encode(), ledger)
    assert 0 <= topics.outbox_partition(partition, outboxes) < outboxes


@given(ledger=st.integers(1, 64), number=st.from_regex(r"[0-9A-Z]{1,39}", fullmatch=True))
def test_parts_share_their_parents_partition_and_key(ledger: int, number: str) -> None:
    parent = CaseId(f"451300/{number}")
    part = part_case(parent, "luohu")
    assert topics.ledger_partition(part, ledger) == topics.ledger_partition(parent, ledger)
    assert topics.ledger_key(part) == topics.ledger_key(parent) == parent.encode()
    # A writer that leaves the choice to the key, as receipts do, chooses the same.
    assert partition_of(topics.ledger_key(part), ledger) == topics.ledger_partition(parent, ledger)


async def test_created_once_ready_at_once_and_never_repartitioned(own: EmbeddedKafka) -> None:
    options = KafkaOptions(
        bootstrap=own.bootstrap, ledger_partitions=5, outbox_partitions=3, start_timeout_s=20
    )
    created = await topics.ensure_topics(options, [GUIGANG])
    assert sorted(created) == sorted([topics.LEDGER, topics.DESK, topics.outbox(GUIGANG)])
    async with writing(options) as writer:
        await writer.write([record(topics.LEDGER, b"first", partition=4)], deadline_s=5)

    assert await topics.ensure_topics(options, [GUIGANG]) == []
    assert await topics.ensure_topics(options, [GUIGANG, XIAMEN]) == [topics.outbox(XIAMEN)]
    assert await topics.outboxes(options) == sorted([topics.outbox(GUIGANG), topics.outbox(XIAMEN)])
    assert len(await scan.offsets(options, topics.LEDGER)) == 5
    assert len(await scan.offsets(options, topics.outbox(XIAMEN))) == 3

    for other in (4, 6):
        with pytest.raises(WrongUse, match="has 5 partitions"):
            await topics.ensure_topics(replace(options, ledger_partitions=other), [])
    assert len(await scan.offsets(options, topics.LEDGER)) == 5


async def test_settings_that_differ_are_reported_and_left(own: EmbeddedKafka) -> None:
    options = KafkaOptions(
        bootstrap=own.bootstrap, ledger_partitions=5, outbox_partitions=3, start_timeout_s=20
    )
    await topics.ensure_topics(options, [GUIGANG])
    wider = replace(options, outbox_retention_days=60, outbox_partitions=4)
    with structlog.testing.capture_logs() as events:
        assert await topics.ensure_topics(wider, [GUIGANG]) == []
    told = {(each["topic"], each["setting"]) for each in events if each["event"] == "topic_differs"}
    assert told == {(topics.outbox(GUIGANG), "retention.ms"), (topics.outbox(GUIGANG), "partitions")}
    with structlog.testing.capture_logs() as events:
        await topics.ensure_topics(options, [GUIGANG])
    assert events == []


async def test_settings_of_the_ledger(own: EmbeddedKafka) -> None:
    options = KafkaOptions(
        bootstrap=own.bootstrap, ledger_partitions=5, outbox_partitions=3, start_timeout_s=20
    )
    await topics.ensure_topics(options, [])
    async with TopicAdmin(options) as admin:
        found = (await admin._settings([topics.LEDGER]))[topics.LEDGER]
    assert found["message.timestamp.type"] == "LogAppendTime"
    assert found["retention.ms"] == "-1"
    assert found["unclean.leader.election.enable"] == "false"
    assert int(found["max.message.bytes"]) > options.max_record_bytes


async def test_more_replicas_than_brokers_is_refused_with_the_cause(own: EmbeddedKafka) -> None:
    options = KafkaOptions(
        bootstrap=own.bootstrap, replication_factor=3, ledger_partitions=5, start_timeout_s=20
    )
    with pytest.raises(WrongUse, match="InvalidReplicationFactorError"):
        await topics.ensure_topics(options, [PartnerId("430423")])


async def test_cluster_away() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        await topics.ensure_topics(KafkaOptions(bootstrap="127.0.0.1:1", start_timeout_s=0.5), [])
