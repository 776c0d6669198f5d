from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_sign
from standardwebhooks.webhooks import Webhook

from broker.core.signatures import (
    KeyInvalid,
    SignatureFault,
    SigningKey,
    VerifyKey,
    parse_secret,
    secret_text,
    sign_v1,
    sign_v1a,
    signed_text,
    verify,
)

# The vector of Standard Webhooks (field.md).
SECRET = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
VECTOR = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

KEY = SigningKey.from_seed(b"\x01" * 32)
OTHER = SigningKey.from_seed(b"\x02" * 32)


def fault(
    header: str,
    *,
    webhook_id: str = ID,
    timestamp: int = AT,
    body: bytes = BODY,
    now_s: int = AT,
    keys: tuple[SigningKey, ...] = (),
    secrets: tuple[bytes, ...] = (),
) -> SignatureFault | None:
    return verify(
        header,
        webhook_id,
        timestamp,
        body,
        now_s=now_s,
        public_keys=[key.verify_key for key in keys],
        secrets=secrets,
    )


V1A = sign_v1a(KEY, ID, AT, BODY)


def test_the_vector_of_the_standard() -> None:
    assert sign_v1(SECRET, ID, AT, BODY) == VECTOR
    assert fault(VECTOR, secrets=(SECRET,)) is None


def test_v1a_is_plain_ed25519_over_id_time_and_body() -> None:
    version, _, text = V1A.partition(",")
    assert version == "v1a"
    theirs = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
    theirs.public_key().verify(base64.b64decode(text), f"{ID}.{AT}.".encode() + BODY)
    assert theirs.sign(f"{ID}.{AT}.".encode() + BODY) == base64.b64decode(text)
    assert fault(V1A, keys=(KEY,)) is None


@pytest.mark.parametrize("length", [0, 32 * 1024 - 60, 32 * 1024, 300_000])
def test_a_text_has_one_signature_however_long_it_is(length: int) -> None:
    body = b"x" * length
    expected = crypto_sign(signed_text(ID, AT, body), KEY.secret)[:64]
    assert sign_v1a(KEY, ID, AT, body) == f"v1a,{base64.b64encode(expected).decode()}"


def test_rfc_8032_test_1() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert SigningKey.from_seed(seed).verify_key == VerifyKey(public)


def test_another_makers_library_and_ours_understand_each_other() -> None:
    theirs = Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert theirs.sign(ID, datetime.fromtimestamp(AT, UTC), BODY.decode()) == VECTOR
    now_s = int(time.time())  # their verifier asks the clock itself
    header = f"{sign_v1a(KEY, ID, now_s, BODY)} {sign_v1(SECRET, ID, now_s, BODY)}"
    headers = {"webhook-id": ID, "webhook-timestamp": str(now_s), "webhook-signature": header}
    assert theirs.verify(BODY, headers) == {"test": 2432232314}


@pytest.mark.parametrize(
    ("drift_s", "expected"),
    [
        (0, None),
        (-300, None),
        (300, None),
        (-301, SignatureFault.TOO_OLD),
        (301, SignatureFault.TOO_NEW),
        (-(10**12), SignatureFault.TOO_OLD),
        (10**12, SignatureFault.TOO_NEW),
    ],
)
def test_five_minutes_either_way_with_their_edges(drift_s: int, expected: SignatureFault | None) -> None:
    timestamp = AT + drift_s
    assert fault(sign_v1a(KEY, ID, timestamp, BODY), timestamp=timestamp, keys=(KEY,)) == expected


@pytest.mark.parametrize("webhook_id", ["", "a.b", ".", "a b", "a\nb", "中", "x" * 129, "a\x00"])
def test_ids_that_could_read_as_something_else(webhook_id: str) -> None:
    assert fault(V1A, webhook_id=webhook_id, keys=(KEY,)) is SignatureFault.ID_MALFORMED
    with pytest.raises(ValueError, match="webhook-id"):
        signed_text(webhook_id, AT, BODY)
    with pytest.raises(ValueError, match="webhook-id"):
        sign_v1a(KEY, webhook_id, AT, BODY)


def test_moving_a_dot_does_not_move_the_signature() -> None:
    # "a.1.2.x": id "a" at 1 with body "2.x", or id "a.1" at 2 with body "x": the second is refused
    moved = sign_v1a(KEY, "a", 1, b"2.x")
    assert (
        fault(moved, webhook_id="a.1", timestamp=2, body=b"x", now_s=2, keys=(KEY,))
        is SignatureFault.ID_MALFORMED
    )


def test_rotation_both_sides() -> None:
    both = f"{sign_v1a(OTHER, ID, AT, BODY)} {V1A}"
    assert fault(both, keys=(KEY,)) is None  # several signatures, one key
    assert fault(V1A, keys=(OTHER, KEY)) is None  # one signature, several keys
    assert fault(V1A, keys=(OTHER,)) is SignatureFault.NO_MATCH  # after the overlap
    assert fault(f"v2,unheard {V1A}", keys=(KEY,)) is None  # other versions are passed over
    assert fault(f"v1,bm8= {VECTOR}", secrets=(b"k" * 32, SECRET)) is None


