"""Creating and comparing topics through Kafka's admin protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, cast

from aiokafka.admin import NewTopic  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import (  # type: ignore[import-untyped]
    ConfigResource,
    ConfigResourceType,
)
from aiokafka.errors import TopicAlreadyExistsError, for_code  # type: ignore[import-untyped]

from broker.errors import Unreachable
from broker.log.admin.patience import patiently
from broker.log.clients import make_admin
from broker.log.faults import translated
from broker.log.options import KafkaOptions

_CLIENT: Final = "tongban-topics"
_NO_ERROR: Final = 0
_READY_PAUSE_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A topic as it should be."""

    name: str
    partitions: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One setting of an existing topic that is not as wanted."""

    topic: str
    setting: str
    wanted: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Partition:
    number: int
    leader: int
    replicas: int
    in_sync: int

    @property
    def ready(self) -> bool:
        return self.leader >= 0 and self.in_sync == self.replicas


class TopicAdmin:
    """``async with TopicAdmin(options) as admin``. Every call raises :class:`Unreachable` or :class:`WrongUse`."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._timeout_s = options.request_timeout_s
        self._admin = make_admin(options, client_id=_CLIENT)

    async def __aenter__(self) -> Self:
        try:
            await patiently(
                self._admin.start,
                doing=f"connecting to {self._options.bootstrap}",
                timeout_s=self._options.start_timeout_s,
            )
        except BaseException:
            await self._admin.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()

    async def names(self) -> list[str]:
        return await patiently(self._admin.list_topics, doing="listing topics", timeout_s=self._timeout_s)

    async def partitions(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions each of ``topics`` has; one that does not exist is not in the answer."""
        return {name: len(found) for name, found in (await self._describe(list(topics))).items()}

    async def leaderless(self, topics: Iterable[str]) -> set[tuple[str, int]]:
        """The partitions without a leader now: nothing can be asked of them."""
        return {
            (name, each.number)
            for name, found in (await self._describe(list(topics))).items()
            for each in found
            if each.leader < 0
        }

    async def create(self, topics: Sequence[Wanted]) -> list[str]:
        """Create ``topics``; the names of those that this call created. One that another made meanwhile is fine."""
        if not topics:
            return []
        requests = [
            NewTopic(
                each.name,
                each.partitions,
                self._options.replication_factor,
                topic_configs=dict(each.settings),
            )
            for each in topics
        ]
        answer = await patiently(
            lambda: self._admin.create_topics(requests), doing="creating topics", timeout_s=self._timeout_s
        )
        created = []
        for name, code, *_ in answer.topic_errors:
            if code == _NO_ERROR:
                created.append(str(name))
            elif code != TopicAlreadyExistsError.errno:
                raise translated(for_code(code)(), f"creating topic {name}")
        return created

    async def wait_until_ready(self, topics: Collection[str], *, timeout_s: float) -> None:
        """Wait for a leader and all replicas in sync, everywhere: before that, first writes fail."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await self._all_ready(topics):  # noqa: ASYNC110 - the cluster sends no events
                    await asyncio.sleep(_READY_PAUSE_S)
        except TimeoutError as late:
            raise Unreachable("a new topic has partitions without a leader or out of sync") from late

    async def differences(self, topics: Sequence[Wanted]) -> list[Difference]:
        """What of the wanted is different in the cluster, for topics that exist."""
        if not topics:
            return []
        found = await self._settings([each.name for each in topics])
        counts = await self.partitions(each.name for each in topics)
        return [
            Difference(topic=topic.name, setting=setting, wanted=wanted, found=actual)
            for topic in topics
            for setting, wanted in (*topic.settings.items(), ("partitions", str(topic.partitions)))
            if (
                actual := str(counts.get(topic.name))
                if setting == "partitions"
                else found.get(topic.name, {}).get(setting, "")
            )
            != wanted
        ]

    async def _all_ready(self, topics: Collection[str]) -> bool:
        described = await self._describe(list(topics))
        return described.keys() >= set(topics) and all(
            each.ready for found in described.values() for each in found
        )

    async def _describe(self, topics: list[str]) -> dict[str, list[_Partition]]:
        if not topics:  # Kafka would describe all of them
            return {}
        described = await patiently(
            lambda: self._admin.describe_topics(topics), doing="describing topics", timeout_s=self._timeout_s
        )
        return {
            str(each["topic"]): _partitions(each) for each in described if each["error_code"] == _NO_ERROR
        }

    async def _settings(self, topics: list[str]) -> dict[str, dict[str, str]]:
        resources: list[object] = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
        answers = await patiently(
            lambda: self._admin.describe_configs(resources),
            doing="reading the settings of topics",
            timeout_s=self._timeout_s,
        )
        return {
            str(name): {str(row[0]): str(row[1]) for row in cast("Sequence[Sequence[object]]", rows)}
            for answer in answers
            for _, _, _, name, rows in answer.resources
        }


def _partitions(described: Mapping[str, object]) -> list[_Partition]:
    rows = cast("Sequence[Mapping[str, object]]", described["partitions"])
    return [
        _Partition(
            number=cast("int", row["partition"]),
            leader=cast("int", row["leader"]),
            replicas=len(cast("Sequence[int]", row["replicas"])),
            in_sync=len(cast("Sequence[int]", row["isr"])),
        )
        for row in rows
    ]
