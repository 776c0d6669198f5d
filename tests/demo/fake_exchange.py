"""A small exchange for the cities' tests: it answers as the contract says, in memory, with faults on demand.

Written from the contract alone, with other libraries than the cities use (``cryptography`` for Ed25519), so
that a mistake on their side is not repeated on this one.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import time
import tomllib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import aiohttp
import fastavro
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
Event = dict[str, Any]


@dataclass(slots=True)
class Faults:
    """What this exchange does wrong. Counts run down; names of types stay."""

    refuse_first: int = 0
    """Submissions answered 503 before the first is taken."""
    lose_first_answers: int = 0
    """Submissions taken, but answered with a closed connection."""
    deliver_twice: bool = False
    """Every delivery once more, under the same webhook-id, as after a lost answer."""
    twice_under_new_ids: str = ""
    """Messages of this type once more, under another webhook-id: a broken promise."""
    drop_receipts_for: str = ""
    """No receipt for messages of this type: a broken promise."""
    swap: tuple[str, str] | None = None
    """The second type is delivered before the first: a broken promise."""
    forget_agreements: bool = False
    """Takes any case: a broken promise."""


@dataclass(slots=True)
class Submitted:
    """One request to ``/v1/messages`` as it came."""

    webhook_id: str
    body: bytes
    event: Event


@dataclass
class FakeExchange:
    """Relays between the partners of a directory folder. ``submitted`` and ``signature_faults`` are its history."""

    directory: Path
    faults: Faults = field(default_factory=Faults)
    url: str = ""
    submitted: list[Submitted] = field(default_factory=list)
    signature_faults: int = 0
    delivered: list[tuple[str, str, int]] = field(default_factory=list)
    mailbox_receipts: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._known: dict[tuple[str, str], bytes] = {}
        self._lanes: dict[tuple[str, str], asyncio.Queue[Event]] = {}
        self._held: dict[str, Event] = {}
        self._mailboxes: dict[str, dict[tuple[str, str], Event]] = defaultdict(dict)
        self._mail = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._partners = {each["id"]: each for each in self._documents("partners")}
        self._agreements = {frozenset(each["partners"]): each for each in self._documents("agreements")}

    @property
    def public_key(self) -> str:
        raw = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return "whpk_" + base64.b64encode(raw).decode()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeExchange]:
        application = web.Application(client_max_size=2**21)
        application.router.add_post("/v1/messages", self._take)
        application.router.add_get("/v1/mailbox", self._pull)
        application.router.add_post("/v1/mailbox/receipts", self._acknowledge)
        application.router.add_get("/subjects/{subject}/versions/latest", self._schema)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as self._session:
            try:
                yield self
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                await runner.cleanup()

    async def send(self, to: str, event: Event) -> None:
        """Put an event of the exchange's own on the road to a partner."""
        await self._route(to, event)

    # Taking in

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        partner = request.headers["tongban-partner"]
        if not self._signed(request, partner, body):
            self.signature_faults += 1
            return _problem(401, "signature-invalid", "the signature was refused")
        if self.faults.refuse_first > 0:
            self.faults.refuse_first -= 1
            return _problem(503, "not-durable", "not now", {"retry-after": "0"})
        if request.content_type == "application/cloudevents-batch+json":
            return await self._take_batch(request, partner, body)
        status, answer = await self._take_one(request.headers["webhook-id"], partner, body)
        if self.faults.lose_first_answers > 0:
            self.faults.lose_first_answers -= 1
            assert request.transport is not None
            request.transport.close()
        return web.json_response(answer, status=status)

    async def _take_batch(self, request: web.Request, partner: str, body: bytes) -> web.Response:
        """The events are joined by commas and nothing else: each is taken as its sender wrote it."""
        results = []
        for raw in _split(body):
            status, answer = await self._take_one(request.headers["webhook-id"], partner, raw)
            results.append({**answer, "status": status})
        every = all(result["status"] == 202 for result in results)
        return web.json_response({"results": results}, status=202 if every else 207)

    async def _take_one(self, webhook_id: str, partner: str, body: bytes) -> tuple[int, Event]:
        event = json.loads(body)
        self.submitted.append(Submitted(webhook_id, body, event))
        if refusal := self._refusal(event, partner, body):
            return refusal
        duplicate = (partner, event["id"]) in self._known
        if not duplicate:
            self._known[partner, event["id"]] = body
            await self._route(event["destination"].rpartition("/")[2], self._as_delivered(event, body))
        return 202, {
            "id": event["id"],
            "case": event["subject"],
            "digest": _digest(body),
            "duplicate": duplicate,
        }

    def _refusal(self, event: Event, partner: str, body: bytes) -> tuple[int, Event] | None:
        assert event["specversion"] == "1.0"
        assert event["source"] == f"/partners/{partner}"
        datetime.fromisoformat(event["time"])
        known = self._known.get((partner, event["id"]))
        if known not in (None, body):
            return 409, _document("message-id-reused", "other content under the same id")
        if event["type"] != "cn.tongban.case.submitted" or self.faults.forget_agreements:
            return None
        destination = event["destination"].rpartition("/")[2]
        agreed = self._agreements.get(frozenset((partner, destination)))
        ended = agreed is not None and agreed.get("until", date.max) < datetime.now(UTC).date()
        if agreed and not ended and event["item"] in agreed["items"] and event["mode"] in agreed["modes"]:
            return None
        return 422, _document(
            "agreement-missing", "no agreement covers this case", allowed=["新生儿入户 collected"]
        )

    def _signed(self, request: web.Request, partner: str, body: bytes) -> bool:
        webhook_id, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        version, _, signature = request.headers["webhook-signature"].partition(",")
        assert version == "v1a"
        assert abs(int(timestamp) - time.time()) < 300
        for text in self._partners[partner]["keys"]["verify"]:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text.removeprefix("whpk_")))
            with suppress(InvalidSignature):
                key.verify(base64.b64decode(signature), f"{webhook_id}.{timestamp}.".encode() + body)
                return True
        return False

    def _as_delivered(self, event: Event, body: bytes) -> Event:
        data = event["data"] if "data" in event else _from_avro(event)
        kept = {name: value for name, value in event.items() if name not in {"data", "data_base64"}}
        return {**kept, "datacontenttype": "application/json", "digest": _digest(body), "data": data}

    # Delivering, a lane per case and partner

    async def _route(self, to: str, event: Event) -> None:
        if self.faults.swap is not None:
            first, second = (f"cn.tongban.{name}" for name in self.faults.swap)
            if event["type"] == first:
                self._held[event["subject"]] = event
                return
            if event["type"] == second and event["subject"] in self._held:
                await self._put(to, event)
                event = self._held.pop(event["subject"])
        await self._put(to, event)

    async def _put(self, to: str, event: Event) -> None:
        if self._partners[to]["connector"]["kind"] == "mailbox":
            async with self._mail:
                self._mailboxes[to][event["source"], event["id"]] = event
                self._mail.notify_all()
            return
        lane = (to, event["subject"])
        if lane not in self._lanes:
            self._lanes[lane] = asyncio.Queue()
            self._start(self._lane(to, self._lanes[lane]))
        self._lanes[lane].put_nowait(event)

    async def _lane(self, to: str, queue: asyncio.Queue[Event]) -> None:
        while True:
            event = await queue.get()
            attempt = 1
            while (answer := await self._deliver(to, event, attempt)) not in {200, 201, 204, 409, 400, 422}:
                attempt += 1
                await asyncio.sleep(0.1)
            if self.faults.deliver_twice:
                assert await self._deliver(to, event, attempt + 1) in {200, 409}
            if event["type"] == f"cn.tongban.{self.faults.twice_under_new_ids}":
                await self._deliver(to, event, 1, "-again")
            await self._receipt(to, event, attempt, "delivered" if answer not in {400, 422} else "rejected")

    async def _deliver(self, to: str, event: Event, attempt: int, suffix: str = "") -> int:
        body = json.dumps(event, ensure_ascii=False).encode()
        webhook_id = f"{event['source'].rpartition('/')[2]}_{event['id']}{suffix}"
        timestamp = int(time.time())
        signature = self._key.sign(f"{webhook_id}.{timestamp}.".encode() + body)
        headers = {
            "content-type": "application/cloudevents+json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1a,{base64.b64encode(signature).decode()}",
            "tongban-attempt": str(attempt),
        }
        try:
            async with self._session.post(
                self._partners[to]["connector"]["url"], data=body, headers=headers
            ) as response:
                await response.read()
                self.delivered.append((to, webhook_id, response.status))
                return response.status
        except aiohttp.ClientError:
            return 0

    async def _receipt(self, recipient: str, event: Event, attempt: int, outcome: str) -> None:
        if event["source"] == "/tongban" or event["type"] == f"cn.tongban.{self.faults.drop_receipts_for}":
            return
        sender = event["source"].rpartition("/")[2]
        name = f"{sender}/{event['id']}"
        receipt = {
            "specversion": "1.0",
            "id": f"r-{hashlib.sha256(f'{name} {recipient} {outcome}'.encode()).hexdigest()[:32]}",
            "source": "/tongban",
            "type": f"cn.tongban.receipt.{outcome}",
            "time": datetime.now(UTC).isoformat(),
            "subject": event["subject"],
            "destination": event["source"],
            "class": 2,
            "correlationid": name,
            "data": {
                "acknowledged": name,
                "recipient": recipient,
                "digest": event["digest"],
                "attempt": attempt,
            },
        }
        await self._put(sender, receipt)

    # Mailbox

    async def _pull(self, request: web.Request) -> web.Response:
        partner = request.headers["tongban-partner"]
        token = request.headers["authorization"].removeprefix("Bearer ")
        if hashlib.sha256(token.encode()).hexdigest() not in self._partners[partner]["keys"]["token_sha256"]:
            return _problem(401, "caller-unknown", "the token was refused")
        async with self._mail:
            with suppress(TimeoutError):
                async with asyncio.timeout(float(request.query["wait_s"])):
                    await self._mail.wait_for(lambda: bool(self._mailboxes[partner]))
            messages = list(self._mailboxes[partner].values())[: int(request.query["max"])]
        return web.json_response(
            {"lease": "lease-1", "expires_at": "2099-01-01T00:00:00Z", "messages": messages}
        )

    async def _acknowledge(self, request: web.Request) -> web.Response:
        partner, body = request.headers["tongban-partner"], await request.read()
        if not self._signed(request, partner, body):
            self.signature_faults += 1
            return _problem(401, "signature-invalid", "the signature was refused")
        for receipt in json.loads(body)["receipts"]:
            self.mailbox_receipts.append(receipt)
            event = self._mailboxes[partner].pop((receipt["source"], receipt["id"]), None)
            if event is not None:
                await self._receipt(partner, event, 1, receipt["outcome"])
        return web.json_response({"results": []})

    async def _schema(self, request: web.Request) -> web.Response:
        for entry in reversed(_released()):  # the latest version of a subject stands last
            if entry["subject"] == request.match_info["subject"]:
                text = (SCHEMAS / entry["file"]).read_text(encoding="utf-8")
                return web.json_response(
                    {"subject": entry["subject"], "version": 1, "id": entry["id"], "schema": text}
                )
        return _problem(404, "not-found", "no such subject")

    def _start(self, lane: Any) -> None:
        self._tasks.add(asyncio.create_task(lane))

    def _documents(self, kind: str) -> list[Mapping[str, Any]]:
        return [
            tomllib.loads(path.read_text(encoding="utf-8")) for path in (self.directory / kind).glob("*.toml")
        ]


