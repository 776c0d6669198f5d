"""The messages of a bench: 1 KB events with Zipf keys, signed, as whole HTTP requests in one file.

Everything is made before the clock starts. Cases are opened first (``case.submitted``); the rest are
``case.urged``, which is legal in any state, over cases drawn by Zipf's law.
"""

from __future__ import annotations

import base64
import itertools
import random
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from broker.core.signatures import SigningKey, sign_v1a
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec

ITEM: Final = "0761-001"
EVENT_BYTES: Final = 1024
SINGLE: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be made. ``run`` begins every message id; ``cases_of`` is the run whose cases are used.

    ``opened`` True: that run has opened them already. ``skew`` is the exponent of Zipf's law.
    """

    run: str
    cases_of: str
    sender: str
    destination: str
    messages: int
    cases: int
    opened: bool = False
    batch: int = 1
    skew: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """A file of requests: the first ``opening`` of them open cases and go before all others."""

    path: Path
    requests: int
    opening: int
    messages: int
    bytes_per_event: float


def make(order: Order, key: SigningKey, path: Path) -> Requests:
    """Write the order's requests to ``path``, signed now: they are good for five minutes."""
    events = list(_events(order))
    opening = 0 if order.opened else min(order.cases, order.messages)
    groups = [*_groups(events[:opening], order.batch), *_groups(events[opening:], order.batch)]
    opening_requests = -(-opening // order.batch)
    media_type = SINGLE if order.batch == 1 else BATCH
    timestamp = int(time.time())
    with path.open("wb") as file:
        for number, group in enumerate(groups):
            body = group[0] if order.batch == 1 else b"[" + b",".join(group) + b"]"
            request = _request(
                order, f"{order.sender}_{order.run}-{number}", media_type, body, key, timestamp
            )
            file.write(_LENGTH.pack(len(request)) + request)
    found = Requests(
        path=path,
        requests=len(groups),
        opening=opening_requests,
        messages=len(events),
        bytes_per_event=sum(map(len, events)) / len(events),
    )
    path.with_suffix(".json").write_bytes(orjson.dumps({**asdict(found), "path": str(path)}))
    return found


def read_about(path: Path) -> Requests:
    """What :func:`make` has said about the file."""
    facts = orjson.loads(path.with_suffix(".json").read_bytes())
    return Requests(**{**facts, "path": path})


def read_requests(path: Path) -> list[bytes]:
    """The requests of a file, in order."""
    data = path.read_bytes()
    found: list[bytes] = []
    at = 0
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def body_of(request: bytes) -> bytes:
    return request[request.index(b"\r\n\r\n") + 4 :]


def zipf(cases: int, skew: float, count: int, seed: int) -> list[int]:
    """``count`` draws from ``range(cases)``: case ``k`` with weight ``1 / (k + 1) ** skew``."""
    weights = itertools.accumulate(1 / (rank + 1) ** skew for rank in range(cases))
    return random.Random(seed).choices(range(cases), cum_weights=list(weights), k=count)


def _groups(events: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(events), size):
        yield events[start : start + size]


def _request(
    order: Order, webhook_id: str, media_type: str, body: bytes, key: SigningKey, timestamp: int
) -> bytes:
    signature = sign_v1a(key, webhook_id, timestamp, body)
    head = (
        "POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: {media_type}\r\ntongban-partner: {order.sender}\r\n"
        f"webhook-id: {webhook_id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _events(order: Order) -> Iterator[bytes]:
    codec = Codec(SchemaSet.load())
    seed = random.Random(order.run)
    opening = [] if order.opened else list(range(min(order.cases, order.messages)))
    drawn = zipf(order.cases, order.skew, order.messages - len(opening), seed.getrandbits(32))
    now = datetime.now(UTC)
    for number, case in enumerate(opening):
        yield _event(codec, order, "case.submitted", number, case, now, seed)
    for number, case in enumerate(drawn, start=len(opening)):
        yield _event(codec, order, "case.urged", number, case, now, seed)


def _event(
    codec: Codec, order: Order, message_type: str, number: int, case: int, now: datetime, seed: random.Random
) -> bytes:
    event = {
        "specversion": "1.0",
        "id": f"{order.run}-{number}",
        "source": f"/partners/{order.sender}",
        "type": f"cn.tongban.{message_type}",
        "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "subject": f"{order.sender}/{order.cases_of}-{case}",
        "destination": f"/partners/{order.destination}",
        "item": ITEM,
        "mode": "collected",
        "dataschema": codec.dataschema(message_type),
        "datacontenttype": "application/avro",
        "data_base64": "",
    }
    room = EVENT_BYTES - len(orjson.dumps(event))
    empty = codec.encode(message_type, _datum(message_type, now, ""))[5:]
    padding = max(1, room * 3 // 4 - len(empty) - 1)
    avro = codec.encode(message_type, _datum(message_type, now, _hex(seed, padding)))[5:]
    return orjson.dumps({**event, "data_base64": base64.b64encode(avro).decode()})


def _datum(message_type: str, now: datetime, padding: str) -> dict[str, object]:
    """A person's papers in every message, so that each one is sealed and opened."""
    papers: dict[str, object] = {
        "applicant": {"name": "张三（示例）", "id_number": "11010519491231002X", "phone": "10000000000"},
        "agent": None,
        "documents": [],
        "form": {"备注": padding},
    }
    if message_type == "case.urged":
        return {"urged_at": now, "reason": "请加急", "answer_by": None, "sealed": papers}
    return {
        "item_name": "新生儿入户",
        "mode": "collected",
        "title": "新生儿落户登记",
        "submitted_at": now,
        "collected_by": "3 号窗口",
        "materials": 1,
        "sealed": papers,
    }


def _hex(seed: random.Random, length: int) -> str:
    return seed.randbytes(length // 2 + 1).hex()[:length]
