"""One connection against whatever the other side may say, however the bytes are cut."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http_connection import HEAD_BYTES, Connection, is_certificate_fault
from connectors.http_messages import Exchange, Failure, Response, retry_after_s

BODY = 1000


class Line(asyncio.Transport):
    """A transport that keeps what is written; ``unsent`` is what has not left yet."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.unsent = 0
        self.aborted = False
        self._connection = connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def get_write_buffer_size(self) -> int:
        return self.unsent


class Side:
    """A connection with one request under way, its pool, and what the caller heard."""

    def __init__(self) -> None:
        self.heard: list[Response | Failure] = []
        self.freed_count = self.lost_count = 0
        self.connection = Connection(self, BODY)
        self.line = Line(self.connection)
        self.connection.connection_made(self.line)
        self.ask()

    def ask(self) -> None:
        self.connection.send(Exchange(b"POST", self.heard.append, 1.0))

    def freed(self, connection: Connection) -> None:
        self.freed_count += 1

    def lost(self, connection: Connection) -> None:
        self.lost_count += 1

    def write_soon(self, connection: Connection) -> None:
        connection.write()

    def says(self, *chunks: bytes, ends: bool = False) -> Sequence[Response | Failure]:
        for chunk in chunks:
            if not self.line.aborted:
                self.connection.data_received(chunk)
        if ends:
            self.connection.connection_lost(None)
        return self.heard


def ok(body: bytes) -> Response:
    return Response(status=200, body=body, retry_after_s=None)


WHOLE = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", b"body"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nbo\r\n2\r\ndy\r\n0\r\nTrailer: z\r\n\r\n", b"body"),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", b"body"),
    (b"HTTP/1.1 100 Continue\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "body"), WHOLE)
@given(cuts=st.lists(st.integers(0, 200), max_size=8))
def test_an_answer_is_the_same_however_it_is_cut(text: bytes, body: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    side = Side()
    assert side.says(*(text[a:b] for a, b in itertools.pairwise(places))) == [ok(body)]
    assert (side.freed_count, side.lost_count, side.line.aborted) == (1, 0, False)


@given(chunks=st.lists(st.binary(max_size=60) | st.sampled_from([text for text, _ in WHOLE]), max_size=6))
def test_whatever_comes_an_exchange_ends_exactly_once(chunks: list[bytes]) -> None:
    side = Side()
    side.says(*chunks, ends=True)
    side.connection.connection_lost(None)
    assert len(side.heard) == 1
    assert side.lost_count == 1


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_answer_without_a_length_ends_with_its_connection(version: bytes) -> None:
    side = Side()
    assert not side.says(b"HTTP/%s 200 OK\r\n\r\nbo" % version, b"dy")
    assert side.says(ends=True) == [ok(b"body")]
    assert side.lost_count == 1


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nconnection: Close\r\n"],
)  # fmt: skip
def test_a_connection_that_is_to_close_is_not_used_again(head: bytes) -> None:
    side = Side()
    assert side.says(head + b"Content-Length: 2\r\n\r\nok") == [ok(b"ok")]
    assert side.line.aborted
    assert not side.connection.usable
    assert (side.freed_count, side.lost_count) == (0, 1)


@pytest.mark.parametrize(
    "more", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 2", b"garbage", b"H"]
)
def test_what_comes_after_an_answer_closes_the_connection(more: bytes) -> None:
    at_once, later = Side(), Side()
    assert at_once.says(WHOLE[0][0] + more) == [ok(b"body")]
    assert later.says(WHOLE[0][0], more) == [ok(b"body")]
    for side in (at_once, later):
        assert side.line.aborted
        assert side.lost_count == 1
    assert at_once.freed_count == 0


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nbody",
        b"HTTP/1.1 200 OK\r\nX: a\r\n\tfolded: b\rc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 99999 X\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"\x16\x03\x01\x00\x05",
        b"\0" * 100,
    ],
)
def test_what_is_not_strictly_http_is_no_answer(text: bytes) -> None:
    side = Side()
    heard = side.says(text, ends=True)
    assert isinstance(heard[0], Failure)
    assert heard[0].blame == "broken"
    assert side.line.aborted


@pytest.mark.parametrize("cut", [5, 20, 40, 41, 58])
def test_an_answer_that_breaks_off_is_no_answer(cut: int) -> None:
    for text in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + b"x" * 40,
        WHOLE[1][0],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" + b"x" * 40,
    ):
        heard = Side().says(text[:cut], ends=True)
        assert isinstance(heard[0], Failure)
        assert heard[0].reason == "the connection broke in the middle of an answer"


def test_a_reset_before_any_answer_is_a_failure_and_nothing_is_sent_again() -> None:
    side = Side()
    side.connection.connection_lost(ConnectionResetError())
    assert side.heard == [Failure(blame="broken", reason="the connection broke before any answer")]
    assert side.line.written == [b"POST"]


@pytest.mark.parametrize("piece", [b"X: y\r\n", b"X" * 100, b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_head_without_an_end_is_cut_off(piece: bytes) -> None:
    side = Side()
    sent = 0
    side.says(b"" if piece.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n")
    while not side.heard:
        side.says(piece)
        sent += len(piece)
        assert sent <= HEAD_BYTES + 1000
    assert isinstance(side.heard[0], Failure)
    assert side.line.aborted


def test_bodies_are_bounded_also_in_chunks_of_one_byte() -> None:
    exact = Side()
    assert exact.says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY + b"x" * BODY) == [
        ok(b"x" * BODY)
    ]
    over = Side()
    heard = over.says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BODY + 1) + b"x" * (BODY + 1))
    assert heard == [Failure(blame="too_large", status=200, reason=f"the answer is larger than {BODY} bytes")]
    padded = Side()
    padded.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(1000):
        padded.says(b"1;%s\r\nx\r\n" % (b"e" * 200))
    assert isinstance(padded.heard[0], Failure)


def test_a_yes_before_the_request_has_left_is_no_yes_but_a_no_is() -> None:
    for status, kind in ((200, Failure), (413, Response)):
        side = Side()
        side.line.unsent = 1
        heard = side.says(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        assert isinstance(heard[0], kind)
        assert side.line.aborted


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (b"120", 120.0), (b" 7 ", 7.0), (b"0", None), (b"-5", None), (b"1.5", None), (b"", None), (b"soon", None),
        (b"99999999", 21600.0), (b"9" * 400, 21600.0), (b"Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        (b"Thu, 01 Jan 1970 00:00:09 GMT", None), (b"Thursday, 01-Jan-70 00:01:40 GMT", 90.0),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", 21600.0), (b"Thu, 99 Jan 1970", None), ("１２".encode(), None), (b"\xff\xfe", None),
    ],
)  # fmt: skip
def test_retry_after_in_both_forms(value: bytes, wait_s: float | None) -> None:
    assert retry_after_s(value, 10.0) == wait_s


@given(value=st.binary(max_size=40))
def test_no_retry_after_is_a_fault(value: bytes) -> None:
    wait_s = retry_after_s(value, 10.0)
    assert wait_s is None or 0 < wait_s <= 21600


def test_what_tls_faults_blame() -> None:
    assert is_certificate_fault(ssl.SSLCertVerificationError())
    assert is_certificate_fault(ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] x"))
    assert not is_certificate_fault(ssl.SSLError(1, "[SSL: UNEXPECTED_EOF_WHILE_READING] x"))
    assert not is_certificate_fault(ConnectionResetError())
    assert not is_certificate_fault(None)
