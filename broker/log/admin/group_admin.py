"""A consumer group seen from outside: its members, its offsets; and an idle group set to other offsets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, cast

from broker.core.records import Commit, TopicPartition
from broker.errors import Unreachable
from broker.log.clients import Admin, foreign, make_admin, make_group_consumer
from broker.log.faults import translating
from broker.log.options import KafkaOptions

_CLIENT: Final = "tongban-group-admin"
_MEMBERS: Final = 5  # error code, group, state, protocol type, protocol, members


class _Described(Protocol):
    @property
    def groups(self) -> Sequence[Sequence[object]]: ...


class _GroupAdmin(Admin, Protocol):
    async def describe_consumer_groups(self, group_ids: Sequence[str]) -> list[_Described]: ...


@asynccontextmanager
async def _admin(options: KafkaOptions, doing: str) -> AsyncIterator[_GroupAdmin]:
    admin = cast("_GroupAdmin", make_admin(options, client_id=_CLIENT))
    with translating(doing):
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


async def members(options: KafkaOptions, group: str) -> int:
    """How many members the group has now. Raises :class:`Unreachable`."""
    async with _admin(options, f"describing {group}") as admin:
        answers = await admin.describe_consumer_groups([group])
    for answer in answers:
        for described in answer.groups:
            if described[0]:
                raise Unreachable(f"describing {group}: Kafka answered error {described[0]}")
            return len(cast("Sequence[object]", described[_MEMBERS]))
    return 0


async def committed(options: KafkaOptions, group: str) -> Mapping[TopicPartition, Commit]:
    """Every offset that the group has committed, with its metadata. Raises :class:`Unreachable`."""
    async with _admin(options, f"reading the offsets of {group}") as admin:
        found = await admin.list_consumer_group_offsets(group)
    return {
        TopicPartition(place.topic, place.partition): Commit(note.offset, note.metadata)
        for place, note in found.items()
        if note.offset >= 0
    }


async def set_committed(options: KafkaOptions, group: str, commits: Mapping[TopicPartition, Commit]) -> None:
    """Set an idle group's offsets. Raises :class:`PositionConflict` when the group has members after all."""
    consumer = make_group_consumer(options, client_id=_CLIENT, group=group, member=None)
    places: Iterable[TopicPartition] = [foreign(place) for place in commits]
    with translating(f"setting the offsets of {group}"):
        await consumer.start()
        try:
            consumer.assign(places)
            await consumer.commit(
                {foreign(place): (each.offset, each.metadata) for place, each in commits.items()}
            )
        finally:
            await consumer.stop()
