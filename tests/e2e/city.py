"""A partner city for end-to-end tests: it signs what it sends and keeps a ledger of what it was sent.

It runs in the test's own process, so that it outlives every kill of the broker. What was delivered is
judged from this ledger alone.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import orjson
from aiohttp import web
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
EVENT = "application/cloudevents+json"
EVENTS = "application/cloudevents-batch+json"
_HUNG_S = 60.0
"""Longer than any request is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The first time that a message was taken in: what it was, in the order of arrival."""

    name: str
    case: str
    type: str
    digest: str | None
    attempt: int
    event: Mapping[str, object]
    at: float


@dataclass(slots=True)
class Submission:
    """What the broker answered to one submission. ``status`` 0: no answer, it may have happened."""

    status: int
    body: dict[str, object]


@dataclass(slots=True)
class City:
    """One partner. It takes in what it is sent after ``latency_s``, unless it is ``down``, ``hung`` or to fail."""

    id: str
    broker: str = ""
    broker_key: bytes | None = None
    key: SigningKey = field(default_factory=SigningKey.generate)
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    effects: list[Effect] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)
    failures: list[int] = field(default_factory=list)
    bad_signatures: int = 0
    down: bool = False
    hung: bool = False
    latency_s: float = 0.0
    open_requests: int = 0
    port: int = 0
    _known: set[str] = field(default_factory=set)
    _runner: web.AppRunner | None = None
    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> City:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        app = web.Application(client_max_size=16 << 20)
        app.router.add_post("/inbox", self._inbox)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._session is not None
        assert self._runner is not None
        await self._session.close()
        await self._runner.cleanup()

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    def document(self, kind: str = "http", *, more: str = "") -> str:
        """This city's directory document."""
        public = base64.b64encode(bytes(self.key.verify_key)).decode()
        token = hashlib.sha256(self.token.encode()).hexdigest()
        options = (
            f'url = "http://127.0.0.1:{self.port}/inbox"\nallow = ["127.0.0.0/8"]\n' if kind == "http" else ""
        )
        return (
            f'id = "{self.id}"\nname = "{self.id}"\ncontact = "test"\n{more}\n'
            f'[connector]\nkind = "{kind}"\n{options}\n'
            f'[keys]\nverify = ["whpk_{public}"]\ntoken_sha256 = ["{token}"]\n'
        )

    async def _inbox(self, request: web.Request) -> web.Response:
        self.open_requests += 1
        try:
            return await self._hear(request)
        finally:
            self.open_requests -= 1

    async def _hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        name = request.headers["webhook-id"]
        self.attempts[name] += 1
        if self.hung:
            await asyncio.sleep(_HUNG_S)
            return web.Response(status=504)
        if self.latency_s:
            await asyncio.sleep(self.latency_s * random.uniform(0.5, 1.5))  # else they come in waves
        if self.down:
            return web.Response(status=503)
        if self.failures:
            return web.Response(status=self.failures.pop(0))
        if not self._signed(request, body):
            self.bad_signatures += 1
            return web.Response(status=401)
        event = orjson.loads(body)
        if name in self._known:
            return web.json_response({"reference": f"{self.id}-known"}, status=409)
        self._take(name, event, int(request.headers["tongban-attempt"]))
        return web.json_response({"reference": f"{self.id}-{len(self.effects)}"})

    def _take(self, name: str, event: Mapping[str, object], attempt: int) -> None:
        self._known.add(name)
        self.effects.append(
            Effect(
                name=name,
                case=str(event["subject"]),
                type=str(event["type"]).removeprefix("cn.tongban."),
                digest=str(event["digest"]) if "digest" in event else None,
                attempt=attempt,
                event=event,
                at=time.time(),
            )
        )

    def _signed(self, request: web.Request, body: bytes) -> bool:
        """``v1a``, checked with nothing but Ed25519."""
        if self.broker_key is None:
            return True
        text = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
        for entry in request.headers["webhook-signature"].split(" "):
            version, _, signature = entry.partition(",")
            if version == "v1a":
                try:
                    VerifyKey(self.broker_key).verify(text, base64.b64decode(signature))
                except BadSignatureError:
                    continue
                return True
        return False

    def event(
        self,
        message_type: str,
        case: str,
        identity: str,
        to: str,
        **attributes: object,
    ) -> dict[str, object]:
        """A structured event with the type's example as its data."""
        examples = sorted((EXAMPLES / message_type).glob("valid-*.json"))
        return {
            "specversion": "1.0",
            "id": identity,
            "source": f"/partners/{self.id}",
            "type": f"cn.tongban.{message_type}",
            "subject": case,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "destination": f"/partners/{to}",
            "datacontenttype": "application/json",
            "data": json.loads(examples[0].read_text(encoding="utf-8")),
            **attributes,
        }

    async def submit(self, event: Mapping[str, object] | list[Mapping[str, object]]) -> Submission:
        """One attempt. No answer is status 0: it may have happened."""
        body = orjson.dumps(event)
        headers = self.sign(body) | {"content-type": EVENTS if isinstance(event, list) else EVENT}
        try:
            async with self.session.post(f"{self.broker}/v1/messages", data=body, headers=headers) as answer:
                return Submission(answer.status, orjson.loads(await answer.read()))
        except (aiohttp.ClientError, TimeoutError):
            return Submission(0, {})

    async def submit_surely(self, event: Mapping[str, object], within_s: float = 60) -> Submission:
        """Repeat the same event until the broker says yes or no for certain."""
        end = time.monotonic() + within_s
        while True:
            answer = await self.submit(event)
            if answer.status not in (0, 503, 429):
                return answer
            assert time.monotonic() < end, f"no answer within {within_s} s"
            await asyncio.sleep(0.1)

    def sign(self, body: bytes) -> dict[str, str]:
        identity, timestamp = f"w-{secrets.token_hex(8)}", int(time.time())
        signed = self.key.sign(f"{identity}.{timestamp}.".encode() + body)
        return {
            "tongban-partner": self.id,
            "webhook-id": identity,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1a,{base64.b64encode(signed.signature).decode()}",
        }

    async def get(self, path: str) -> tuple[int, dict[str, object]]:
        headers = {"tongban-partner": self.id, "authorization": f"Bearer {self.token}"}
        async with self.session.get(f"{self.broker}{path}", headers=headers) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def pull(self, *, wait_s: int = 0, most: int = 100) -> int:
        """Take in what the mailbox holds and acknowledge it; how many there were."""
        status, page = await self.get(f"/v1/mailbox?max={most}&wait_s={wait_s}")
        assert status == 200, page
        messages = page["messages"]
        assert isinstance(messages, list)
        if not messages:
            return 0
        receipts = []
        for event in messages:
            source = str(event["source"])
            name = f"{source.rpartition('/')[2]}_{event['id']}"
            self.attempts[name] += 1
            if not any(effect.name == name for effect in self.effects):
                self._take(name, event, self.attempts[name])
            receipts.append(
                {"source": source, "id": event["id"], "outcome": "delivered", "reference": "pulled"}
            )
        body = orjson.dumps({"receipts": receipts})
        headers = self.sign(body) | {"content-type": "application/json"}
        async with self.session.post(
            f"{self.broker}/v1/mailbox/receipts", data=body, headers=headers
        ) as answer:
            assert answer.status == 200, await answer.text()
        return len(messages)
