"""The sealed compartment's cryptography: AES-256-GCM, and key wrapping. Nonces and keys are arguments.

Source: NIST SP 800-38D (GCM), RFC 3394 (AES Key Wrap); ADR 0005.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

ALGORITHM: Final = "AES-256-GCM"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class SealBroken(ValueError):
    """The compartment does not open: another key, other facts around it, or changed bytes."""

    def __init__(self) -> None:
        super().__init__((self.__doc__ or "").strip())


def seal(plaintext: bytes, *, key: bytes, nonce: bytes, aad: bytes) -> bytes:
    """Ciphertext followed by its 16-byte tag. ``aad`` is bound, not hidden.

    A (key, nonce) pair must never be used for two plaintexts: the caller draws 12 random bytes a message,
    under a key of one case. Raises ValueError for a key that is not 32 bytes or a nonce that is not 12.
    """
    _check(key, nonce)
    return AESGCM(key).encrypt(nonce, plaintext, aad)


def open_sealed(ciphertext: bytes, *, key: bytes, nonce: bytes, aad: bytes) -> bytes:
    """The plaintext. Raises :class:`SealBroken` when anything differs, ValueError for sizes as :func:`seal`."""
    _check(key, nonce)
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, aad)
    except InvalidTag:
        raise SealBroken from None


def wrap(key: bytes, *, kek: bytes) -> bytes:
    """A case's data key under a key-encryption key: 40 bytes. Raises ValueError for keys that are not 32 bytes."""
    _check_key(key)
    _check_key(kek)
    return aes_key_wrap(kek, key)


def unwrap(wrapped: bytes, *, kek: bytes) -> bytes:
    """The inverse of :func:`wrap`. Raises :class:`SealBroken` for another kek or changed bytes."""
    _check_key(kek)
    try:
        key = aes_key_unwrap(kek, wrapped)
    except InvalidUnwrap:
        raise SealBroken from None
    if len(key) != KEY_BYTES:
        raise SealBroken
    return key


def _check(key: bytes, nonce: bytes) -> None:
    _check_key(key)
    if len(nonce) != NONCE_BYTES:
        raise ValueError("a nonce has 12 bytes")


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise ValueError("a key has 32 bytes")
