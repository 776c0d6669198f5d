"""The socket: slow clients, shapes of HTTP that are none, and every error as a problem."""

from __future__ import annotations

import asyncio
import json
import time

import orjson
import pytest

from broker.intake.options import IntakeOptions
from tests.intake.fakes import A, World, event, signed, token, world

QUICK = IntakeOptions(header_deadline_s=0.4, body_deadline_s=0.4, idle_deadline_s=0.8)


async def connect(here: World) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", here.intake.port)


async def exchange(here: World, sent: bytes, within_s: float = 5) -> bytes:
    """What comes back until the connection ends."""
    reader, writer = await connect(here)
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), within_s)
    finally:
        writer.close()


async def one_answer(reader: asyncio.StreamReader) -> bytes:
    """One whole answer: the end of the connection is not waited for, which a caller still sending may not see."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def problem_in(raw: bytes) -> dict[str, object]:
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, raw
    problem: dict[str, object] = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {problem['status']} ".encode())
    return problem


def posted(here: World, *, body: bytes | None = None, length: int | None = None, more: str = "") -> bytes:
    sent = orjson.dumps(event()) if body is None else body
    headers = signed(sent, A, here.clock()) | {"Content-Type": "application/cloudevents+json", "Host": "x"}
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    stated = len(sent) if length is None else length
    return f"POST /v1/messages HTTP/1.1\r\n{lines}Content-Length: {stated}\r\n{more}\r\n".encode() + sent


@pytest.mark.parametrize(
    "begun", [b"", b"G", b"GET /problems HTTP/1.1\r\nHo", b"POST /v1/messages HTTP/1.1\r\n"]
)
async def test_a_head_that_does_not_come_is_not_waited_for(begun: bytes) -> None:
    async with world(QUICK) as here:
        started = time.monotonic()
        assert problem_in(await exchange(here, begun))["code"] == "request-timeout"
        assert time.monotonic() - started < 2


async def test_a_head_that_drips_is_not_waited_for() -> None:
    async with world(QUICK) as here:
        reader, writer = await connect(here)
        answer = asyncio.create_task(one_answer(reader))
        for byte in b"GET /problems HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 40:
            if answer.done():
                break
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.05)
        assert problem_in(await asyncio.wait_for(answer, 1))["code"] == "request-timeout"
        writer.close()


@pytest.mark.parametrize("drip", [False, True])
async def test_a_body_that_does_not_come_is_not_waited_for(drip: bool) -> None:
    async with world(QUICK) as here:
        reader, writer = await connect(here)
        writer.write(posted(here, length=100_000))
        answer = asyncio.create_task(one_answer(reader))
        started = time.monotonic()
        while drip and not answer.done() and time.monotonic() - started < 3:
            writer.write(b" ")
            await asyncio.sleep(0.1)
        assert problem_in(await asyncio.wait_for(answer, 4))["code"] == "request-timeout"
        assert here.ledger.records == []
        writer.close()


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with world(QUICK) as here:
        raw = await exchange(here, b"GET /config HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.startswith(b"HTTP/1.1 200 OK")
        assert raw.count(b"HTTP/1.1") == 1


async def test_a_late_second_head_on_a_kept_connection_is_not_waited_for() -> None:
    async with world(QUICK) as here:
        reader, writer = await connect(here)
        writer.write(b"GET /config HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"}")
        writer.write(b"GET /config HT")
        assert problem_in(await asyncio.wait_for(reader.read(), 2))["code"] == "request-timeout"
        writer.close()


async def test_slow_clients_do_not_keep_others_waiting() -> None:
    async with world(QUICK) as here:
        slow = [await connect(here) for _ in range(50)]
        for _, writer in slow:
            writer.write(b"POST /v1/messages HTTP/1.1\r\nHost:")
        assert (await asyncio.wait_for(here.post(event()), 1)).status == 202
        for _, writer in slow:
            writer.close()


async def test_a_long_request_is_not_taken_for_a_slow_one() -> None:
    async with world(QUICK) as here:
        here.ledger.held = asyncio.Event()
        waiting = asyncio.create_task(here.post(event()))
        await asyncio.sleep(1.2)
        here.ledger.held.set()
        assert (await waiting).status == 202


async def test_a_caller_that_does_not_read_is_let_go() -> None:
    async with world(QUICK) as here:
        reader, writer = await connect(here)
        request = b"GET /problems HTTP/1.1\r\nHost: x\r\n\r\n"
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        try:
            for _ in range(400):
                writer.write(request * 20)
                await asyncio.wait_for(writer.drain(), 3)
                await asyncio.sleep(0.01)
        except (ConnectionError, TimeoutError):
            pass
        await asyncio.sleep(1)
        assert (await asyncio.wait_for(here.post(event()), 1)).status == 202
        server = here.intake._server
        assert server is not None
        assert len(server.connections) <= 1
        writer.transport.abort()
        del reader


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with world() as here:
        one = b"GET /config HTTP/1.1\r\nHost: x\r\n\r\n"
        last = b"GET /v1/none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        raw = await exchange(here, one + one + last)
        assert raw.count(b"HTTP/1.1 200 OK") == 2
        assert raw.index(b"200 OK") < raw.index(b"404 Not Found")


async def test_a_caller_that_asks_first_is_told_to_go_on() -> None:
    async with world() as here:
        whole = posted(here, more="Expect: 100-continue\r\nConnection: close\r\n")
        head, _, body = whole.partition(b"\r\n\r\n")
        reader, writer = await connect(here)
        writer.write(head + b"\r\n\r\n")
        told = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
        assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await asyncio.wait_for(reader.read(), 2)).startswith(b"HTTP/1.1 202 ")
        writer.close()


async def test_chunks_are_taken_and_bounded() -> None:
    async with world(IntakeOptions(batch_bytes=4096, message_bytes=4096)) as here:
        body = orjson.dumps(event())
        headers = signed(body, A, here.clock()) | {"Content-Type": "application/cloudevents+json"}

        async def parts(whole: bytes, size: int):  # type: ignore[no-untyped-def]
            for start in range(0, len(whole), size):
                yield whole[start : start + size]

        for sent, status in ((parts(body, 100), 202), (parts(b" " * 50_000, 1000), 413)):
            async with here.session.post(f"{here.url}/v1/messages", data=sent, headers=headers) as reply:
                assert reply.status == status
                await reply.read()


MALFORMED: dict[str, bytes] = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/3.0": b"GET /config HTTP/3.0\r\nHost: x\r\n\r\n",
    "a line without colon": b"GET /config HTTP/1.1\r\nHost x\r\n\r\n",
    "a space before the colon": b"GET /config HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded line": b"GET /config HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
    "a NUL in a header": b"GET /config HTTP/1.1\r\nHost: x\x00y\r\n\r\n",
    "two lengths": b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length with a sign": b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
    "a length in hex": b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\na",
    "an unknown coding": b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n",
    "a line of 20,000": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header of 20,000": b"GET /config HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "300 headers": b"GET /config HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 300 + b"\r\n",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_no_http_is_a_problem_and_the_end(raw: bytes) -> None:
    async with world(QUICK) as here:
        problem = problem_in(await exchange(here, raw))
        assert (problem["status"], problem["code"]) == (400, "header-invalid")
        assert b"aaaa" not in json.dumps(problem).encode()


@pytest.mark.parametrize(
    "chunk", [b"zz\r\nab\r\n0\r\n\r\n", b"-1\r\n\r\n", b"fffffffffffffffff\r\n", b"2\r\nabXX0\r\n\r\n"]
)
async def test_bad_chunks_are_no_message(chunk: bytes) -> None:
    async with world(QUICK) as here:
        headers = "".join(f"{n}: {t}\r\n" for n, t in signed(b"ab", A, here.clock()).items())
        head = (
            f"POST /v1/messages HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        raw = await exchange(here, head + chunk)
        assert problem_in(raw)["status"] in {400, 408}
        assert here.ledger.records == []


async def test_no_error_leaves_without_being_a_problem() -> None:
    async with world() as here:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            for path in (
                "/",
                "/v1/messages",
                "/v1/items",
                "/%00",
                "/v1//items",
                "/v1/items/",
                "/problems/%2e%2e",
            ):
                reply = await here.send(method, path, headers=token(A) | {"Connection": "close"})
                if reply.status >= 400:
                    assert reply.headers["Content-Type"] == "application/problem+json"
                    assert reply.json["status"] == reply.status


async def test_a_stop_answers_what_is_in_hand() -> None:
    async with world() as here:
        here.ledger.held = asyncio.Event()
        waiting = asyncio.create_task(here.post(event()))
        await asyncio.sleep(0.2)
        stopping = asyncio.create_task(here.intake.close(within_s=5))
        await asyncio.sleep(0.2)
        here.ledger.held.set()
        assert (await waiting).status == 202
        await asyncio.wait_for(stopping, 5)
