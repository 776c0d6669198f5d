"""Standard Webhooks signatures: ``v1a`` (Ed25519) between cities, ``v1`` (HMAC-SHA256) where a partner cannot.

Signed text: ``<webhook-id>.<webhook-timestamp>.<body>``. Source: Standard Webhooks 1.0; RFC 8032; RFC 2104.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

TOLERANCE_S: Final = 300
SEED_BYTES: Final = 32
_PUBLIC_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_SECRET_BYTES: Final = range(24, 65)
_ID_MAX: Final = 128
_HEADER_MAX: Final = 4096
_SIGNATURES_MAX: Final = 16
_LONG_BYTES: Final = 32 * 1024
"""From here on what costs is to hash the text, twice: OpenSSL does that in two thirds of libsodium's time."""


class SignatureFault(StrEnum):
    """Why a signature does not hold: enough to mend it, nothing that helps to forge one."""

    ID_MALFORMED = "webhook-id: expected 1 to 128 visible ASCII characters without '.'"
    TOO_OLD = "webhook-timestamp: more than the tolerance in the past"
    TOO_NEW = "webhook-timestamp: more than the tolerance in the future"
    HEADER_MALFORMED = "webhook-signature: expected 'v1a,<base64>' or 'v1,<base64>', at most 16 of them"
    NO_KEY = "webhook-signature: no key of this caller is of the versions that it signs with"
    NO_MATCH = "webhook-signature: matches none of the caller's keys in force"


class KeyInvalid(ValueError):
    """The text is not a key of its form. The text itself is never repeated."""


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """An Ed25519 public key of 32 bytes. Raises :class:`KeyInvalid` for another length."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != _PUBLIC_BYTES:
            raise KeyInvalid("expected whpk_ and base64 of 32 bytes")

    @classmethod
    def parse(cls, text: str) -> VerifyKey:
        """From ``whpk_<base64 of 32 bytes>``. Raises :class:`KeyInvalid`."""
        return cls(_decode(text, "whpk_", "whpk_ and base64 of 32 bytes"))

    def to_text(self) -> str:
        return f"whpk_{_encode(self.raw)}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key pair; ``secret`` (seed and public key, 64 bytes) never shows in a repr."""

    secret: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """From 32 random bytes (``secrets.token_bytes(32)``). Raises :class:`KeyInvalid` for another length."""
        if len(seed) != SEED_BYTES:
            raise KeyInvalid("expected a seed of 32 bytes")
        return cls(crypto_sign_seed_keypair(seed)[1])

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """From ``whsk_<base64>`` of the seed (32 bytes) or seed and public key (64). Raises :class:`KeyInvalid`."""
        form = "whsk_ and base64 of 32 or 64 bytes"
        raw = _decode(text, "whsk_", form)
        if len(raw) not in {SEED_BYTES, SEED_BYTES + _PUBLIC_BYTES}:
            raise KeyInvalid(f"expected {form}")
        key = cls.from_seed(raw[:SEED_BYTES])
        if len(raw) > SEED_BYTES and raw != key.secret:
            raise KeyInvalid("the public half does not belong to the seed")
        return key

    @property
    def verify_key(self) -> VerifyKey:
        return VerifyKey(self.secret[SEED_BYTES:])

    def to_text(self) -> str:
        """``whsk_…``: a secret; write it to a file of its own and nowhere else."""
        return f"whsk_{_encode(self.secret)}"


def parse_secret(text: str) -> bytes:
    """A shared secret from ``whsec_<base64 of 24 to 64 bytes>``. Raises :class:`KeyInvalid`."""
    form = "whsec_ and base64 of 24 to 64 bytes"
    raw = _decode(text, "whsec_", form)
    if len(raw) not in _SECRET_BYTES:
        raise KeyInvalid(f"expected {form}")
    return raw


def secret_text(secret: bytes) -> str:
    """A shared secret (24 to 64 random bytes) as ``whsec_…``. Raises :class:`KeyInvalid` for another length."""
    if len(secret) not in _SECRET_BYTES:
        raise KeyInvalid("expected 24 to 64 bytes")
    return f"whsec_{_encode(secret)}"


def signed_text(webhook_id: str, timestamp: int, body: bytes) -> bytes:
    """What a signature covers. Raises ValueError for an id with ``.``: two texts could then read the same."""
    if not _is_id(webhook_id):
        raise ValueError(SignatureFault.ID_MALFORMED.value)
    return f"{webhook_id}.{timestamp}.".encode() + body


