"""Bad input, one row each: the code it gets, the pointer it names, and that nothing was written.

Source: issue 3, "Bad input"; reliability, "Bad input, counted by class".
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import orjson
import pytest

from broker.intake.options import IntakeOptions
from tests.intake.fakes import CODEC, KEYS, A, B, C, World, avro, base64_of, event, example, signed, world

CANARY = "张三丰11010519491231002X"


def with_data(**members: object) -> dict[str, object]:
    return {**example("case.submitted"), **members}


def text_of(made: dict[str, object], old: str, new: str) -> bytes:
    return orjson.dumps(made).decode().replace(old, new, 1).encode("utf-8", "surrogatepass")


SCHEMA_ID, RAW = avro()
OTHER_ID = next(schema.id for schema in CODEC.schemas if schema.type == "case.urged")
FRAME = b"\x00" + SCHEMA_ID.to_bytes(4, "big")

EVENTS: dict[str, tuple[object, str, str]] = {
    # JSON that is not acceptable
    "empty body": (b"", "json-invalid", ""),
    "not JSON": (b"case", "json-invalid", ""),
    "half of it": (orjson.dumps(event())[:-9], "json-invalid", ""),
    "NaN": (text_of(event(sequence="x"), '"x"', "NaN"), "json-invalid", ""),
    "Infinity": (text_of(event(sequence="x"), '"x"', "-Infinity"), "json-invalid", ""),
    "a key twice": (text_of(event(), '"id":', '"id":"m-2","id":'), "json-invalid", ""),
    "a key twice, escaped": (text_of(event(), '"id":', '"\\u0069d":"m-2","id":'), "json-invalid", ""),
    "a key twice within data": (text_of(event(), '"data":{', '"data":{"k":1,"k":2,'), "json-invalid", ""),
    "a lone surrogate": (text_of(event(sequence="x"), '"x"', '"\\ud800"'), "json-invalid", ""),
    "bytes that are not UTF-8": (text_of(event(sequence="x"), "x", "\ud800"), "json-invalid", ""),
    "5,000 digits": (text_of(event(sequence="x"), '"x"', "9" * 5000), "json-invalid", ""),
    "2^64": (text_of(event(sequence="x"), '"x"', "18446744073709551616"), "json-invalid", ""),
    "65 levels": (text_of(event(sequence="x"), '"x"', "[" * 65 + "]" * 65), "json-invalid", ""),
    "100,000 levels": (text_of(event(sequence="x"), '"x"', "[" * 100_000), "json-invalid", ""),
    "a byte order mark": (b"\xef\xbb\xbf" + orjson.dumps(event()), "json-invalid", ""),
    "two texts": (orjson.dumps(event()) * 2, "json-invalid", ""),
    # attributes
    "an array": ([], "event-invalid", ""),
    "a string": ("event", "event-invalid", ""),
    "null": (None, "event-invalid", ""),
    "no specversion": (event(specversion=...), "event-invalid", "/specversion"),
    "CloudEvents 0.3": (event(specversion="0.3"), "event-invalid", "/specversion"),
    "specversion as a number": (event(specversion=1.0), "event-invalid", "/specversion"),
    "no id": (event(id=...), "event-invalid", "/id"),
    "an id with a dot": (event(id="a.b"), "event-invalid", "/id"),
    "an empty id": (event(id=""), "event-invalid", "/id"),
    "an id of 65": (event(id="a" * 65), "event-invalid", "/id"),
    "a number as id": (event(id=7), "event-invalid", "/id"),
    "an id with a line end": (event(id="a\n"), "event-invalid", "/id"),
    "another's source": (event(source=f"/partners/{B}"), "event-invalid", "/source"),
    "the broker's source": (event(source="/tongban"), "event-invalid", "/source"),
    "no source": (event(source=...), "event-invalid", "/source"),
    "no type": (event(type=...), "event-invalid", "/type"),
    "an unknown type": (event(type="cn.tongban.case.burnt"), "type-unknown", "/type"),
    "a type without prefix": (event(type="case.submitted"), "type-unknown", "/type"),
    "a receipt said by a partner": (event(type="cn.tongban.receipt.delivered"), "type-unknown", "/type"),
    "a notice said by a partner": (event(type="cn.tongban.notice.refused"), "type-unknown", "/type"),
    "an operator's act": (event(type="cn.tongban.operator.skipped"), "type-unknown", "/type"),
    "a directory record": (event(type="cn.tongban.directory.applied"), "type-unknown", "/type"),
    "no subject": (event(subject=...), "event-invalid", "/subject"),
    "a subject without partner": (event(subject="2026-1"), "event-invalid", "/subject"),
    "a subject with two slashes": (event(subject=f"{A}/1/2"), "event-invalid", "/subject"),
    "a subject of 65": (event(subject=f"{A}/" + "1" * 65), "event-invalid", "/subject"),
    "a subject as the broker names parts": (event(subject=f"{A}/1~luohu"), "event-invalid", "/subject"),
    "a complaint's subject with a ~": (
        event(subject=f"{A}/1~", type="cn.tongban.complaint.filed", data=example("complaint.filed")),
        "event-invalid",
        "/subject",
    ),
    "a subject with a space": (event(subject=f"{A}/1 2"), "event-invalid", "/subject"),
    "no time": (event(time=...), "event-invalid", "/time"),
    "a time without offset": (event(time="2026-11-22T16:00:00"), "event-invalid", "/time"),
    "a day": (event(time="2026-11-22"), "event-invalid", "/time"),
    "ISO 8601, not RFC 3339": (event(time="20261122T160000Z"), "event-invalid", "/time"),
    "the 30th of February": (event(time="2026-02-30T16:00:00Z"), "event-invalid", "/time"),
    "the year 1": (event(time="0001-01-01T00:00:00+08:00"), "event-invalid", "/time"),
    "the year 9999": (event(time="9999-12-31T23:59:59-08:00"), "event-invalid", "/time"),
    "Arabic digits": (event(time="٢٠٢٦-11-22T16:00:00Z"), "event-invalid", "/time"),
    "no destination": (event(destination=...), "event-invalid", "/destination"),
    "a bare destination": (event(destination=B), "event-invalid", "/destination"),
    "to oneself": (event(destination=f"/partners/{A}"), "event-invalid", "/destination"),
    "to the broker": (event(destination="/tongban"), "event-invalid", "/destination"),
    "no item": (event(item=...), "event-invalid", "/item"),
    "an item of another form": (event(item="a b"), "event-invalid", "/item"),
    "no mode": (event(mode=...), "event-invalid", "/mode"),
    "an unknown mode": (event(mode="by-post"), "event-invalid", "/mode"),
    "a class as text": (event(class_="0"), "event-invalid", "/class"),
    "a receipt's class": (event(class_=2), "event-invalid", "/class"),
    "a class that is true": (event(class_=True), "event-invalid", "/class"),
    "a bare correlationid": (event(correlationid="m-0"), "event-invalid", "/correlationid"),
    "an expirytime of another form": (event(expirytime="soon"), "event-invalid", "/expirytime"),
    "an empty sequence": (event(sequence=""), "event-invalid", "/sequence"),
    "a sequence of 65": (event(sequence="1" * 65), "event-invalid", "/sequence"),
    "a traceparent of another form": (event(traceparent="00-0-0-0"), "event-invalid", "/traceparent"),
    "an attribute we do not carry": (event(partitionkey="x"), "event-invalid", ""),
    "a digest of one's own": (event(digest="sha-256:00"), "event-invalid", ""),
    "null for an attribute": (event(item=None), "event-invalid", "/item"),
    # data
    "no data": ({k: v for k, v in event().items() if k != "data"}, "event-invalid", "/data"),
    "data twice": (event(data={}, data_base64="AA=="), "event-invalid", "/data"),
    "base64 that is none": (event(data_base64="*"), "event-invalid", "/data_base64"),
    "base64 with line ends": (event(data_base64="AA\nAA"), "event-invalid", "/data_base64"),
    "data_base64 as a number": (event(data_base64=1), "event-invalid", "/data_base64"),
    "JSON called Avro": (event(datacontenttype="application/avro"), "event-invalid", "/datacontenttype"),
    "XML": (event(datacontenttype="text/xml"), "event-invalid", "/datacontenttype"),
    "a media type as a list": (event(datacontenttype=[]), "event-invalid", "/datacontenttype"),
    "a specversion as an object": (event(specversion={}), "event-invalid", "/specversion"),
    "a type as a list": (event(type=["x"]), "event-invalid", "/type"),
    "a source as a list": (event(source=[A]), "event-invalid", "/source"),
    "a destination as an object": (event(destination={}), "event-invalid", "/destination"),
    "a schema as a number": (event(dataschema=1), "event-invalid", "/dataschema"),
    "a mode as a list": (event(mode=[]), "event-invalid", "/mode"),
    "a class as a list": (event(class_=[]), "event-invalid", "/class"),
    "a class with a fraction": (event(class_=0.5), "event-invalid", "/class"),
    "an unknown schema": (event(dataschema="/schemas/ids/99999"), "schema-unknown", "/dataschema"),
    "a schema elsewhere": (event(dataschema="https://example.org/s"), "schema-unknown", "/dataschema"),
    "another type's schema": (event(dataschema=f"/schemas/ids/{OTHER_ID}"), "schema-unknown", "/dataschema"),
    "data that is no record": (event(data=[1]), "schema-invalid", "/data"),
    "data of no fields": (event(data={}), "schema-invalid", "/data"),
    "an unknown field": (event(data=with_data(unknown=CANARY)), "schema-invalid", "/data"),
    "no Avro": (event(data_base64=""), "schema-invalid", "/data_base64"),
    "half of the Avro": (
        event(data_base64=base64_of(RAW[: len(RAW) // 2])),
        "schema-invalid",
        "/data_base64",
    ),
    "Avro and a byte": (event(data_base64=base64_of(RAW + b"\x00")), "schema-invalid", "/data_base64"),
    "hostile lengths": (
        event(data_base64=base64_of(b"\xff" * 9 + b"\x01")),
        "schema-invalid",
        "/data_base64",
    ),
    "an endless varint": (event(data_base64=base64_of(b"\x80" * 400)), "schema-invalid", "/data_base64"),
    "framed half": (event(data_base64=base64_of(FRAME + RAW[:3])), "schema-invalid", "/data_base64"),
    "framed with another id": (
        event(data_base64=base64_of(b"\x00" + OTHER_ID.to_bytes(4, "big") + RAW)),
        "schema-invalid",
        "/data_base64",
    ),
    "a number beyond doubles": (
        text_of(event(sequence="x"), '"x"', "9007199254740993"),
        "event-invalid",
        "/data",
    ),
    # what the directory and the life cycle say
    "an unknown partner": (event(destination="/partners/999999"), "partner-unknown", ""),
    "an unknown item": (event(item="no-such-item"), "item-unknown", ""),
    "an item not agreed on": (event(item="000109017000"), "agreement-missing", ""),
    "a mode not agreed on": (event(mode="joint"), "agreement-missing", ""),
    "no agreement at all": (event(destination=f"/partners/{C}"), "agreement-missing", ""),
    "expired": (event(expirytime="2026-01-01T00:00:00Z"), "expired", "/expirytime"),
    "another's case": (event(subject=f"{B}/1"), "party-not-involved", ""),
    "a case that never was": (
        event(type="cn.tongban.case.withdrawn", data=example("case.withdrawn")),
        "case-unknown",
        "",
    ),
}


@pytest.mark.parametrize(("body", "code", "pointer"), EVENTS.values(), ids=EVENTS.keys())
async def test_a_bad_event_is_refused_and_changes_nothing(body: object, code: str, pointer: str) -> None:
    async with world() as here:
        reply = await here.post(body)
        assert reply.code == code, reply.content
        assert reply.status == reply.json["status"]
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.json["type"] == f"/problems/{code}"
        if pointer:
            assert any(each.startswith(pointer) for each in reply.pointers), reply.pointers
        assert here.ledger.records == []
        assert CANARY.encode() not in reply.content
        # It goes on: the next good one is taken.
        assert (await here.post(event())).status == 202


async def test_every_fault_is_named_at_once() -> None:
    async with world() as here:
        reply = await here.post(event(id="a.b", time="now", mode="x", destination="B", data={}))
        assert reply.code == "event-invalid"
        assert {"/id", "/time", "/mode", "/destination"} <= set(reply.pointers)
        assert any(pointer.startswith("/data") for pointer in reply.pointers)


@pytest.mark.parametrize("name", ["id", "subject", "time", "item", "sequence", "type", "destination"])
async def test_what_was_sent_is_never_repeated(name: str) -> None:
    async with world() as here:
        reply = await here.post(event(**{name: f"{CANARY} {CANARY}"}))
        assert 400 <= reply.status < 500
        assert "张三丰" not in reply.content.decode()


@dataclass(frozen=True)
class Request:
    """One bad request: what differs from a good signed one."""

    code: str
    status: int
    headers: Mapping[str, str] | None = None
    body: Callable[[bytes], bytes] = bytes
    skew_s: int = 0
    path: str = "/v1/messages"
    method: str = "POST"


OLD = 10_000
REQUESTS: dict[str, Request] = {
    "no caller": Request("caller-unknown", 401, {"tongban-partner": ""}),
    "an unknown caller": Request("caller-unknown", 401, {"tongban-partner": "999999"}),
    "a caller that is no id": Request("caller-unknown", 401, {"tongban-partner": "'; drop table"}),
    "another caller's signature": Request("signature-invalid", 401, {"tongban-partner": B}),
    "no signature": Request("signature-invalid", 401, {"webhook-signature": ""}),
    "no webhook-id": Request("signature-invalid", 401, {"webhook-id": ""}),
    "no timestamp": Request("signature-invalid", 401, {"webhook-timestamp": ""}),
    "a timestamp of words": Request("header-invalid", 400, {"webhook-timestamp": "yesterday"}),
    "a timestamp with a sign": Request("header-invalid", 400, {"webhook-timestamp": "+1"}),
    "a timestamp of 400 digits": Request("header-invalid", 400, {"webhook-timestamp": "1" * 400}),
    "another id than signed": Request("signature-invalid", 401, {"webhook-id": "w2"}),
    "an id with a dot": Request("signature-invalid", 401, {"webhook-id": "w.1"}),
    "an id with a semicolon": Request("signature-invalid", 401, {"webhook-id": "w;count=9"}),
    "a signature of no version": Request("signature-invalid", 401, {"webhook-signature": "AAAA"}),
    "a signature of zeros": Request("signature-invalid", 401, {"webhook-signature": f"v1a,{'A' * 86}=="}),
    "a v1 by one who has no secret": Request(
        "signature-invalid", 401, {"webhook-signature": f"v1,{'A' * 43}="}
    ),
    "a flipped body": Request("signature-invalid", 401, body=lambda body: body.replace(b"m-1", b"m-2")),
    "a body and a space": Request("signature-invalid", 401, body=lambda body: body + b" "),
    "too old": Request("signature-invalid", 401, skew_s=-310),
    "too new": Request("signature-invalid", 401, skew_s=310),
    "plain JSON": Request("media-type-unsupported", 415, {"Content-Type": "application/json"}),
    "a form": Request("media-type-unsupported", 415, {"Content-Type": "application/x-www-form-urlencoded"}),
    "brotli": Request("media-type-unsupported", 415, {"Content-Encoding": "br"}),
    "deflate": Request("media-type-unsupported", 415, {"Content-Encoding": "deflate"}),
    "gzip twice": Request("media-type-unsupported", 415, {"Content-Encoding": "gzip, gzip"}),
    "gzip that is none": Request("json-invalid", 400, {"Content-Encoding": "gzip"}),
    "half of a gzip": Request(
        "json-invalid", 400, {"Content-Encoding": "gzip"}, body=lambda body: gzip.compress(body)[:-9]
    ),
    "a gzip and more": Request(
        "json-invalid", 400, {"Content-Encoding": "gzip"}, body=lambda body: gzip.compress(body) + b"x"
    ),
    "a gzip bomb": Request(
        "too-large", 413, {"Content-Encoding": "gzip"}, body=lambda _: gzip.compress(b" " * 200_000_000, 9)
    ),
    "a zlib stream": Request("json-invalid", 400, {"Content-Encoding": "gzip"}, body=zlib.compress),
    "more than any body": Request("too-large", 413, body=lambda _: b" " * (8 * 1024 * 1024 + 1)),
    "binary mode": Request("not-allowed", 403, {"ce-specversion": "1.0"}),
    "another method": Request("method-not-allowed", 405, method="DELETE"),
    "another path": Request("not-found", 404, path="/v1/nothing"),
    "a path out of the tree": Request("not-found", 404, path="/v1/../etc/passwd"),
    "unsigned receipts": Request("signature-invalid", 401, {"webhook-signature": ""}, path="/v1/receipts"),
}


async def send(here: World, request: Request) -> tuple[int, object, Mapping[str, str]]:
    body = orjson.dumps(event())
    headers = signed(body, A, here.clock()) | {"Content-Type": "application/cloudevents+json"}
    headers |= dict(request.headers or {})
    if request.skew_s:
        headers["webhook-timestamp"] = str(int(here.clock().timestamp()) + request.skew_s)
    reply = await here.send(request.method, request.path, body=request.body(body), headers=headers)
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json["status"] == reply.status
    return reply.status, reply.code, reply.headers


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
async def test_a_bad_request_is_refused_and_changes_nothing(request_: Request) -> None:
    async with world() as here:
        status, code, headers = await send(here, request_)
        assert (status, code) == (request_.status, request_.code)
        if status == 405:
            assert headers["Allow"] == "POST"
        if status == 401:
            assert headers["WWW-Authenticate"]
        assert here.ledger.records == []


async def test_a_message_and_a_batch_have_their_own_limits() -> None:
    async with world(IntakeOptions(message_bytes=2048, batch_messages=2)) as here:
        large = event(data=with_data(unknown="x" * 3000))
        assert (await here.post(large)).code == "too-large"
        batch = [event(id=str(n), subject=f"{A}/{n}") for n in range(3)]
        reply = await here.post(batch, media_type="application/cloudevents-batch+json")
        assert (reply.status, reply.code) == (413, "too-large")
        mixed = await here.post([event(), large], media_type="application/cloudevents-batch+json")
        results = mixed.json["results"]
        assert isinstance(results, list)
        assert [each["status"] for each in results] == [202, 413]


@pytest.mark.parametrize("body", [b"[]", b"{}", b'"x"', b"[" + b" " * 80 + orjson.dumps(event()) + b"]"])
async def test_a_bad_batch_is_refused_whole(body: bytes) -> None:
    async with world() as here:
        reply = await here.post(body, media_type="application/cloudevents-batch+json")
        assert reply.status == 400
        assert here.ledger.records == []


async def test_an_old_key_no_longer_signs_once_the_directory_has_dropped_it() -> None:
    async with world() as here:
        assert (await here.post(event())).status == 202
        partner = here.directory.directory.partners[A]
        text = KEYS[B].verify_key.to_text()
        changed = here.directory.directory
        keys = type(partner.keys)(verify=(text,), token_sha256=partner.keys.token_sha256)
        here.directory.directory = replace(
            changed, version="other", partners={**changed.partners, A: replace(partner, keys=keys)}
        )
        assert (await here.post(event(id="m-2"))).code == "signature-invalid"
