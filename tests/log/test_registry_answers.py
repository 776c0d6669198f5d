"""The registry's answers, read by a client that is not ours: confluent-kafka decodes what we write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from broker.core.problems import Refusal
from broker.log.registry.registry_answers import MEDIA_TYPE, answer_compatibility, answer_read
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import FRAME_BYTES, Codec
from broker.log.values.compartment import seal_value
from tests.schemas.examples import VALID, Example

CODEC: Final = Codec(SchemaSet.load())
SUBJECT: Final = "cn.tongban.case.Decided"
VALUE: Final = SerializationContext("tongban.exchange", MessageField.VALUE)


@pytest.fixture(scope="module")
def registry() -> Iterator[SchemaRegistryClient]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answer_read(CODEC.schemas, unquote(urlsplit(self.path).path))
            body = json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", MEDIA_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield SchemaRegistryClient({"url": f"http://127.0.0.1:{server.server_port}"})
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("example", VALID, ids=str)
def test_confluents_deserializer_reads_every_clear_field(
    registry: SchemaRegistryClient, example: Example
) -> None:
    schema = CODEC.schemas.latest(example.type)
    assert schema is not None
    datum = CODEC.from_json(schema, example.data)
    assert not isinstance(datum, Refusal)
    value = CODEC.encode(example.type, datum)
    if schema.has_compartment:
        value = seal_value(CODEC, value, b"verbatim", key=b"k" * 32, nonce=b"n" * 12, aad=b"")
    found: Any = AvroDeserializer(registry)(value, VALUE)
    assert {**found, "sealed": None} == {**datum, "sealed": None}
    if schema.has_compartment:
        assert found["sealed"]["algorithm"] == "AES_256_GCM"


def test_what_confluents_serializer_writes_is_taken(registry: SchemaRegistryClient) -> None:
    schema = CODEC.schemas.latest("case.decided")
    assert schema is not None
    settings = {
        "auto.register.schemas": False,
        "use.latest.version": True,
        "subject.name.strategy": record_subject_name_strategy,
    }
    datum = {
        "outcome": "denied",
        "decided_at": datetime(2026, 3, 5, tzinfo=UTC),
        "reason": "不符合条件",
        "legal_basis": None,
        "sealed": {"applicant": {"name": "张三（示例）", "id_number": "x", "phone": None}, "agent": None,
                   "documents": [], "form": {"a": "b"}},
    }  # fmt: skip
    value = AvroSerializer(registry, schema.text, conf=settings)(datum, VALUE)
    assert isinstance(value, bytes)
    assert value == CODEC.encode("case.decided", datum)
    assert CODEC.check(schema, value[FRAME_BYTES:]) == datum


def test_the_client_finds_subjects_versions_and_configuration(registry: SchemaRegistryClient) -> None:
    schema = CODEC.schemas.latest("case.decided")
    assert schema is not None
    assert registry.get_subjects() == CODEC.schemas.subjects()
    assert registry.get_versions(SUBJECT) == [1]
    latest = registry.get_latest_version(SUBJECT)
    assert (latest.schema_id, latest.version, latest.subject) == (schema.id, 1, SUBJECT)
    assert registry.get_version(SUBJECT, 1).schema_id == schema.id
    assert str(registry.get_compatibility()) == "FULL_TRANSITIVE"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/schemas/types", ["AVRO"]),
        ("/schemas/ids/1/subjects", ["cn.tongban.case.Submitted"]),
        ("/schemas/ids/1/versions", [{"subject": "cn.tongban.case.Submitted", "version": 1}]),
        (f"/subjects/{SUBJECT}/versions", [1]),
        (f"/config/{SUBJECT}", {"compatibilityLevel": "FULL_TRANSITIVE"}),
        ("/mode", {"mode": "READONLY"}),
    ],
)
def test_small_answers(path: str, body: object) -> None:
    answer = answer_read(CODEC.schemas, path)
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    "path", ["/schemas/ids/1/schema", "/subjects/cn.tongban.case.Submitted/versions/1/schema"]
)
def test_the_bare_schema_is_an_answer_too(path: str) -> None:
    answer = answer_read(CODEC.schemas, path)
    schema = CODEC.schemas.by_id(1)
    assert schema is not None
    assert answer.body == json.loads(schema.text)


@pytest.mark.parametrize(
    ("path", "error_code"),
    [
        ("/", 404),
        ("/schemas", 404),
        ("/schemas/ids/1/more", 404),
        ("/schemas/ids/0", 40403),
        ("/schemas/ids/999", 40403),
        ("/schemas/ids/x", 40403),
        ("/schemas/ids/" + "9" * 5000, 40403),
        ("/subjects/none/versions", 40401),
        ("/subjects/none/versions/1", 40401),
        (f"/subjects/{SUBJECT}/versions/2", 40402),
        (f"/subjects/{SUBJECT}/versions/x", 40402),
        (f"/subjects/{SUBJECT}/versions/x/schema", 40402),
        ("/config/none", 40401),
    ],
)
def test_what_is_not_there_has_confluents_error_code(path: str, error_code: int) -> None:
    answer = answer_read(CODEC.schemas, path)
    assert answer.status == 404
    assert isinstance(answer.body, dict)
    assert answer.body["error_code"] == error_code


def test_compatibility_is_answered_for_a_candidate() -> None:
    schema = CODEC.schemas.latest("case.decided")
    assert schema is not None
    same = answer_compatibility(CODEC.schemas, SUBJECT, {"schema": schema.text})
    assert same.body == {"is_compatible": True, "messages": []}
    other = answer_compatibility(
        CODEC.schemas, SUBJECT, {"schema": schema.text.replace("decided_at", "done_at")}
    )
    assert isinstance(other.body, dict)
    assert other.body["is_compatible"] is False
    assert len(other.body["messages"]) == 2


@pytest.mark.parametrize(
    "body", [{}, {"schema": 1}, {"schema": "{"}, {"schema": '{"type":"array","items":"null"}'}]
)
def test_a_candidate_that_is_no_safe_schema_is_422(body: dict[str, object]) -> None:
    answer = answer_compatibility(CODEC.schemas, SUBJECT, body)
    assert answer.status == 422
