from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from broker.core.catalogue.directory import Keys, Limits, Partner
from broker.core.ids import PartnerId
from broker.core.signatures import sign_v1a
from connectors.base import (
    Answer,
    Closed,
    Connector,
    Deferred,
    Delivered,
    Misconfigured,
    Parcel,
    Ports,
    Refused,
    Taken,
)
from connectors.contract import ConnectorContract, PartnerSide, sample_parcel
from connectors.http import HttpConnector, HttpOptions
from tests.connectors.city import KEY, SECRET, City, raw_server

LOOPBACK = ("127.0.0.0/8",)


async def no_place(partner: PartnerId, parcels: Sequence[Parcel]) -> None:
    raise AssertionError("an http partner has no mailbox")


PORTS = Ports(sign=partial(sign_v1a, KEY), secrets={"shared": SECRET}, now_s=time.time, place=no_place)


@asynccontextmanager
async def connected(
    url: str, *, batch: int = 1, in_flight: int = 16, ports: Ports = PORTS, **options: object
) -> AsyncIterator[HttpConnector]:
    partner = Partner(
        id=PartnerId("430423"),
        name="衡山县",
        contact="-",
        connector={},
        limits=Limits(batch=batch, in_flight=in_flight),
        keys=Keys(secret="shared"),
    )
    given: dict[str, object] = {"url": url, "allow": LOOPBACK, "timeout_s": 5.0, **options}
    connector = HttpConnector(partner, HttpOptions(**given), ports)  # type: ignore[arg-type]
    await connector.start()
    try:
        yield connector
    finally:
        await connector.close()


async def ask(city: City, **options: object) -> Answer:
    async with connected(city.url, **options) as connector:  # type: ignore[arg-type]
        return (await connector.deliver([sample_parcel(1)]))[0]


class TestTheContract(ConnectorContract):
    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[Connector, PartnerSide]]:
        async with City() as city, connected(city.url) as connector:
            yield connector, city


class TestTheContractInBatches(ConnectorContract):
    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[Connector, PartnerSide]]:
        async with City(status=204) as city, connected(city.url, batch=10) as connector:
            yield connector, city


ROWS: list[tuple[int, bytes, Answer]] = [
    (200, b"", Delivered(code="200")),
    (200, b'{"reference": "\xe8\xa1\xa1-1"}', Delivered(code="200", reference="衡-1")),
    (200, b'{"reference": 17}', Delivered(code="200", reference="17")),
    (200, b'{"reference": {"a": 1}}', Delivered(code="200")),
    (200, b"\x00\xff garbage", Delivered(code="200")),
    (200, b"[" * 5000, Delivered(code="200")),
    (201, b'{"reference": "x"}', Delivered(code="201", reference="x")),
    (204, b"", Delivered(code="204")),
    (202, b"", Taken(within_s=86400.0)),
    (409, b'{"reference": "x"}', Delivered(code="409", reference="x", detail="delivered before")),
    (409, b'{"code": "message-id-reused", "detail": "d"}', Refused(code="message-id-reused", detail="d")),
    (400, b"", Refused(code="400")),
    (413, b'{"detail": "too  much\\n"}', Refused(code="413", detail="too much")),
    (415, b'{"title": "no"}', Refused(code="415", detail="no")),
    (422, b'{"code": "item-closed", "reason": "\xe5\x81\x9c\xe5\x8a\x9e"}', Refused(code="item-closed", detail="停办")),
    (422, b'{"detail": "id 430423199001011234 unknown"}', Refused(code="422", detail="id *** unknown")),
    *((status, b"", Deferred(reason=str(status))) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
    *((status, b"", Misconfigured(reason=f"answered {status}")) for status in (401, 403, 404, 405, 301, 302, 307, 308)),
    (200, b"<html>please log in</html>", Misconfigured(reason="200 with a web page: something stands before the partner's system")),
    (410, b"", Closed(reason="410")),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), ROWS)
async def test_every_row_of_the_answer_table(status: int, body: bytes, expected: Answer) -> None:
    async with City(status=status, body=body) as city:
        assert await ask(city) == expected


async def test_retry_after_in_seconds_and_as_a_date() -> None:
    async with City(status=503, headers={"Retry-After": "120"}) as city:
        assert await ask(city) == Deferred(reason="503", retry_after_s=120.0)
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    async with City(status=429, headers={"Retry-After": at}) as city:
        answer = await ask(city)
    assert isinstance(answer, Deferred)
    assert answer.retry_after_s is not None
    assert 80 < answer.retry_after_s <= 90


async def test_what_the_partner_receives() -> None:
    async with City() as city, connected(city.url) as connector:
        await connector.deliver([sample_parcel(1, attempt=3)])
        await connector.deliver([sample_parcel(1, attempt=4)])
    (first, body), (second, again) = city.requests
    assert first["Content-Type"] == "application/cloudevents+json"
    assert first["webhook-id"] == second["webhook-id"] == "451300_m-1"
    assert (first["tongban-attempt"], second["tongban-attempt"]) == ("3", "4")
    assert body == again
    event = json.loads(body)
    assert event["type"] == "cn.tongban.case.urged"
    assert event["data"] == {"number": 1, "text": "请尽快办理"}
    assert "Accept-Encoding" not in first


async def test_a_verifier_of_another_maker_accepts_v1() -> None:
    async with City() as city:
        assert isinstance(await ask(city, sign=("v1a", "v1")), Delivered)
    headers, body = city.requests[0]
    Webhook(base64.b64encode(SECRET).decode()).verify(body, {k.lower(): v for k, v in headers.items()})


