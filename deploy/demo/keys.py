"""Ed25519 keys and Standard Webhooks signatures (``v1a``), as a partner writes them: thirty lines and libsodium.

What is signed is ``<webhook-id>.<webhook-timestamp>.<body>``. Keys travel as text: ``whsk_`` (secret: seed
and public key, 64 bytes), ``whpk_`` (public, 32 bytes), both base64.
Source: contract, "Partner API"; the Standard Webhooks specification, "Signature scheme".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

_PRIVATE = "whsk_"
_PUBLIC = "whpk_"
_VERSION = "v1a"
TOLERANCE_S = 300
"""How far a signature's clock may be from ours, either way, in seconds."""


def secret_text(key: SigningKey) -> str:
    """A signing key as ``whsk_…``. It belongs in a file that only its owner reads."""
    return _PRIVATE + base64.b64encode(key.encode() + key.verify_key.encode()).decode()


def public_text(key: SigningKey) -> str:
    """The public half as ``whpk_…``: what the other side puts into its directory."""
    return _PUBLIC + base64.b64encode(key.verify_key.encode()).decode()


def parse_secret(text: str) -> SigningKey:
    """A ``whsk_…`` text as a key. Raises ValueError, which never repeats the text."""
    raw = _decode(text, _PRIVATE)
    if len(raw) not in {32, 64}:
        raise ValueError(f"expected 32 or 64 bytes after {_PRIVATE}")
    return SigningKey(raw[:32])


def parse_public(text: str) -> VerifyKey:
    """A ``whpk_…`` text as a key. Raises ValueError."""
    raw = _decode(text, _PUBLIC)
    if len(raw) != 32:
        raise ValueError(f"expected 32 bytes after {_PUBLIC}")
    return VerifyKey(raw)


def sign(key: SigningKey, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` header for one attempt. ``timestamp`` is that attempt's, in Unix seconds."""
    signature = key.sign(_signed_text(webhook_id, timestamp, body)).signature
    return f"{_VERSION},{base64.b64encode(signature).decode()}"


def holds(
    header: str, webhook_id: str, timestamp: int, body: bytes, *, keys: Sequence[VerifyKey], now_s: int
) -> bool:
    """Whether one of the header's ``v1a`` signatures is by one of ``keys`` and its clock is near ours.

    The header lists several signatures while keys rotate; those of other versions are passed over.
    """
    if abs(now_s - timestamp) > TOLERANCE_S:
        return False
    text = _signed_text(webhook_id, timestamp, body)
    return any(_by(key, text, signature) for signature in _signatures(header) for key in keys)


def _signed_text(webhook_id: str, timestamp: int, body: bytes) -> bytes:
    return b"%s.%d.%s" % (webhook_id.encode(), timestamp, body)


def _signatures(header: str) -> list[bytes]:
    listed = (entry.partition(",") for entry in header.split(" "))
    return [_unbase64(text) for version, _, text in listed if version == _VERSION]


def _by(key: VerifyKey, text: bytes, signature: bytes) -> bool:
    try:
        key.verify(text, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def _decode(text: str, prefix: str) -> bytes:
    if not text.startswith(prefix):
        raise ValueError(f"expected {prefix} and base64")
    return _unbase64(text.removeprefix(prefix))


def _unbase64(text: str) -> bytes:
    """The bytes, or none for what is not base64: no signature and no key has that length."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
