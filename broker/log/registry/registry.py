"""Client of a schema registry that speaks Confluent's API (Karapace, Apicurio, Confluent).

Only used where ``kafka.registry_url`` is set: without one the broker serves the read part of the same API itself.
Source: Confluent Schema Registry API reference, "Subjects" and "Schemas".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, urlsplit

import aiohttp

from broker.errors import Unreachable, WrongUse
from broker.log.options import KafkaOptions
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec

_CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_ANSWER_BYTES: Final = 4 * 1024 * 1024


class Registry:
    """``async with Registry(url) as registry``.

    Every call raises :class:`Unreachable` when the registry does not answer as one, and :class:`WrongUse` when it
    refuses (an incompatible or invalid schema, an unknown id or subject): its own words are in the message.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        self._url = url.rstrip("/")
        self._name = urlsplit(url).netloc.rpartition("@")[2]  # a URL may hold a password; a message must not
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def register(self, subject: str, text: str) -> int:
        """Register an Avro schema under ``subject``; its id, the same each time for the same schema."""
        answer = await self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": text})
        match answer:
            case {"id": int(schema_id)}:
                return schema_id
        raise self._strange()

    async def text(self, schema_id: int) -> str:
        """The schema with this id."""
        match await self._ask("GET", f"/schemas/ids/{schema_id}"):
            case {"schema": str(text)}:
                return text
        raise self._strange()

    async def subjects(self) -> list[str]:
        """The names of all subjects."""
        answer = await self._ask("GET", "/subjects")
        if not isinstance(answer, list):
            raise self._strange()
        return [str(name) for name in answer]

    async def versions(self, subject: str) -> list[int]:
        """The versions of ``subject``, oldest first."""
        answer = await self._ask("GET", f"/subjects/{quote(subject, safe='')}/versions")
        if not isinstance(answer, list):
            raise self._strange()
        return [int(version) for version in answer]

    async def _ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> object:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=False)
        try:
            async with self._session.request(
                method,
                self._url + path,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Accept": _CONTENT_TYPE, "Content-Type": _CONTENT_TYPE},
                allow_redirects=False,
            ) as response:
                status, raw = response.status, await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise Unreachable(f"the schema registry at {self._name}: {type(fault).__name__}") from fault
        return self._answer(status, raw)

    def _answer(self, status: int, raw: bytes) -> object:
        try:
            answer: object = json.loads(raw)
        except ValueError as fault:
            raise self._strange() from fault
        if status == 200:
            return answer
        if 400 <= status < 500 and status not in (401, 403, 408, 429):
            words = answer.get("message") if isinstance(answer, dict) else None
            raise WrongUse(f"the schema registry refused ({status}): {words}")
        raise Unreachable(f"the schema registry at {self._name} answered {status}")

    def _strange(self) -> Unreachable:
        return Unreachable(f"what answers at {self._name} is not a schema registry")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, but never more than 4 MiB of it: a truncated one does not parse."""
    raw = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        raw += chunk
        if len(raw) > _ANSWER_BYTES:
            break
    return bytes(raw)


async def registered(schemas: SchemaSet, registry: Registry) -> SchemaSet:
    """The same schemas under the ids that the registry gives them; registers those that it does not have.

    Raises :class:`WrongUse` when it refuses one, :class:`Unreachable` when it is away.
    """
    by_age = sorted(schemas, key=lambda each: each.version)
    return SchemaSet([replace(each, id=await registry.register(each.subject, each.text)) for each in by_age])


async def open_codec(options: KafkaOptions) -> Codec:
    """The codec over this release's schemas: under the registry's ids where one is configured, else under ours."""
    schemas = SchemaSet.load()
    if options.registry_url is None:
        return Codec(schemas)
    async with Registry(options.registry_url) as registry:
        return Codec(await registered(schemas, registry))
