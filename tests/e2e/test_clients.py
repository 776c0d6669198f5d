"""Clients that are not ours understand what we write: Kafka's own tools, CloudEvents' SDK, webhook verifiers."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiohttp import web
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from cloudevents.core.formats.base import Format
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from nacl.signing import VerifyKey
from standardwebhooks import Webhook

from broker.core.ids import CaseId
from broker.log.admin.topics import ledger_partition
from deploy.kafka.cluster import EmbeddedKafka
from tests.e2e.city import City
from tests.e2e.road import ITEM, A, B, Road, directory_in_force, until, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLEAR_OF_A_SUBMISSION = {"item_name", "mode", "title", "submitted_at", "agent", "materials"}


@dataclass(slots=True)
class Received:
    """What a partner that checks by other people's code was sent: headers and verbatim bodies."""

    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def inbox(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), await request.read()))
        return web.Response(status=204)


@dataclass(frozen=True, slots=True)
class World:
    road: Road
    a: City
    received: Received
    secret: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A sends, B is reached with both signatures, v1a and v1."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    received = Received()
    app = web.Application()
    app.router.add_post("/inbox", received.inbox)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with EmbeddedKafka() as kafka, City(A) as a, City(B) as b:
        road = Road(tmp_path_factory.mktemp("clients"), kafka.bootstrap)
        try:
            road.write_config()
            write(road.folder / "secrets.toml", f'b-shared = "{secret}"\n')
            road.config.write_text(
                road.config.read_text().replace(
                    "[keys]\n", f'[keys]\nsecrets_file = "{road.folder}/secrets.toml"\n'
                )
            )
            road.tongban("setup")
            b.port = runner.addresses[0][1]
            document = b.document().replace("[keys]\n", '[keys]\nsecret = "b-shared"\n')
            document = document.replace('kind = "http"\n', 'kind = "http"\nsign = ["v1a", "v1"]\n')
            road.apply_directory({A: a.document("mailbox"), B: document}, [(A, B)])
            a.broker = road.url
            road.serve()
            await road.ready()
            await directory_in_force(a)
            for number in range(20):
                case = f"{A}/clients-{number}"
                event = a.event("case.submitted", case, f"clients-{number}", B, item=ITEM, mode="collected")
                assert (await a.submit_surely(event)).status == 202
            refused = a.event("case.rated", f"{A}/clients-0", "clients-refused", B)
            await a.submit_surely(refused)
            await until(lambda: len(received.requests) == 20, what="20 deliveries")
            yield World(road, a, received, secret)
        finally:
            road.stop()
            await runner.cleanup()


def read_ledger(bootstrap: str, enough: int) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "not-ours", "enable.auto.commit": False})
    partitions = consumer.list_topics("tongban.exchange", timeout=10).topics["tongban.exchange"].partitions
    consumer.assign([TopicPartition("tongban.exchange", each, 0) for each in partitions])
    found: list[Message] = []
    quiet_until = time.monotonic() + 15
    while time.monotonic() < quiet_until:
        message = consumer.poll(0.5)
        if message is None:
            if len(found) >= enough:
                break
            continue
        assert message.error() is None
        found.append(message)
    consumer.close()
    return found


def headers_of(message: Message) -> dict[str, str | bytes | None]:
    found = message.headers()
    assert isinstance(found, list)
    return dict(found)


class _Untouched(Format):
    """The SDK's format for data that stays as it is."""

    def read(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        raise NotImplementedError

    def write(self, *args: object, **kwargs: object) -> bytes:
        raise NotImplementedError

    def write_data(self, data: object, datacontenttype: str | None) -> bytes:
        del datacontenttype
        assert isinstance(data, bytes)
        return data

    def read_data(self, body: bytes, datacontenttype: str | None) -> bytes:
        del datacontenttype
        return body

    def get_content_type(self) -> str:
        return "application/avro"


async def test_kafka_s_own_tools_decode_every_clear_field_of_every_record(world: World) -> None:
    messages = await asyncio.to_thread(read_ledger, world.road.bootstrap, 44)
    registry = SchemaRegistryClient({"url": world.road.url})
    deserialize = AvroDeserializer(registry)
    seen: dict[str, int] = {}
    for message in messages:
        headers = headers_of(message)
        context = SerializationContext("tongban.exchange", MessageField.VALUE)
        datum = await asyncio.to_thread(deserialize, message.value(), context)
        assert isinstance(datum, dict)
        name = headers["ce_type"].decode().removeprefix("cn.tongban.")  # type: ignore[union-attr]
        seen[name] = seen.get(name, 0) + 1
        if name == "case.submitted":
            assert datum.keys() >= CLEAR_OF_A_SUBMISSION
            assert datum["item_name"]
            assert "ciphertext" in datum["sealed"]
            assert "applicant" not in datum["sealed"]
    assert seen["case.submitted"] == 20
    assert seen["receipt.delivered"] == 20
    assert seen["directory.applied"] == 4


async def test_the_cloudevents_sdk_reads_the_headers_of_every_record(world: World) -> None:
    for message in await asyncio.to_thread(read_ledger, world.road.bootstrap, 44):
        headers = {name: value for name, value in headers_of(message).items() if isinstance(value, bytes)}
        value = message.value()
        assert isinstance(value, bytes)
        event = from_binary_event(KafkaMessage(headers=headers, key=message.key(), value=value), _Untouched())
        assert event.get_type().startswith("cn.tongban.")
        assert event.get_source() in {f"/partners/{A}", "/tongban"}
        assert event.get_data() == value
        case = event.get_subject()
        assert case is not None
        assert message.key() == case.encode()
        if not case.startswith("000000/"):
            assert message.partition() == ledger_partition(CaseId(case), 4)


async def test_a_standard_webhooks_verifier_of_another_maker_accepts_what_a_partner_receives(
    world: World,
) -> None:
    verifier = Webhook(world.secret)
    for headers, body in world.received.requests:
        verifier.verify(body, {name.lower(): value for name, value in headers.items()})


async def test_v1a_verifies_with_plain_ed25519(world: World) -> None:
    key = VerifyKey(world.road.signing_key())
    for headers, body in world.received.requests:
        lower = {name.lower(): value for name, value in headers.items()}
        (signature,) = [
            each.removeprefix("v1a,")
            for each in lower["webhook-signature"].split(" ")
            if each.startswith("v1a,")
        ]
        key.verify(
            f"{lower['webhook-id']}.{lower['webhook-timestamp']}.".encode() + body,
            base64.b64decode(signature),
        )


async def test_the_registry_serves_every_subject_that_the_ledger_uses(world: World) -> None:
    registry = SchemaRegistryClient({"url": world.road.url})
    subjects = await asyncio.to_thread(registry.get_subjects)
    assert "cn.tongban.case.Submitted" in subjects
    latest = await asyncio.to_thread(registry.get_latest_version, "cn.tongban.case.Submitted")
    assert latest.schema.schema_type == "AVRO"
