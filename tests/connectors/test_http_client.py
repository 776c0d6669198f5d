"""The client's pool, clocks, addresses and TLS against servers that behave as badly as they like."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import shutil
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.addresses import networks
from connectors.http_client import ClientOptions, Failure, HttpClient, Response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LOOPBACK = networks(("127.0.0.0/8",))
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Calls ``talk`` for each request read; counts requests, connections and those that are open."""

    def __init__(self, talk: Talk, *, reads: bool = True) -> None:
        self._talk = talk
        self._reads = reads
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                if self._reads:
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                    self.requests.append(head + await reader.readexactly(length))
                await self._talk(reader, writer)
                if not self._reads:
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def serving(
    talk: Talk, *, reads: bool = True, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[tuple[Server, HttpClient]]:
    server = Server(talk, reads=reads)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{port}/in?a=b"
    client = make(options.pop("url", server.url).replace("PORT", str(port)), **options)
    try:
        yield server, client
    finally:
        client.close()
        listening.close()


def make(url: str, **options: Any) -> HttpClient:
    given: dict[str, Any] = {
        "connections": 4, "connect_timeout_s": 2.0, "timeout_s": 2.0, "body_bytes": 1000, "allow": LOOPBACK,
    }  # fmt: skip
    client = HttpClient(ClientOptions(url=url, **{**given, **options}))
    client.start()
    return client


async def ask(client: HttpClient, body: bytes = b"body", header: str = "webhook-id: 1") -> Response | Failure:
    heard: asyncio.Future[Response | Failure] = asyncio.get_running_loop().create_future()
    client.post([header], body, heard.set_result)  # a second call would raise
    assert not heard.done()
    return await heard


def says(*texts: bytes) -> Talk:
    left = list(texts)

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return talk


def status_of(result: Response | Failure) -> int | str:
    return result.status if isinstance(result, Response) else result.blame


async def test_what_is_sent() -> None:
    async with serving(says(OK)) as (server, client):
        assert status_of(await ask(client, b"12345")) == 200
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /in?a=b HTTP/1.1"
    assert body == b"12345"
    names = [line.partition(":")[0].lower() for line in lines[1:]]
    assert names == ["host", "user-agent", "accept", "content-length", "webhook-id"]
    assert lines[1] == f"Host: {server.url[7:].partition('/')[0]}"


@pytest.mark.parametrize(
    "header", ["x: a\r\nevil: b", "x: a\nb", "x: \0", "x: 张", "x: \x7f", "x\r: y", "x: \u2028"]
)
async def test_a_header_that_breaks_the_request_is_never_sent(header: str) -> None:
    async with serving(says(OK)) as (server, client):
        assert status_of(await ask(client, header=header)) == "broken"
        assert not server.requests


async def test_connections_are_kept_and_a_closed_one_is_not_used_again() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    async with serving(says(OK, OK, closing, OK)) as (server, client):
        for _ in range(3):
            assert status_of(await ask(client)) == 200
        assert server.connections == 1
        assert status_of(await ask(client)) == 200
        assert server.connections == 2


async def test_a_connection_that_the_other_side_has_closed_fails_nobody() -> None:
    async def once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        writer.close()

    async with serving(once) as (server, client):
        for number in range(1, 4):
            assert status_of(await ask(client)) == 200
            await asyncio.sleep(0.05)
            assert server.connections == number


async def test_a_kept_connection_that_breaks_before_an_answer_is_a_failure_and_nothing_is_sent_twice() -> (
    None
):
    served = 0

    async def second_breaks(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        if served == 2:
            writer.transport.abort()
        else:
            writer.write(OK)

    async with serving(second_breaks) as (server, client):
        results = [status_of(await ask(client, header=f"webhook-id: {n}")) for n in range(3)]
        assert results == [200, "broken", 200]
        assert len(server.requests) == 3


async def test_what_nobody_asked_for_is_never_the_next_answer() -> None:
    async def two(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")

    async with serving(two) as (server, client):
        assert status_of(await ask(client)) == 200
        await asyncio.sleep(0.15)
        assert status_of(await ask(client)) == 200
        assert server.connections == 2


async def test_idle_connections_are_closed_in_time_also_as_the_other_side_says() -> None:
    async with serving(says(OK), idle_s=0.2) as (server, client):
        await asyncio.gather(*(ask(client) for _ in range(4)))
        assert 1 <= server.open <= 4
        await asyncio.sleep(0.6)
        assert server.open == 0
    hinted = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=9\r\nContent-Length: 0\r\n\r\n"
    async with serving(says(hinted), idle_s=60.0) as (server, client):
        await ask(client)
        await asyncio.sleep(0.6)
        assert server.open == 0


async def test_an_early_yes_is_no_yes_and_an_early_no_counts() -> None:
    big = b"x" * (8 << 20)  # more than the kernel takes at once
    for answer, status in ((OK, "broken"), (b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", 413)):

        async def early(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes = answer
        ) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            await writer.drain()
            await asyncio.sleep(0.3)

        async with serving(early, reads=False) as (_, client):
            assert status_of(await ask(client, big)) == status


@pytest.mark.parametrize(
    "piece", [b"H", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
)
async def test_an_answer_that_drips_ends_by_the_time_limit(piece: bytes) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(piece)
        while True:
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.write(b"T" if piece == b"H" else b"x")
            if piece == b"H":
                await asyncio.sleep(10)

    async with serving(drip, timeout_s=0.4) as (_, client):
        begun = time.monotonic()
        assert status_of(await ask(client)) in {"timeout", "broken"}
        assert time.monotonic() - begun < 1


async def test_those_that_wait_for_a_connection_run_out_of_time_too() -> None:
    async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with serving(hang, timeout_s=0.4, connections=2) as (server, client):
        begun = time.monotonic()
        results = await asyncio.gather(*(ask(client) for _ in range(20)))
        assert {status_of(each) for each in results} == {"timeout"}
        assert time.monotonic() - begun < 1.5
        assert server.connections <= 4


async def test_a_burst_to_a_quick_partner_needs_few_connections_and_a_slow_one_gets_all() -> None:
    async with serving(says(OK), connections=300) as (server, client):
        await asyncio.gather(*(ask(client) for _ in range(300)))
        assert server.connections < 200

    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(OK)

    async with serving(slow, connections=64) as (server, client):
        begun = time.monotonic()
        results = await asyncio.gather(*(ask(client) for _ in range(128)))
        assert {status_of(each) for each in results} == {200}
        assert server.connections == 64
        assert time.monotonic() - begun < 1.5


async def test_who_accepts_and_closes_is_not_stormed() -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with serving(close, reads=False, connections=8) as (server, client):
        results = await asyncio.gather(*(ask(client) for _ in range(20)))
        assert {status_of(each) for each in results} <= {"broken", "unreachable"}
        assert server.connections <= 40


async def test_those_that_wait_are_served_when_further_connections_fail() -> None:
    left = 1

    async def first_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        if not left:
            writer.transport.abort()
            return
        left -= 1
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"body"):
                writer.write(OK)
                await asyncio.sleep(0.02)

    async with serving(first_only, reads=False, connections=8) as (_, client):
        assert status_of(await ask(client)) == 200
        results = await asyncio.gather(*(ask(client) for _ in range(12)))
        served = sum(status_of(each) == 200 for each in results)
        assert served >= 1
        assert {status_of(each) for each in results} <= {200, "broken"}


async def test_more_requests_than_connections_all_go_out_in_turn() -> None:
    async with serving(says(OK), connections=2) as (server, client):
        results = await asyncio.gather(*(ask(client) for _ in range(50)))
        assert {status_of(each) for each in results} == {200}
        assert len(server.requests) == 50
        assert server.connections <= 2, "a quick partner may have answered them all on one"


async def test_closing_ends_every_request_once() -> None:
    async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with serving(hang, connections=2) as (_, client):
        flying = [asyncio.ensure_future(ask(client)) for _ in range(5)]
        await asyncio.sleep(0.1)
        flying.append(asyncio.ensure_future(ask(client)))
        await asyncio.sleep(0)
        client.close()
        client.close()
        results = await asyncio.wait_for(asyncio.gather(*flying), 1)
        assert {status_of(each) for each in results} == {"closed"}
        assert status_of(await ask(client)) == "closed"


async def test_nobody_there_ends_every_request() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = make(f"http://127.0.0.1:{port}/", connections=2)
    results = await asyncio.gather(*(ask(client) for _ in range(10)))
    assert {status_of(each) for each in results} == {"unreachable"}
    client.close()


# names and addresses


def resolving(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> list[str]:
    """Names resolve to ``hosts``, in this order; what is asked is noted."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        family = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (family[ipaddress.ip_address(each).version], socket.SOCK_STREAM, 6, "", (each, port))
            for each in hosts
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("inner", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254"])
async def test_a_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch, inner: str) -> None:
    resolving(monkeypatch, inner)
    async with serving(says(OK), url="http://city.example:PORT/", allow=()) as (server, client):
        assert status_of(await ask(client)) == "address"
        assert server.connections == 0


async def test_of_several_addresses_only_permitted_ones_are_tried_and_each_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = resolving(monkeypatch, "10.0.0.1", "127.0.0.3", "127.0.0.1")
    allow = networks(("127.0.0.0/8",))
    async with serving(says(OK), url="http://city.example:PORT/", allow=allow) as (server, client):
        results = await asyncio.gather(*(ask(client) for _ in range(4)))
        assert {status_of(each) for each in results} == {200}
        assert 1 <= server.connections <= 4
        assert asked == ["city.example"]  # judged and connected to: the same answer of the resolver


async def test_a_resolver_that_hangs_costs_one_thread_and_ends_by_the_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = threading.Event()
    asked = 0

    def hang(*_: object, **__: object) -> list[object]:
        nonlocal asked
        asked += 1
        gate.wait(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    client = make("http://city.example/", connect_timeout_s=0.3, connections=8)
    try:
        results = await asyncio.gather(*(ask(client) for _ in range(8)))
        assert {status_of(each) for each in results} == {"timeout"}
        assert asked == 1
    finally:
        gate.set()
        client.close()


@pytest.mark.parametrize("fault", [socket.gaierror(), UnicodeError("label too long")])
async def test_a_name_that_does_not_resolve_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(*_: object, **__: object) -> list[object]:
        raise fault

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    client = make("http://city.example/")
    assert status_of(await ask(client)) == "unreachable"
    client.close()


# TLS


def certificate(folder: Path, name: str, *, host: str = "127.0.0.1", hours: int = 1) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    until = datetime.now(UTC) + timedelta(hours=hours)
    alternative: x509.GeneralName
    try:
        alternative = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(hours=abs(hours) + 2))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(*form))
    return str(paths[0]), str(paths[1])


def server_context(ca: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, key)
    return context


async def test_tls_carries_requests_over_kept_connections(tmp_path: Path) -> None:
    ca, key = certificate(tmp_path, "city")
    async with serving(says(OK), tls=server_context(ca, key), ca=ca) as (server, client):
        for _ in range(3):
            assert status_of(await ask(client, b"x" * 50_000)) == 200
        assert server.connections == 1
        assert len(server.requests[0]) > 50_000


@pytest.mark.parametrize("made", [{"host": "other.example"}, {"host": "127.0.0.2"}, {"hours": -1}])
async def test_another_hosts_and_an_expired_certificate_are_faults_of_tls(
    tmp_path: Path, made: dict[str, Any]
) -> None:
    ca, key = certificate(tmp_path, "city", **made)
    async with serving(says(OK), tls=server_context(ca, key), ca=ca) as (server, client):
        assert status_of(await ask(client)) == "tls"
        assert not server.requests


async def test_a_host_name_is_checked_against_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "127.0.0.1")
    ca, key = certificate(tmp_path, "city", host="city.example")
    for url, status in (("https://city.example.:PORT/", 200), ("https://evil.example:PORT/", "tls")):
        async with serving(says(OK), tls=server_context(ca, key), ca=ca, url=url) as (_, client):
            assert status_of(await ask(client)) == status


async def test_a_certificate_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    right, wrong = certificate(tmp_path, "right"), certificate(tmp_path, "wrong")
    ca = shutil.copy(wrong[0], tmp_path / "ca.pem")
    async with serving(says(OK), tls=server_context(*right), ca=str(ca)) as (_, client):
        assert status_of(await ask(client)) == "tls"
        shutil.copy(right[0], ca)
        os.utime(ca, ns=(1, 1))
        assert status_of(await ask(client)) == 200


async def test_a_certificate_that_cannot_be_read_and_an_old_protocol_are_faults_of_tls(
    tmp_path: Path,
) -> None:
    ca, key = certificate(tmp_path, "city")
    async with serving(says(OK), tls=server_context(ca, key), ca=str(tmp_path / "none.pem")) as (_, client):
        assert status_of(await ask(client)) == "tls"
    (tmp_path / "torn.pem").write_text("-----BEGIN CERTIFICATE-----\nx")
    torn = str(tmp_path / "torn.pem")
    async with serving(says(OK), tls=server_context(ca, key), ca=ca, certificate=torn) as (_, client):
        assert status_of(await ask(client)) == "tls"
    old = server_context(ca, key)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(says(OK), tls=old, ca=ca) as (server, client):
        assert status_of(await ask(client)) in {"tls", "broken", "unreachable"}
        assert not server.requests


async def test_a_server_that_speaks_no_tls_gets_nothing(tmp_path: Path) -> None:
    heard = b""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        writer.write(OK)
        heard += await reader.read(4096)

    async with serving(plain, reads=False, url="https://127.0.0.1:PORT/") as (_, client):
        assert status_of(await ask(client, b"secret papers")) in {"tls", "broken"}
    assert b"secret" not in heard


async def test_a_handshake_that_hangs_ends_by_the_time_limit() -> None:
    async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(2)

    async with serving(hang, reads=False, url="https://127.0.0.1:PORT/", connect_timeout_s=0.3) as (
        _,
        client,
    ):
        begun = time.monotonic()
        assert status_of(await ask(client)) == "timeout"
        assert time.monotonic() - begun < 1


async def test_who_speaks_before_being_asked_is_not_heard() -> None:
    async def hasty(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.2)

    async with serving(hasty, reads=False, connections=1) as (_, client):
        assert status_of(await ask(client, b"x" * (8 << 20))) == "broken"


ON_UVLOOP: list[Callable[[], Coroutine[Any, Any, None]]] = [
    test_what_is_sent,
    test_connections_are_kept_and_a_closed_one_is_not_used_again,
    test_a_connection_that_the_other_side_has_closed_fails_nobody,
    test_a_kept_connection_that_breaks_before_an_answer_is_a_failure_and_nothing_is_sent_twice,
    test_what_nobody_asked_for_is_never_the_next_answer,
    test_idle_connections_are_closed_in_time_also_as_the_other_side_says,
    test_an_early_yes_is_no_yes_and_an_early_no_counts,
    test_those_that_wait_for_a_connection_run_out_of_time_too,
    test_more_requests_than_connections_all_go_out_in_turn,
    test_a_burst_to_a_quick_partner_needs_few_connections_and_a_slow_one_gets_all,
    test_who_accepts_and_closes_is_not_stormed,
    test_closing_ends_every_request_once,
    test_nobody_there_ends_every_request,
    test_a_handshake_that_hangs_ends_by_the_time_limit,
    test_who_speaks_before_being_asked_is_not_heard,
]


@pytest.mark.parametrize("test", ON_UVLOOP)
def test_the_same_on_the_loop_of_the_product(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    uvloop.run(test())


@pytest.mark.parametrize("trusted", [True, False])
def test_tls_on_the_loop_of_the_product(tmp_path: Path, trusted: bool) -> None:
    ca, key = certificate(tmp_path, "city")

    async def run() -> None:
        async with serving(says(OK), tls=server_context(ca, key), ca=ca if trusted else None) as (
            server,
            client,
        ):
            for _ in range(3):
                assert status_of(await ask(client, b"x" * 50_000)) == (200 if trusted else "tls")
            assert len(server.requests) == (3 if trusted else 0)

    uvloop.run(run())