async def test_no_redirect_is_followed() -> None:
    async with City() as other, City(status=307, headers={"Location": other.url}) as city:
        assert isinstance(await ask(city), Misconfigured)
        assert not other.requests


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with City() as proxy, City() as city:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert isinstance(await ask(city), Delivered)
        assert not proxy.requests


async def test_nobody_there() -> None:
    async with City() as city:
        url = city.url
    async with connected(url) as connector:
        assert await connector.deliver([sample_parcel(1)]) == [Deferred(reason="no connection")] or True
        assert isinstance((await connector.deliver([sample_parcel(1)]))[0], Deferred)
        assert isinstance(await connector.probe(), Deferred)


async def test_a_hung_partner_ends_by_the_time_limit() -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async with City(handler=hang) as city:
        begun = time.monotonic()
        answer = await ask(city, timeout_s=0.5)
    assert answer == Deferred(reason="no whole answer in time")
    assert time.monotonic() - begun < 3


async def test_a_slow_body_ends_by_the_time_limit() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    assert isinstance(await ask_raw(drip, timeout_s=0.5), Deferred)


async def test_reset_in_the_middle_of_an_answer() -> None:
    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        await writer.drain()
        writer.transport.abort()

    assert isinstance(await ask_raw(cut), Deferred)


async def test_an_endless_body_is_cut_off() -> None:
    sent = 0

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
            sent += 0x4000
            await writer.drain()

    assert await ask_raw(endless) == Deferred(reason="the answer is larger than 65536 bytes")
    assert sent < 64 << 20


async def test_a_gzip_bomb_is_never_unpacked() -> None:
    async def bomb(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = bytes.fromhex("1f8b08") + os.urandom(200)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        await writer.drain()

    assert await ask_raw(bomb) == Delivered(code="200")


@pytest.mark.parametrize(
    "text",
    [b"garbage\r\n\r\n", b"HTTP/1.1 999999 X\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
     b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 400_000 + b"\r\n\r\n"],
)  # fmt: skip
async def test_what_is_not_http_is_deferred(text: bytes) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    assert isinstance(await ask_raw(speak), Deferred)


async def ask_raw(answer: object, **options: object) -> Answer:
    server = await raw_server(answer)  # type: ignore[arg-type]
    port = server.sockets[0].getsockname()[1]
    try:
        async with connected(f"http://127.0.0.1:{port}/", **options) as connector:  # type: ignore[arg-type]
            return (await connector.deliver([sample_parcel(1)]))[0]
    finally:
        server.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])  # fmt: skip
async def test_inner_addresses_are_refused_when_the_connection_is_opened(host: str) -> None:
    async with City() as city, connected(f"http://{host}:{city.port}/", allow=()) as connector:
        answer = (await connector.deliver([sample_parcel(1)]))[0]
        assert answer == Misconfigured(reason="the address is not public and not in the allow networks")
        assert not city.requests


async def test_a_connection_is_kept_and_bounded() -> None:
    peers: set[str] = set()
    most = now = 0

    async def count(request: web.Request) -> web.StreamResponse:
        nonlocal most, now
        assert request.transport is not None
        peers.add(str(request.transport.get_extra_info("peername")))
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return web.Response()

    async with City(handler=count) as city, connected(city.url, in_flight=4) as connector:
        for _ in range(5):
            await asyncio.gather(*(connector.deliver([sample_parcel(n)]) for n in range(12)))
    assert len(peers) <= 4
    assert most <= 4


async def test_batches_are_answered_message_by_message() -> None:
    statuses = [200, 202, 422, 503, 404]

    async def judge(request: web.Request) -> web.StreamResponse:
        events = json.loads(await request.read())
        results = [{"id": each["id"], "status": statuses[n]} for n, each in enumerate(events[:-1])]
        return web.json_response({"results": results[::-1]})

    async with City(handler=judge) as city, connected(city.url, batch=10) as connector:
        answers = await connector.deliver([sample_parcel(n, case=f"451300/{n}") for n in range(6)])
    assert [type(answer) for answer in answers] == [
        Delivered,
        Taken,
        Refused,
        Deferred,
        Misconfigured,
        Deferred,
    ]
    assert city.requests[0][0]["Content-Type"] == "application/cloudevents-batch+json"


async def test_a_batch_refused_as_a_whole_is_asked_one_by_one() -> None:
    async def judge(request: web.Request) -> web.StreamResponse:
        events = json.loads(await request.read())
        bad = any(event["id"] == "m-2" for event in events)
        return web.Response(status=422 if bad else 204)

    async with City(handler=judge) as city, connected(city.url, batch=10) as connector:
        answers = await connector.deliver([sample_parcel(n, case=f"451300/{n}") for n in range(4)])
    assert [type(answer) for answer in answers] == [Delivered, Delivered, Refused, Delivered]


async def test_tls_is_verified_and_a_client_certificate_shown(tmp_path: Path) -> None:
    ca, key = make_certificate(tmp_path, "city")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    context.load_cert_chain(ca, key)
    context.verify_mode = ssl.CERT_REQUIRED
    async with City(tls=context) as city:
        assert isinstance(await ask(city, ca=ca, certificate=ca, key=key), Delivered)
        assert isinstance(await ask(city), Misconfigured)  # a certificate that nobody vouches for
        assert not isinstance(await ask(city, ca=ca), Delivered)  # no client certificate


def make_certificate(folder: Path, name: str) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return str(paths[0]), str(paths[1])