def sign_v1a(key: SigningKey, webhook_id: str, timestamp: int, body: bytes) -> str:
    """``v1a,<base64>``: one entry of ``webhook-signature``. ``timestamp`` is the attempt's, in Unix seconds."""
    text = signed_text(webhook_id, timestamp, body)
    if len(text) < _LONG_BYTES:
        signature = crypto_sign(text, key.secret)[:_SIGNATURE_BYTES]
    else:
        signature = _quick_at_length(key.secret[:SEED_BYTES]).sign(text)
    return f"v1a,{_encode(signature)}"


@lru_cache(maxsize=16)
def _quick_at_length(seed: bytes) -> Ed25519PrivateKey:
    """The same key for OpenSSL. A text has one Ed25519 signature (RFC 8032, section 5.1.6), whoever makes it."""
    return Ed25519PrivateKey.from_private_bytes(seed)


def sign_v1(secret: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """``v1,<base64>``: one entry of ``webhook-signature``, by a shared secret."""
    return f"v1,{_encode(hmac.digest(secret, signed_text(webhook_id, timestamp, body), hashlib.sha256))}"


def verify(
    header: str,
    webhook_id: str,
    timestamp: int,
    body: bytes,
    *,
    now_s: int,
    public_keys: Sequence[VerifyKey],
    secrets: Sequence[bytes],
    tolerance_s: int = TOLERANCE_S,
) -> SignatureFault | None:
    """None when one entry of ``header`` holds under one key in force; else why not.

    ``header`` may hold several entries separated by spaces (keys rotate); versions that are not ours are
    passed over. An entry is only ever tried with keys of its own version: a caller without a shared secret
    is never believed on a ``v1``. The tolerance includes its edges.
    """
    entries = _entries(header)
    fault = _fault_of_form(entries, webhook_id, timestamp - now_s, tolerance_s)
    if fault is not None:
        return fault
    text = signed_text(webhook_id, timestamp, body)
    tried = False
    for version, signature in entries:
        if version == "v1a":
            tried = tried or bool(public_keys)
            if _holds_v1a(signature, text, public_keys):
                return None
        else:
            tried = tried or bool(secrets)
            if _holds_v1(signature, text, secrets):
                return None
    return SignatureFault.NO_MATCH if tried else SignatureFault.NO_KEY


def _fault_of_form(
    entries: Sequence[tuple[str, str]], webhook_id: str, ahead_s: int, tolerance_s: int
) -> SignatureFault | None:
    if not _is_id(webhook_id):
        return SignatureFault.ID_MALFORMED
    if ahead_s < -tolerance_s:
        return SignatureFault.TOO_OLD
    if ahead_s > tolerance_s:
        return SignatureFault.TOO_NEW
    return None if entries else SignatureFault.HEADER_MALFORMED


def _entries(header: str) -> list[tuple[str, str]]:
    """The entries of versions ``v1`` and ``v1a``; none when the header is not of its form."""
    if len(header) > _HEADER_MAX or not header.isascii():
        return []
    parts = header.split(" ")
    if len(parts) > _SIGNATURES_MAX or not all("," in part for part in parts):
        return []
    pairs = [part.partition(",")[::2] for part in parts]
    return [(version, signature) for version, signature in pairs if version in {"v1", "v1a"}]


def _holds_v1a(signature: str, text: bytes, keys: Sequence[VerifyKey]) -> bool:
    try:
        raw = binascii.a2b_base64(signature, strict_mode=True)
    except binascii.Error:
        return False
    # One signature has one spelling: base64 with stray bits at its end would be a second.
    if len(raw) != _SIGNATURE_BYTES or _encode(raw) != signature:
        return False
    signed = raw + text
    for key in keys:
        try:
            crypto_sign_open(signed, key.raw)
        except BadSignatureError:
            continue
        return True
    return False


def _holds_v1(signature: str, text: bytes, secrets: Sequence[bytes]) -> bool:
    holds = False
    for secret in secrets:
        # A short secret can be guessed; an empty one is everybody's.
        if len(secret) in _SECRET_BYTES:
            expected = _encode(hmac.digest(secret, text, hashlib.sha256))
            holds |= hmac.compare_digest(expected, signature)
    return holds


def _is_id(text: str) -> bool:
    return 0 < len(text) <= _ID_MAX and text.isascii() and text.isprintable() and not {".", " "} & set(text)


def _encode(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


def _decode(text: str, prefix: str, form: str) -> bytes:
    if not text.startswith(prefix) or not text.isascii():
        raise KeyInvalid(f"expected {form}")
    try:
        return binascii.a2b_base64(text[len(prefix) :], strict_mode=True)
    except binascii.Error:
        raise KeyInvalid(f"expected {form}") from None
