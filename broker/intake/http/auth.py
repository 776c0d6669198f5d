"""Who calls, and what proves it: signatures for writes, tokens for reads, certificates for trusted channels.

Source: contract, "Partner API"; Standard Webhooks 1.0.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from aiohttp import web

from broker.core import signatures
from broker.core.catalogue.directory import Directory, Partner
from broker.core.ids import PartnerId
from broker.core.problems import FieldError, Refusal
from broker.intake.ports import DirectorySource

PARTNER_HEADER: Final = "tongban-partner"
SIGNATURE_HEADER: Final = "webhook-signature"
ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_UNKNOWN: Final = Refusal(
    code="caller-unknown", detail="tongban-partner and its proof do not name a caller of the directory"
)


class Auth(StrEnum):
    """How a route is to be proved."""

    PUBLIC = "public"
    """By nothing: the same for everybody."""
    READ = "read"
    """By a bearer token, or by a client certificate."""
    SIGNED = "signed"
    """By a signature over the body."""
    SUBMISSION = "submission"
    """By a signature over the body; binary mode by a trusted channel."""


class Proof(NamedTuple):
    """What vouches for a submission: a signature with what it covers besides the body, or the channel."""

    signature: str | None
    webhook_id: str | None
    timestamp: str | None

    @property
    def by_channel(self) -> bool:
        return self.signature is None


CHANNEL: Final = Proof(None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A partner of the directory with its keys ready for use."""

    partner: Partner
    public_keys: tuple[signatures.VerifyKey, ...]
    secrets: tuple[bytes, ...]
    tokens: tuple[str, ...]


class Callers:
    """The partners of the directory in force, their keys parsed once per version."""

    def __init__(
        self,
        directory: DirectorySource,
        secrets: Mapping[str, bytes],
        *,
        proxy_header: str | None = None,
        proxy_addresses: tuple[str, ...] = (),
    ) -> None:
        self._directory = directory
        self._secrets = secrets
        self._proxy_header = proxy_header
        self._proxy_addresses = frozenset(proxy_addresses)
        self._of: Directory | None = None
        self._known: dict[str, Credentials] = {}

    def named(self, request: web.BaseRequest) -> Credentials | Refusal:
        """The caller that the request names; nothing is proved yet."""
        name = request.headers.get(PARTNER_HEADER)
        if name is None:
            missing = FieldError(pointer=f"/headers/{PARTNER_HEADER}", expected="the caller's partner id")
            return Refusal(code="caller-unknown", detail=_UNKNOWN.detail, errors=(missing,))
        directory = self._directory.current()
        if directory is not self._of:
            self._of, self._known = directory, {}
        known = self._known.get(name)
        if known is None:
            partner = directory.partners.get(PartnerId(name))
            if partner is None:
                return _UNKNOWN
            known = self._known[name] = self._credentials(partner)
        return known

    def reader(self, request: web.BaseRequest) -> Credentials | Refusal:
        """The caller of a read, proved by token or client certificate."""
        caller = self.named(request)
        if isinstance(caller, Refusal):
            return caller
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            presented = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest()
            matches = [hmac.compare_digest(presented, known) for known in caller.tokens]
            return caller if any(matches) else _UNKNOWN
        return caller if self.by_channel(request, caller) else _UNKNOWN

    def by_channel(self, request: web.BaseRequest, caller: Credentials) -> bool:
        """Whether the connection itself proves the caller: its certificate's common name is its id."""
        name = self._channel_name(request)
        return name is not None and name == caller.partner.id

    def signed(
        self, request: web.BaseRequest, caller: Credentials, body: bytes, now_s: int
    ) -> Proof | Refusal:
        """The signature over ``body``, verified with the caller's keys in force."""
        headers = request.headers
        signature = headers.get(SIGNATURE_HEADER)
        webhook_id = headers.get(ID_HEADER)
        timestamp = headers.get(TIMESTAMP_HEADER)
        if signature is None or webhook_id is None or timestamp is None:
            return _missing(headers)
        if not _TIMESTAMP.fullmatch(timestamp):
            wrong = FieldError(
                pointer=f"/headers/{TIMESTAMP_HEADER}", expected="seconds since 1970, digits only"
            )
            return Refusal(code="header-invalid", detail="a header is malformed", errors=(wrong,))
        if ";" in webhook_id:  # it is kept in tongban-signed, whose parts are separated so
            return Refusal(code="signature-invalid", detail="the signature was refused: ';' in webhook-id")
        fault = signatures.verify(
            signature,
            webhook_id,
            int(timestamp),
            body,
            now_s=now_s,
            public_keys=caller.public_keys,
            secrets=caller.secrets,
        )
        if fault is not None:
            return Refusal(code="signature-invalid", detail=f"the signature was refused: {fault.value}")
        return Proof(signature, webhook_id, timestamp)

    def _credentials(self, partner: Partner) -> Credentials:
        secret = self._secrets.get(partner.keys.secret) if partner.keys.secret is not None else None
        return Credentials(
            partner=partner,
            public_keys=tuple(signatures.VerifyKey.parse(text) for text in partner.keys.verify),
            secrets=() if secret is None else (secret,),
            tokens=partner.keys.token_sha256,
        )

    def _channel_name(self, request: web.BaseRequest) -> str | None:
        transport = request.transport
        if transport is None:
            return None
        certificate = transport.get_extra_info("peercert")
        if certificate:
            return _common_name(certificate)
        if self._proxy_header is not None and request.remote in self._proxy_addresses:
            named: list[str] = request.headers.getall(self._proxy_header, [])
            return named[0] if len(named) == 1 else None
        return None


def _missing(headers: Mapping[str, str]) -> Refusal:
    errors = tuple(
        FieldError(pointer=f"/headers/{name}", expected="Standard Webhooks: to be present")
        for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
        if name not in headers
    )
    return Refusal(code="signature-invalid", detail="the request is not signed", errors=errors)


def _common_name(certificate: Mapping[str, object]) -> str | None:
    subject = certificate.get("subject")
    if not isinstance(subject, tuple):
        return None
    names = [value for relative in subject for key, value in relative if key == "commonName"]
    return names[0] if len(names) == 1 else None
