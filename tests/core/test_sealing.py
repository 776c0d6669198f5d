from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from broker.core.sealing import KEY_BYTES, NONCE_BYTES, TAG_BYTES, SealBroken, open_sealed, seal, unwrap, wrap

KEY = bytes(range(32))
NONCE = bytes(range(12))
keys = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
nonces = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)


@given(text=st.binary(max_size=300), key=keys, nonce=nonces, aad=st.binary(max_size=40))
def test_what_is_sealed_opens(text: bytes, key: bytes, nonce: bytes, aad: bytes) -> None:
    sealed = seal(text, key=key, nonce=nonce, aad=aad)
    assert len(sealed) == len(text) + TAG_BYTES
    assert open_sealed(sealed, key=key, nonce=nonce, aad=aad) == text


@given(text=st.binary(max_size=60), data=st.data())
def test_any_flipped_bit_breaks_the_seal(text: bytes, data: st.DataObject) -> None:
    parts = {
        "ciphertext": seal(text, key=KEY, nonce=NONCE, aad=b"case"),
        "key": KEY,
        "nonce": NONCE,
        "aad": b"case",
    }
    which = data.draw(st.sampled_from(sorted(parts)))
    changed = bytearray(parts[which])
    bit = data.draw(st.integers(0, len(changed) * 8 - 1))
    changed[bit // 8] ^= 1 << bit % 8
    parts[which] = bytes(changed)
    with pytest.raises(SealBroken):
        open_sealed(parts["ciphertext"], key=parts["key"], nonce=parts["nonce"], aad=parts["aad"])


@pytest.mark.parametrize("ciphertext", [b"", b"x" * 15, b"x" * 16])
def test_what_was_never_sealed(ciphertext: bytes) -> None:
    with pytest.raises(SealBroken):
        open_sealed(ciphertext, key=KEY, nonce=NONCE, aad=b"")


def test_it_is_aes_256_gcm() -> None:
    assert AESGCM(KEY).decrypt(NONCE, seal(b"papers", key=KEY, nonce=NONCE, aad=b"a"), b"a") == b"papers"


def test_rfc_3394_vector_4_6() -> None:
    kek = bytes.fromhex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F")
    key = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
    wrapped = "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
    assert wrap(key, kek=kek) == bytes.fromhex(wrapped)
    assert unwrap(bytes.fromhex(wrapped), kek=kek) == key


@given(key=keys, kek=keys, bit=st.integers(0, 40 * 8 - 1))
def test_wrapping_and_its_seal(key: bytes, kek: bytes, bit: int) -> None:
    wrapped = wrap(key, kek=kek)
    assert unwrap(wrapped, kek=kek) == key
    changed = bytearray(wrapped)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        unwrap(bytes(changed), kek=kek)


@pytest.mark.parametrize("wrapped", [b"", b"x", b"x" * 24, b"x" * 39, b"x" * 41, b"x" * 48])
def test_what_was_never_wrapped(wrapped: bytes) -> None:
    with pytest.raises(SealBroken):
        unwrap(wrapped, kek=KEY)


@pytest.mark.parametrize(
    ("key", "nonce"), [(b"k" * 16, NONCE), (b"", NONCE), (KEY, b"n" * 11), (KEY, b"n" * 16)]
)
def test_sizes_are_not_negotiable(key: bytes, nonce: bytes) -> None:
    with pytest.raises(ValueError, match="bytes"):
        seal(b"", key=key, nonce=nonce, aad=b"")
    with pytest.raises(ValueError, match="bytes"):
        open_sealed(b"x" * 20, key=key, nonce=nonce, aad=b"")


def test_short_keys_are_not_wrapped() -> None:
    for key, kek in ((b"k" * 16, KEY), (KEY, b"k" * 16)):
        with pytest.raises(ValueError, match="32 bytes"):
            wrap(key, kek=kek)
    with pytest.raises(ValueError, match="32 bytes"):
        unwrap(b"x" * 40, kek=b"k" * 16)
