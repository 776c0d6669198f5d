"""Signatures: against another maker's Ed25519, at the edges of the clock, with keys that rotate."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from deploy.demo import keys

KEY = SigningKey(bytes(range(32)))
NOW_S = 1_772_413_200


def signed(body: bytes = b"{}", key: SigningKey = KEY, timestamp: int = NOW_S) -> str:
    return keys.sign(key, "451300_m-1", timestamp, body)


def holds(header: str, body: bytes = b"{}", *, timestamp: int = NOW_S, message: str = "451300_m-1") -> bool:
    return keys.holds(header, message, timestamp, body, keys=[KEY.verify_key], now_s=NOW_S)


@given(body=st.binary(max_size=200))
def test_another_makers_library_accepts_what_we_sign(body: bytes) -> None:
    version, _, text = signed(body).partition(",")
    public = Ed25519PublicKey.from_public_bytes(KEY.verify_key.encode())
    public.verify(base64.b64decode(text), b"451300_m-1.%d." % NOW_S + body)
    assert version == "v1a"


def test_we_accept_what_another_makers_library_signs() -> None:
    private = Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    public = keys.parse_public("whpk_" + base64.b64encode(raw).decode())
    header = "v1a," + base64.b64encode(private.sign(b"451300_m-1.%d.{}" % NOW_S)).decode()
    assert keys.holds(header, "451300_m-1", NOW_S, b"{}", keys=[public], now_s=NOW_S)


@pytest.mark.parametrize("offset_s", [-300, 300])
def test_the_clock_may_differ_by_five_minutes(offset_s: int) -> None:
    assert holds(signed(timestamp=NOW_S + offset_s), timestamp=NOW_S + offset_s)


@pytest.mark.parametrize("offset_s", [-301, 301])
def test_and_by_no_second_more(offset_s: int) -> None:
    assert not holds(signed(timestamp=NOW_S + offset_s), timestamp=NOW_S + offset_s)


def test_a_signature_covers_id_time_and_body() -> None:
    header = signed(b"{}")
    assert not holds(header, b"{ }")
    assert not holds(header, message="451300_m-2")
    assert not holds(header, timestamp=NOW_S + 1)


def test_one_of_several_signatures_is_enough_while_keys_rotate() -> None:
    other = SigningKey.generate()
    assert holds(f"{signed(key=other)} {signed()}")
    assert holds(f"v1,{base64.b64encode(bytes(32)).decode()} {signed()}")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "v1a",
        "v1a,",
        "v1a,@@@",
        "v1a," + base64.b64encode(bytes(63)).decode(),
        "v1," + signed()[4:],
        signed()[4:],
    ],
)
def test_what_is_no_signature_of_ours_does_not_hold(header: str) -> None:
    assert not holds(header)


def test_another_partys_key_does_not_hold() -> None:
    assert not holds(signed(key=SigningKey.generate()))


def test_keys_travel_as_text() -> None:
    assert keys.parse_secret(keys.secret_text(KEY)) == KEY
    assert keys.parse_public(keys.public_text(KEY)) == KEY.verify_key
    seed_alone = "whsk_" + base64.b64encode(KEY.encode()).decode()
    assert keys.parse_secret(seed_alone) == KEY


@pytest.mark.parametrize(
    "text", ["", "whsk_", "whpk_@@@", "whsec_AAAA", "whpk_" + base64.b64encode(bytes(31)).decode()]
)
def test_a_text_that_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    for parse in (keys.parse_public, keys.parse_secret):
        with pytest.raises(ValueError, match=r"expected") as fault:
            parse(text)
        assert len(text) < 6 or text not in str(fault.value)