def test_no_downgrade() -> None:
    public = KEY.verify_key.raw
    assert fault(VECTOR, keys=(KEY,)) is SignatureFault.NO_KEY
    assert (
        fault(sign_v1(public, ID, AT, BODY), keys=(KEY,)) is SignatureFault.NO_KEY
    )  # a public key is no secret
    assert fault(f"{VECTOR} v1a,{'A' * 86}==", keys=(KEY,)) is SignatureFault.NO_MATCH
    assert fault(V1A, secrets=(SECRET,)) is SignatureFault.NO_KEY
    assert fault(V1A) is SignatureFault.NO_KEY


@pytest.mark.parametrize("secret", [b"", b"short", b"x" * 23])
def test_a_secret_that_can_be_guessed_vouches_for_nobody(secret: bytes) -> None:
    assert fault(sign_v1(secret, ID, AT, BODY), secrets=(secret,)) is SignatureFault.NO_MATCH


@pytest.mark.parametrize(
    "header",
    ["", " ", "v1a", V1A[4:], f"{V1A},", f" {V1A}", f"{V1A}  {V1A}", f"{V1A}\n", f"V1A,{V1A[4:]}",
     "v1a," + "中" * 88, " ".join([V1A] * 17), "v1a," + "A" * 5000, "v2,abc", f"v1a, {V1A[4:]}",
     V1A.rstrip("="), V1A.replace("+", "-").replace("/", "_") + "x"],
)  # fmt: skip
def test_headers_that_are_not_of_their_form(header: str) -> None:
    assert fault(header, keys=(KEY,)) in {SignatureFault.HEADER_MALFORMED, SignatureFault.NO_MATCH}


def test_one_signature_has_one_spelling() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = V1A[-3]  # the last character before '==' carries 2 bits of 6
    for bits in range(1, 16):
        other = alphabet[alphabet.index(last) ^ bits]
        respelt = f"{V1A[:-3]}{other}=="
        assert base64.b64decode(respelt[4:]) == base64.b64decode(V1A[4:])
        assert fault(respelt, keys=(KEY,)) is SignatureFault.NO_MATCH


@settings(deadline=None)
@given(data=st.data(), body=st.binary(max_size=64))
def test_a_flipped_bit_is_always_refused(data: st.DataObject, body: bytes) -> None:
    for header, keys, secrets in (
        (sign_v1a(KEY, ID, AT, body), (KEY,), ()),
        (sign_v1(SECRET, ID, AT, body), (), (SECRET,)),
    ):
        assert fault(header, body=body, keys=keys, secrets=secrets) is None
        raw = bytearray(header.encode())
        bit = data.draw(st.integers(0, len(raw) * 8 - 1))
        raw[bit // 8] ^= 1 << bit % 8
        flipped = raw.decode("latin-1")
        assert fault(flipped, body=body, keys=keys, secrets=secrets) is not None
        if body:
            bit = data.draw(st.integers(0, len(body) * 8 - 1))
            changed = bytearray(body)
            changed[bit // 8] ^= 1 << bit % 8
            assert fault(header, body=bytes(changed), keys=keys, secrets=secrets) is SignatureFault.NO_MATCH
        assert fault(header, body=body + b" ", keys=keys, secrets=secrets) is SignatureFault.NO_MATCH
        assert (
            fault(header, body=body, timestamp=AT + 1, keys=keys, secrets=secrets) is SignatureFault.NO_MATCH
        )
        assert (
            fault(header, body=body, webhook_id=ID + "x", keys=keys, secrets=secrets)
            is SignatureFault.NO_MATCH
        )


@given(st.binary(min_size=32, max_size=32))
def test_keys_survive_their_text(seed: bytes) -> None:
    key = SigningKey.from_seed(seed)
    assert SigningKey.parse(key.to_text()) == key
    assert SigningKey.parse("whsk_" + base64.b64encode(seed).decode()) == key
    assert VerifyKey.parse(key.verify_key.to_text()) == key.verify_key
    assert len(key.verify_key.to_text()) == len("whpk_") + 44  # the directory's pattern: 43 and '='
    assert parse_secret(secret_text(seed)) == seed


def test_a_signing_key_does_not_show_itself() -> None:
    assert repr(KEY) == "SigningKey()"


@pytest.mark.parametrize(
    "text",
    ["", "whpk_", "whsk_", "whsec_", "whpk_AAAA", "whsk_AAAA", "whsec_AAAA", "whsec_" + "A" * 92,
     "whpk_!" + "A" * 42 + "=", "whsk_" + "A" * 86 + "==", "whpk_中", KEY.to_text() + "\n"],
)  # fmt: skip
def test_texts_that_are_no_keys(text: str) -> None:
    for parse in (VerifyKey.parse, SigningKey.parse, parse_secret):
        with pytest.raises(KeyInvalid) as caught:
            parse(text)
        assert len(text) < 12 or text[6:12] not in str(caught.value)  # a secret is never repeated


def test_keys_of_a_wrong_length() -> None:
    with pytest.raises(KeyInvalid):
        SigningKey.from_seed(b"x" * 31)
    with pytest.raises(KeyInvalid):
        VerifyKey(b"x" * 33)
    with pytest.raises(KeyInvalid):
        secret_text(b"x" * 23)
    with pytest.raises(KeyInvalid, match="does not belong"):
        SigningKey.parse("whsk_" + base64.b64encode(KEY.secret[:32] + OTHER.secret[32:]).decode())
