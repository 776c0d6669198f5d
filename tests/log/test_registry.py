"""The client of a schema registry, against a small one of our own with faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from broker.errors import Unreachable, WrongUse
from broker.log.options import KafkaOptions
from broker.log.registry.registry import Registry, open_codec
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec

SCHEMA = '{"type": "record", "name": "cn.tongban.Case", "fields": []}'


class FakeRegistry:
    """Speaks the part of Confluent's API that we use. ``fault`` replaces every answer while it is set."""

    def __init__(self) -> None:
        self.schemas: list[str] = []
        self.versions: dict[str, list[int]] = {}
        self.fault: web.Response | None = None
        self.hangs = False

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/base/subjects/{subject}/versions", self.register)
        app.router.add_get("/base/subjects/{subject}/versions", self.list_versions)
        app.router.add_get("/base/schemas/ids/{id}", self.schema)
        app.router.add_get("/base/subjects", self.subjects)
        return app

    async def register(self, request: web.Request) -> web.Response:
        text = (await request.json())["schema"]
        if "unlike" in text:
            return web.json_response({"error_code": 409, "message": "incompatible: field gone"}, status=409)
        if text not in self.schemas:
            self.schemas.append(text)
        known = self.versions.setdefault(request.match_info["subject"], [])
        known.append(len(known) + 1)
        return await self._say({"id": self.schemas.index(text) + 1})

    async def schema(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        if number > len(self.schemas):
            return web.json_response({"error_code": 40403, "message": "Schema not found"}, status=404)
        return await self._say({"schema": self.schemas[number - 1]})

    async def subjects(self, _: web.Request) -> web.Response:
        return await self._say(sorted(self.versions))

    async def list_versions(self, request: web.Request) -> web.Response:
        return await self._say(self.versions[request.match_info["subject"]])

    async def _say(self, answer: object) -> web.Response:
        if self.hangs:
            await asyncio.sleep(5)
        return self.fault or web.json_response(answer)


@pytest.fixture
async def fake() -> AsyncIterator[tuple[FakeRegistry, str]]:
    registry = FakeRegistry()
    server = TestServer(registry.app())
    await server.start_server()
    yield registry, str(server.make_url("/base/"))
    await server.close()


async def test_registers_and_reads_back(fake: tuple[FakeRegistry, str]) -> None:
    async with Registry(fake[1]) as registry:
        first = await registry.register("cn.tongban.Case", SCHEMA)
        assert await registry.register("cn.tongban.Case", SCHEMA) == first
        assert await registry.register("a/b c", '"string"') == first + 1
        assert await registry.text(first) == SCHEMA
        assert await registry.subjects() == ["a/b c", "cn.tongban.Case"]
        assert await registry.versions("cn.tongban.Case") == [1, 2]


async def test_a_refusal_is_wrong_use_in_its_own_words(fake: tuple[FakeRegistry, str]) -> None:
    async with Registry(fake[1]) as registry:
        with pytest.raises(WrongUse, match=r"409.*incompatible: field gone"):
            await registry.register("s", '{"unlike": 1}')
        with pytest.raises(WrongUse, match="Schema not found"):
            await registry.text(99)


@pytest.mark.parametrize(
    "fault",
    [
        lambda: web.Response(status=503, text="{}"),
        lambda: web.Response(status=401, text="{}"),
        lambda: web.Response(status=429, text="{}"),
        lambda: web.Response(text="<html>it works</html>"),
        lambda: web.json_response({"unexpected": 1}),
        lambda: web.json_response({"id": "one", "schema": 1}),
        lambda: web.Response(status=302, headers={"Location": "/base/subjects"}),
        lambda: web.Response(body=b'["' + b"x" * 5_000_000 + b'"]'),
    ],
)
async def test_what_is_not_a_registry_is_unreachable(fake: tuple[FakeRegistry, str], fault: object) -> None:
    fake[0].schemas.append(SCHEMA)
    async with Registry(fake[1]) as registry:
        for ask in (lambda: registry.text(1), registry.subjects):
            fake[0].fault = fault()  # type: ignore[operator]
            with pytest.raises(Unreachable):
                await ask()


async def test_silence_and_absence(fake: tuple[FakeRegistry, str]) -> None:
    fake[0].hangs = True
    async with Registry(fake[1], timeout_s=0.2) as registry:
        with pytest.raises(Unreachable, match="TimeoutError"):
            await registry.subjects()
    async with Registry("http://user:hunter2@127.0.0.1:1") as registry:
        with pytest.raises(Unreachable) as away:
            await registry.subjects()
    assert "127.0.0.1:1" in str(away.value)
    assert "hunter2" not in str(away.value)


async def test_with_a_registry_configured_records_carry_its_ids(fake: tuple[FakeRegistry, str]) -> None:
    async with Registry(fake[1]) as registry:
        await registry.register("somebody-else", '"string"')
    codec = await open_codec(KafkaOptions(registry_url=fake[1]))
    ours = Codec(SchemaSet.load())
    datum = {"urged_at": datetime(2026, 11, 22, tzinfo=UTC), "reason": "x", "answer_by": None, "sealed": None}
    value = codec.encode("case.urged", datum)
    async with Registry(fake[1]) as registry:
        text = await registry.text(int.from_bytes(value[1:5], "big"))
    assert "Urged" in text
    assert value[1:5] != ours.encode("case.urged", datum)[1:5]
    assert codec.decode(value).datum == ours.decode(ours.encode("case.urged", datum)).datum
    again = await open_codec(KafkaOptions(registry_url=fake[1]))
    assert again.encode("case.urged", datum) == value, "the same ids at every start"
