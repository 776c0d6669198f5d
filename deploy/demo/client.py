"""The city's side of the partner API: signed submissions, mailbox, schemas. It answers in values.

Source: contract, "Partner API".
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
import orjson
from nacl.signing import SigningKey

from deploy.demo import keys
from deploy.demo.events import BATCH_MEDIA_TYPE, MEDIA_TYPE

_TIMEOUT_S = 15.0
_FINAL = frozenset({400, 403, 405, 409, 413, 415, 422})
"""Answers about the message itself: the same bytes would be refused again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """202: the exchange has it, durably. ``duplicate``: it had it before."""

    digest: str | None
    duplicate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The exchange will never take this message: see the problem's code and detail (RFC 9457)."""

    status: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """No answer that counts. Submit the same bytes again, no earlier than ``after_s`` if a time was named."""

    status: int | None
    code: str
    detail: str
    after_s: float | None = None


Answer = Accepted | Refused | Later


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredSchema:
    """A schema as the exchange's registry serves it. ``text`` is Avro's JSON."""

    id: int
    text: str

    @property
    def dataschema(self) -> str:
        """How an event names it."""
        return f"/schemas/ids/{self.id}"


class ExchangeAway(Exception):
    """The exchange cannot be reached or does not answer as the contract says. Try again later."""


class Exchange:
    """The exchange as one partner sees it. Writes are signed; reads carry the partner's bearer token."""

    def __init__(
        self, session: aiohttp.ClientSession, *, url: str, partner: str, key: SigningKey, token: str
    ) -> None:
        self._session = session
        self._url = url
        self._partner = partner
        self._key = key
        self._reads = {"tongban-partner": partner, "authorization": f"Bearer {token}"}

    async def submit(self, message_id: str, body: bytes) -> Answer:
        """Submit one event. A time-out is ``Later``: it may have arrived, so only the same bytes may follow."""
        try:
            async with self._post(
                "/v1/messages", f"{self._partner}_{message_id}", body, MEDIA_TYPE
            ) as response:
                return _answer(response, await response.read())
        except (aiohttp.ClientError, TimeoutError) as fault:
            return Later(status=None, code="unreachable", detail=type(fault).__name__)

    async def submit_all(self, message_ids: Sequence[str], bodies: Sequence[bytes]) -> list[Answer]:
        """Submit several events at once, in their order; an answer for each, in the same order."""
        webhook_id = f"{self._partner}_batch-{message_ids[0]}-{len(message_ids)}"
        body = b"[" + b",".join(bodies) + b"]"
        try:
            async with self._post("/v1/messages", webhook_id, body, BATCH_MEDIA_TYPE) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as fault:
            unreachable = Later(status=None, code="unreachable", detail=type(fault).__name__)
            return [unreachable for _ in bodies]
        results = _list(_object(answer).get("results"))
        if len(results) != len(bodies):  # refused as a whole
            return [_answer(response, answer) for _ in bodies]
        return [_of_fields(_fields(each)) for each in results]

    async def pull(self, *, most: int, wait_s: int) -> list[dict[str, object]]:
        """Lease up to ``most`` messages, waiting up to ``wait_s`` seconds for the first. Raises ExchangeAway."""
        page = await self._get("/v1/mailbox", {"max": str(most), "wait_s": str(wait_s)}, wait_s + _TIMEOUT_S)
        messages = page.get("messages")
        if not isinstance(messages, list):
            raise ExchangeAway("mailbox: expected messages")
        return [message for message in messages if isinstance(message, dict)]

    async def acknowledge(self, receipts: Sequence[Mapping[str, object]]) -> None:
        """Say what became of pulled messages. Raises ExchangeAway: then they will be leased again, which does no harm."""
        body = orjson.dumps({"receipts": list(receipts)})
        webhook_id = f"{self._partner}_receipts-{time.time_ns()}"
        try:
            async with self._post("/v1/mailbox/receipts", webhook_id, body, "application/json") as response:
                if response.status >= 300:
                    raise ExchangeAway(f"mailbox receipts: {response.status} {await response.text()}")
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise ExchangeAway(type(fault).__name__) from fault

    async def schema(self, subject: str) -> RegisteredSchema:
        """The latest version of a subject, by the Confluent registry API. Raises ExchangeAway."""
        version = await self._get(f"/subjects/{subject}/versions/latest", {}, _TIMEOUT_S)
        schema_id, text = version.get("id"), version.get("schema")
        if not isinstance(schema_id, int) or not isinstance(text, str):
            raise ExchangeAway(f"{subject}: expected id and schema")
        return RegisteredSchema(id=schema_id, text=text)

    def _post(
        self, path: str, webhook_id: str, body: bytes, media_type: str
    ) -> aiohttp.client._RequestContextManager:
        timestamp = int(time.time())  # of this attempt; the id stays the same over all of them
        headers = {
            "content-type": media_type,
            "tongban-partner": self._partner,
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": keys.sign(self._key, webhook_id, timestamp, body),
        }
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        return self._session.post(
            self._url + path, data=body, headers=headers, timeout=timeout, allow_redirects=False
        )

    async def _get(self, path: str, query: Mapping[str, str], timeout_s: float) -> dict[str, object]:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._session.get(
                self._url + path, params=query, headers=self._reads, timeout=timeout, allow_redirects=False
            ) as response:
                body = await response.read()
                if response.status != 200:
                    raise ExchangeAway(f"{path}: {response.status} {body[:200].decode(errors='replace')}")
                page = orjson.loads(body)
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as fault:
            raise ExchangeAway(f"{path}: {type(fault).__name__}") from fault
        if not isinstance(page, dict):
            raise ExchangeAway(f"{path}: expected an object")
        return page


def _answer(response: aiohttp.ClientResponse, body: bytes) -> Answer:
    fields = {"detail": response.reason or "", **_object(body), "status": response.status}
    return _of_fields(fields, _seconds(response.headers.get("retry-after")))


def _of_fields(fields: Mapping[str, object], after_s: float | None = None) -> Answer:
    """What a receipt or a problem document means."""
    status = fields.get("status")
    if status == 202:
        digest = fields.get("digest")
        return Accepted(
            digest=digest if isinstance(digest, str) else None, duplicate=bool(fields.get("duplicate"))
        )
    code, detail = str(fields.get("code", "-")), str(fields.get("detail", ""))
    if isinstance(status, int) and status in _FINAL:
        return Refused(status=status, code=code, detail=detail + _hints(fields))
    return Later(
        status=status if isinstance(status, int) else None, code=code, detail=detail, after_s=after_s
    )


def _hints(fields: Mapping[str, object]) -> str:
    """What a problem adds to help: the fields at fault, what would have been allowed."""
    hints = [
        f"{error.get('pointer')}: {error.get('expected')}"
        for error in _list(fields.get("errors"))
        if isinstance(error, dict)
    ]
    allowed = _list(fields.get("allowed"))
    if allowed:
        hints.append("allowed: " + ", ".join(map(str, allowed)))
    return f" [{'; '.join(hints)}]" if hints else ""


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _fields(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _object(body: bytes) -> dict[str, object]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return _fields(fields)


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after and retry_after.isdecimal() else None