def _from_avro(event: Event) -> Event:
    schema_id = int(event["dataschema"].rpartition("/")[2])
    file = next(entry["file"] for entry in _released() if entry["id"] == schema_id)
    schema = fastavro.parse_schema(json.loads((SCHEMAS / file).read_text(encoding="utf-8")))
    datum = fastavro.schemaless_reader(io.BytesIO(base64.b64decode(event["data_base64"])), schema, None)
    assert isinstance(datum, dict)
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in datum.items()}


def _released() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = tomllib.loads((SCHEMAS / "released.toml").read_text(encoding="utf-8"))[
        "schema"
    ]
    return entries


def _digest(body: bytes) -> str:
    return f"sha-256:{hashlib.sha256(body).hexdigest()}"


def _problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(_document(code, detail), status=status, headers=headers)


def _document(code: str, detail: str, **facts: object) -> Event:
    return {"type": f"/problems/{code}", "code": code, "detail": detail, **facts}


def _split(body: bytes) -> list[bytes]:
    """The events of a batch, each verbatim."""
    text, decoder = body.decode(), json.JSONDecoder()
    events, at = [], 1
    while at < len(text) - 1:
        _, end = decoder.raw_decode(text, at)
        events.append(text[at:end].encode())
        at = end + 1
    return events
