"""Push over HTTP: a signed CloudEvent to the partner's URL, and what its answer means.

Source: contract, "What a partner receives"; CloudEvents 1.0 HTTP binding (structured, batch); Standard Webhooks.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, TypeVar

import orjson
from pydantic import Field

from broker.core.catalogue.directory import Partner
from broker.core.documents import FORBID_UNKNOWN, Fault
from broker.core.events import BATCH_MEDIA_TYPE, MEDIA_TYPE, structured_event
from broker.core.signatures import sign_v1
from connectors.addresses import networks, url_fault
from connectors.base import Answer, Delivered, Features, Parcel, Ports, Refused, Signer
from connectors.http_answers import read_answer, read_object, read_results
from connectors.http_client import ClientOptions, Failure, HttpClient, Response
from connectors.mapping import MappingOptions

_Seconds = Annotated[float, Field(gt=0, le=300)]
_ANSWER_BYTES: Final = 64 * 1024
Done = Callable[[Sequence[Answer]], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How one partner's system is reached.

    ``url``: where messages are posted. ``allow``: networks inside which its address may lie though they are
    not public. ``sign``: ``v1a`` (the broker's Ed25519 key) or ``v1`` (the shared secret named in
    ``keys.secret``), or both. ``receipt_within_s``: how long after a 202 its receipt may take. ``ca``,
    ``certificate``, ``key``: PEM files for TLS.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    kind: Literal["http"] = "http"
    url: str
    allow: tuple[str, ...] = ()
    sign: Annotated[tuple[Literal["v1a", "v1"], ...], Field(min_length=1)] = ("v1a",)
    connect_timeout_s: _Seconds = 5.0
    timeout_s: _Seconds = 20.0
    receipt_within_s: Annotated[float, Field(gt=0, le=30 * 86400)] = 86400.0
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    mapping: tuple[MappingOptions, ...] = ()


def faults(partner: Partner, options: HttpOptions) -> Iterator[Fault]:
    """What the types cannot check: addresses, networks, names of secrets, files."""
    try:
        allow = networks(options.allow)
    except ValueError:
        yield Fault(file="", key="allow", expected="expected networks such as 10.20.0.0/16")
        return
    expected = url_fault(options.url, allow)
    if expected is not None:
        yield Fault(file="", key="url", expected=expected)
    if "v1" in options.sign and partner.keys.secret is None:
        yield Fault(file="", key="sign", expected="expected keys.secret to name a shared secret for v1")
    if options.key is not None and options.certificate is None:
        yield Fault(file="", key="certificate", expected="missing: key is set")
    for name in ("ca", "certificate", "key"):
        path: str | None = getattr(options, name)
        if path is not None and not Path(path).is_file():
            yield Fault(file="", key=name, expected="expected a PEM file that can be read")


class HttpConnector:
    """One partner's HTTP endpoint. A 2xx, 4xx or 5xx is always a value; so is every failure of the network."""

    def __init__(self, partner: Partner, options: HttpOptions, ports: Ports) -> None:
        self._within_s = options.receipt_within_s
        self._signers = tuple(_signers(partner, options, ports))
        self._now_s = ports.now_s
        self._client = HttpClient(
            ClientOptions(
                url=options.url,
                connections=partner.limits.in_flight,
                connect_timeout_s=options.connect_timeout_s,
                timeout_s=options.timeout_s,
                body_bytes=_ANSWER_BYTES,
                allow=networks(options.allow),
                ca=options.ca,
                certificate=options.certificate,
                key=options.key,
            )
        )
        self._features = Features(batch=partner.limits.batch, maps=True)

    @property
    def features(self) -> Features:
        return self._features

    async def start(self) -> None:
        self._client.start()

    async def close(self) -> None:
        self._client.close()

    async def deliver(self, parcels: Sequence[Parcel]) -> Sequence[Answer]:
        heard: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        self.submit(parcels, partial(_resolve, heard))
        return await heard

    def submit(self, parcels: Sequence[Parcel], done: Done) -> None:
        """As :meth:`deliver`, without a task: ``done`` is called from the loop, never from within this call."""
        if self._features.batch == 1 and len(parcels) == 1:
            self._submit_one(parcels[0], done)
        else:
            self._submit_batch(parcels, done)

    async def probe(self) -> Answer:
        """OPTIONS: any answer at all shows that the system is there; faults of configuration still tell."""
        heard: asyncio.Future[Response | Failure] = asyncio.get_running_loop().create_future()
        self._client.options(partial(_resolve, heard))
        match await heard:
            case Response(status=status) as response if status in {200, 204, 404, 405, 501}:
                return Delivered(code=str(response.status))
            case result:
                return read_answer(result, self._within_s)

    def _submit_one(self, parcel: Parcel, done: Done) -> None:
        message = parcel.message
        body = orjson.dumps(structured_event(message, parcel.data))
        headers = self._headers(message.webhook_id, MEDIA_TYPE, body, parcel.attempt)
        if message.traceparent is not None:
            headers.append(f"traceparent: {message.traceparent}")
        within_s = self._within_s
        self._client.post(headers, body, lambda result: done((read_answer(result, within_s),)))

    def _submit_batch(self, parcels: Sequence[Parcel], done: Done) -> None:
        body = orjson.dumps([structured_event(parcel.message, parcel.data) for parcel in parcels])
        attempt = max(parcel.attempt for parcel in parcels)
        headers = self._headers(_batch_id(parcels), BATCH_MEDIA_TYPE, body, attempt)
        self._client.post(headers, body, lambda result: self._batch_done(parcels, result, done))

    def _batch_done(self, parcels: Sequence[Parcel], result: Response | Failure, done: Done) -> None:
        if isinstance(result, Response) and result.status in {200, 207}:
            done(read_results(parcels, read_object(result.body), self._within_s))
            return
        answer = read_answer(result, self._within_s)
        if isinstance(answer, Refused) and len(parcels) > 1:
            self._one_by_one(parcels, done)
        else:
            done([answer] * len(parcels))

    def _one_by_one(self, parcels: Sequence[Parcel], done: Done) -> None:
        """A batch refused as a whole does not say which message is at fault: ask for each by itself."""
        answers: dict[int, Answer] = {}

        def one_done(index: int, heard: Sequence[Answer]) -> None:
            answers[index] = heard[0]
            if len(answers) == len(parcels):
                done([answers[each] for each in range(len(parcels))])

        for index, parcel in enumerate(parcels):
            self._submit_batch([parcel], partial(one_done, index))

    def _headers(self, webhook_id: str, media_type: str, body: bytes, attempt: int) -> list[str]:
        timestamp = int(self._now_s())
        signature = " ".join([sign(webhook_id, timestamp, body) for sign in self._signers])
        return [
            f"Content-Type: {media_type}",
            f"webhook-id: {webhook_id}",
            f"webhook-timestamp: {timestamp}",
            f"webhook-signature: {signature}",
            f"tongban-attempt: {attempt}",
        ]


def _resolve(heard: asyncio.Future[T], value: T) -> None:
    if not heard.done():
        heard.set_result(value)


def _signers(partner: Partner, options: HttpOptions, ports: Ports) -> Iterator[Signer]:
    for kind in options.sign:
        if kind == "v1a":
            yield ports.sign
        else:
            assert partner.keys.secret is not None
            yield partial(sign_v1, ports.secrets[partner.keys.secret])


def _batch_id(parcels: Sequence[Parcel]) -> str:
    names = " ".join(parcel.message.webhook_id for parcel in parcels)
    return f"batch_{hashlib.sha256(names.encode()).hexdigest()[:32]}"
