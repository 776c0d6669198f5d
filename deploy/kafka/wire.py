"""Two questions of Kafka's protocol, asked without a client, for readiness and status.

A client logs every connection that fails; here failing is expected until the nodes are up.

Source: https://kafka.apache.org/protocol (Metadata v2, FindCoordinator v0, record of the header v1).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self, TypeVar

T = TypeVar("T")

_METADATA: Final = (3, 2)
_FIND_COORDINATOR: Final = (10, 0)
_ALL_TOPICS: Final = struct.pack(">i", -1)
_HEADER: Final = struct.Struct(">hhih")  # key, version, correlation id, length of the client id (-1: none)


class WireFault(Exception):
    """The node did not answer, or not as the protocol says. Ask again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition as a node sees it; ``leader`` is -1 while there is none."""

    topic: str
    number: int
    leader: int
    replicas: frozenset[int]
    in_sync: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What one node knows of its cluster."""

    cluster_id: str
    brokers: frozenset[int]
    partitions: tuple[Partition, ...]


class Connection:
    """One connection to one node on the loopback; an async context manager. Every method may raise WireFault."""

    def __init__(self, port: int, *, timeout_s: float = 3.0) -> None:
        self._port = port
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(self._timeout_s):
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError as fault:  # a time-out is one
            raise WireFault(f"nothing answers at 127.0.0.1:{self._port}") from fault
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def metadata(self) -> Metadata:
        return _read_metadata(await self._ask(_METADATA, _ALL_TOPICS))

    async def has_coordinator(self, group: str) -> bool:
        """Whether the group has a coordinator. The first such question creates ``__consumer_offsets``."""
        name = group.encode()
        answer = await self._ask(_FIND_COORDINATOR, struct.pack(">h", len(name)) + name)
        return answer.int16() == 0

    async def _ask(self, api: tuple[int, int], body: bytes) -> _Answer:
        message = _HEADER.pack(*api, 0, -1) + body
        try:
            async with asyncio.timeout(self._timeout_s):
                self._writer.write(struct.pack(">i", len(message)) + message)
                (length,) = struct.unpack(">i", await self._reader.readexactly(4))
                answer = _Answer(await self._reader.readexactly(length))
        except (OSError, EOFError) as fault:
            raise WireFault(f"127.0.0.1:{self._port} broke off") from fault
        answer.int32()  # correlation id
        return answer


class _Answer:
    """Reads an answer field by field."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def int8(self) -> int:
        return self._number(">b")

    def int16(self) -> int:
        return self._number(">h")

    def int32(self) -> int:
        return self._number(">i")

    def string(self) -> str:
        length = max(self.int16(), 0)  # -1 is null
        begin, self._at = self._at, self._at + length
        return self._content[begin : self._at].decode(errors="replace")

    def array(self, item: Callable[[], T]) -> list[T]:
        return [item() for _ in range(max(self.int32(), 0))]

    def _number(self, form: str) -> int:
        try:
            (number,) = struct.unpack_from(form, self._content, self._at)
        except struct.error as fault:
            raise WireFault("an answer is too short") from fault
        self._at += struct.calcsize(form)
        return int(number)


def _read_metadata(answer: _Answer) -> Metadata:
    def broker() -> int:
        number = answer.int32()
        answer.string()  # host
        answer.int32()  # port
        answer.string()  # rack
        return number

    def topic() -> list[Partition]:
        answer.int16()  # error
        name = answer.string()
        answer.int8()  # internal
        return answer.array(lambda: partition(name))

    def partition(name: str) -> Partition:
        answer.int16()  # error: no leader, which the next fields say as well
        return Partition(
            topic=name,
            number=answer.int32(),
            leader=answer.int32(),
            replicas=frozenset(answer.array(answer.int32)),
            in_sync=frozenset(answer.array(answer.int32)),
        )

    brokers = frozenset(answer.array(broker))
    cluster_id = answer.string()
    answer.int32()  # controller
    topics = answer.array(topic)
    return Metadata(
        cluster_id=cluster_id, brokers=brokers, partitions=tuple(each for topic in topics for each in topic)
    )
