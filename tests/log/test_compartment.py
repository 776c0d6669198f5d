"""The sealed compartment: what goes in comes out byte for byte, clear bytes stay, and nothing else opens it."""

from __future__ import annotations

import io
import json
import zlib
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.core.problems import Refusal
from broker.core.sealing import open_sealed, seal
from broker.errors import Corrupt, WrongUse
from broker.log.schema.schemas import Schema, SchemaSet
from broker.log.values.codec import FRAME_BYTES, SEALED_BRANCH, SEALED_TYPE, Codec, Examined
from broker.log.values.compartment import (
    MAX_PLAINTEXT_BYTES,
    is_sealed,
    open_decoded,
    open_value,
    seal_examined,
    seal_value,
)
from tests.log.avro_data import data_of
from tests.schemas.examples import ROOT

CODEC: Final = Codec(SchemaSet.load())
KEY, NONCE, AAD = b"k" * 32, b"n" * 12, b"451300/LB-1 451300/m-1"
NOON: Final = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
PAPERS: Final[dict[str, Any]] = {
    "applicant": {"name": "张三（示例）", "id_number": "11010519491231002X", "phone": None},
    "agent": None,
    "documents": [],
    "form": {"关系": "父亲"},
}
SEALABLE: Final = [schema for schema in CODEC.schemas if schema.has_compartment]
SCHEMA_DATA: Final = {schema.id: data_of(schema.model) for schema in SEALABLE}


def submitted(papers: dict[str, Any] | None = PAPERS) -> bytes:
    return CODEC.encode("case.withdrawn", {"withdrawn_at": NOON, "reason": "撤回", "sealed": papers})


def event(value: bytes) -> bytes:
    return json.dumps({"id": "m-1", "data_base64": b64encode(value[FRAME_BYTES:]).decode(), "z": 1}).encode()


def sealed(value: bytes, verbatim: bytes) -> bytes:
    return seal_value(CODEC, value, verbatim, key=KEY, nonce=NONCE, aad=AAD)


@given(st.data(), st.binary(max_size=300), st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_is_sealed_opens_byte_for_byte(data: st.DataObject, noise: bytes, as_event: bool) -> None:
    schema: Schema = data.draw(st.sampled_from(SEALABLE))
    datum: Any = data.draw(SCHEMA_DATA[schema.id])
    value = CODEC.frame(schema, CODEC.encode_bare(schema, datum))
    verbatim = noise + event(value) + noise if as_event else noise
    closed = sealed(value, verbatim)
    opened = open_value(CODEC, closed, key=KEY, aad=AAD)
    assert opened.value == value
    assert opened.verbatim == verbatim
    at = CODEC.last_field_at(value)
    assert closed[:at] == value[:at]
    clear = CODEC.decode(closed).datum
    assert {**clear, "sealed": None} == {**datum, "sealed": None}


@pytest.mark.parametrize("papers", [PAPERS, None], ids=["papers", "null"])
def test_no_word_of_the_papers_is_left_outside(papers: dict[str, Any] | None) -> None:
    closed = sealed(submitted(papers), event(submitted(papers)))
    assert is_sealed(CODEC, closed)
    assert not is_sealed(CODEC, submitted(papers))
    for secret in ("张三", "11010519491231002X", "关系"):
        assert secret.encode() not in closed
    assert open_value(CODEC, closed, key=KEY, aad=AAD).value == submitted(papers)


def test_sealing_what_was_examined_gives_the_same_bytes() -> None:
    value = submitted()
    schema = CODEC.schema_of(value)
    examined = CODEC.examine(schema, value[FRAME_BYTES:])
    assert isinstance(examined, Examined)
    assert seal_examined(examined, event(value), key=KEY, nonce=NONCE, aad=AAD) == sealed(value, event(value))


def test_the_compartment_is_what_its_schema_says() -> None:
    """An auditor opens it with stock parts: AES-GCM, zlib, and an Avro library with the shared schemas."""
    value = submitted()
    closed = CODEC.decode(sealed(value, event(value))).datum["sealed"]
    assert isinstance(closed, dict)
    assert closed == {
        "algorithm": "AES_256_GCM",
        "compression": "ZLIB",
        "kek": None,
        "nonce": NONCE,
        "ciphertext": closed["ciphertext"],
    }
    plaintext = zlib.decompress(open_sealed(closed["ciphertext"], key=KEY, nonce=NONCE, aad=AAD))
    compartment: Any = _read("compartment", plaintext)
    assert _read("papers", compartment["papers"]) == PAPERS
    whole = b64encode(value[FRAME_BYTES:])
    at = compartment["omitted_at"]
    assert compartment["verbatim"][:at] + whole + compartment["verbatim"][at:] == event(value)


def _read(name: str, raw: bytes) -> object:
    schema = json.loads((ROOT / "shared" / f"{name}.avsc").read_text(encoding="utf-8"))
    return fastavro.schemaless_reader(io.BytesIO(raw), fastavro.parse_schema(schema), None)


def test_the_verbatim_text_does_not_repeat_the_value() -> None:
    value = submitted(PAPERS | {"form": {str(number): f"{number * 7919:x}" for number in range(200)}})
    assert len(sealed(value, event(value))) < 0.75 * (len(value) + len(event(value)))


@pytest.mark.parametrize(
    ("key", "aad"), [(b"x" * 32, AAD), (KEY, AAD + b" "), (KEY, b"")], ids=["key", "aad", "no aad"]
)
def test_another_key_or_other_facts_do_not_open_it(key: bytes, aad: bytes) -> None:
    with pytest.raises(Corrupt, match="does not open"):
        open_value(CODEC, sealed(submitted(), b"v"), key=key, aad=aad)


def test_a_changed_compartment_never_opens() -> None:
    """Every byte of it, changed in every way a byte can be: the length's bytes fail otherwise than the text's."""
    closed = bytearray(sealed(submitted(), b"verbatim"))
    for at in range(CODEC.last_field_at(bytes(closed)), len(closed)):
        for change in range(1, 256):
            closed[at] ^= change
            try:
                opened = open_value(CODEC, bytes(closed), key=KEY, aad=AAD)
            except Corrupt:
                pass
            else:
                assert opened.value == bytes(closed), (
                    f"byte {at} changed by {change} was read as something else"
                )
            closed[at] ^= change


READINGS: Final[dict[str, Callable[[bytes], object]]] = {
    "open_value": lambda value: open_value(CODEC, value, key=KEY, aad=AAD),
    "open_decoded": lambda value: open_decoded(CODEC, value, key=KEY, aad=AAD),
    "open_decoded without a key": lambda value: open_decoded(CODEC, value, key=None, aad=AAD),
    "is_sealed": lambda value: is_sealed(CODEC, value),
    "decode": CODEC.decode,
    "last_field_at": CODEC.last_field_at,
}


@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_nothing_but_corrupt_comes_of_a_changed_value(reading: Callable[[bytes], object]) -> None:
    """Every byte changed in every way, and the value cut off behind every byte: frame, clear fields, compartment."""
    whole = sealed(submitted(), b"verbatim")
    changed = bytearray(whole)
    found = 0
    for at in range(len(whole)):
        for change in range(1, 256):
            changed[at] ^= change
            found += _is_corrupt(reading, bytes(changed))
            changed[at] ^= change
        found += _is_corrupt(reading, whole[:at])
    assert found, "no change was noticed"


def _is_corrupt(reading: Callable[[bytes], object], value: bytes) -> bool:
    try:
        reading(value)
    except Corrupt:
        return True
    return False


def test_a_changed_value_that_a_partner_sends_is_refused_or_read_but_never_a_fault() -> None:
    schema, avro = CODEC.schema_of(submitted()), bytearray(submitted()[FRAME_BYTES:])
    refused = 0
    for at in range(len(avro)):
        for change in range(1, 256):
            avro[at] ^= change
            refused += isinstance(CODEC.examine(schema, bytes(avro)), Refusal)
            avro[at] ^= change
    assert refused


@pytest.mark.parametrize(
    "lead", ["{value:.64}", "{value:.64}{value:.100}", "{value}"], ids=["beginning", "beginnings", "twice"]
)
def test_the_beginning_of_the_value_is_not_taken_for_the_value(lead: str) -> None:
    value = submitted(PAPERS | {"form": {"关系": "父亲" * 40}})
    text = b64encode(value[FRAME_BYTES:]).decode()
    verbatim = lead.format(value=text).encode() + event(value)
    closed = sealed(value, verbatim)
    assert open_value(CODEC, closed, key=KEY, aad=AAD).verbatim == verbatim
    record: Any = CODEC.decode(closed).datum["sealed"]
    plaintext = zlib.decompress(open_sealed(record["ciphertext"], key=KEY, nonce=NONCE, aad=AAD))
    compartment: Any = _read("compartment", plaintext)
    assert compartment["omitted_at"] == verbatim.index(text.encode())


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("window", [9, 12, 15])
def test_what_any_zlib_packed_opens(level: int, window: int) -> None:
    """Ledgers of earlier releases were packed by Python's own, with a small window."""
    value = submitted()
    closed: Any = CODEC.decode(sealed(value, event(value))).datum["sealed"]
    plaintext = zlib.decompress(open_sealed(closed["ciphertext"], key=KEY, nonce=NONCE, aad=AAD))
    packer = zlib.compressobj(level, zlib.DEFLATED, window, 5)
    packed = packer.compress(plaintext) + packer.flush()
    closed["ciphertext"] = seal(packed, key=KEY, nonce=NONCE, aad=AAD)
    opened = open_value(CODEC, _with_sealed(value, closed), key=KEY, aad=AAD)
    assert (opened.value, opened.verbatim) == (value, event(value))


def test_what_was_packed_is_opened_whole_or_not_at_all() -> None:
    """Below the seal as well: a changed or cut stream never opens as something else (Adler-32, RFC 1950)."""
    value = submitted()
    closed: Any = CODEC.decode(sealed(value, event(value))).datum["sealed"]
    packed = bytearray(open_sealed(closed["ciphertext"], key=KEY, nonce=NONCE, aad=AAD))
    for at in range(len(packed)):
        for change in (1, 2, 4, 8, 16, 32, 64, 128):
            packed[at] ^= change
            other = {**closed, "ciphertext": seal(bytes(packed), key=KEY, nonce=NONCE, aad=AAD)}
            packed[at] ^= change
            try:
                opened = open_value(CODEC, _with_sealed(value, other), key=KEY, aad=AAD)
            except Corrupt:
                continue
            assert (opened.value, opened.verbatim) == (value, event(value))
        cut = {**closed, "ciphertext": seal(bytes(packed[:at]), key=KEY, nonce=NONCE, aad=AAD)}
        with pytest.raises(Corrupt):
            open_value(CODEC, _with_sealed(value, cut), key=KEY, aad=AAD)


def test_what_is_not_sealed_is_handed_on_as_it_is() -> None:
    for value in (submitted(), submitted(None)):
        opened = open_value(CODEC, value, key=KEY, aad=AAD)
        assert (opened.value, opened.verbatim) == (value, b"")


def test_a_type_without_compartment_is_handed_on_and_not_sealed() -> None:
    value = CODEC.encode(
        "directory.applied", {"version": "0" * 16, "by": "k", "reason": "r", "documents": {}}
    )
    assert open_value(CODEC, value, key=KEY, aad=AAD).value == value
    assert not is_sealed(CODEC, value)
    with pytest.raises(WrongUse, match="no sealed compartment"):
        sealed(value, b"")


def test_nothing_is_sealed_twice() -> None:
    with pytest.raises(WrongUse, match="sealed already"):
        sealed(sealed(submitted(), b""), b"")


@pytest.mark.parametrize(
    ("plaintext", "expected"),
    [
        (zlib.compress(bytes(MAX_PLAINTEXT_BYTES + 1)), "unpacks to more than it may"),
        (zlib.compress(b"\x00\x00\x01")[:-1], "unpacks to more than it may"),
        (b"not zlib", "does not unpack"),
        (zlib.compress(b"\x02"), "does not read"),
        (zlib.compress(b"\x00\x00\x01\x00"), "does not read"),
        (zlib.compress(b"\x04a"), "does not read"),
        (zlib.compress(b"\x00\x02v\x04"), "does not read"),
    ],
    ids=["bomb", "cut", "not packed", "short", "long", "cut within", "omitted beyond the end"],
)
def test_a_compartment_of_another_make_is_corrupt(plaintext: bytes, expected: str) -> None:
    ciphertext = seal(plaintext, key=KEY, nonce=NONCE, aad=AAD)
    closed = {
        "algorithm": "AES_256_GCM",
        "compression": "ZLIB",
        "kek": None,
        "nonce": NONCE,
        "ciphertext": ciphertext,
    }
    with pytest.raises(Corrupt, match=expected):
        open_value(CODEC, _with_sealed(submitted(), closed), key=KEY, aad=AAD)


def test_an_algorithm_that_is_not_ours_is_corrupt() -> None:
    closed = {"algorithm": "SM4_GCM", "compression": "ZLIB", "kek": None, "nonce": NONCE, "ciphertext": b"c"}
    with pytest.raises(Corrupt, match="AES_256_GCM over ZLIB"):
        open_value(CODEC, _with_sealed(submitted(), closed), key=KEY, aad=AAD)


def test_a_compartment_too_large_to_be_opened_again_is_not_made() -> None:
    with pytest.raises(WrongUse, match="more than"):
        sealed(submitted(), bytes(MAX_PLAINTEXT_BYTES))


def _with_sealed(value: bytes, closed: dict[str, Any]) -> bytes:
    return CODEC.encode("case.withdrawn", {**CODEC.decode(value).datum, "sealed": closed})


def test_the_branch_of_the_compartment_is_where_the_schemas_have_it() -> None:
    for schema in SEALABLE:
        union: Any = schema.model.fields[-1].type
        assert union.branches[SEALED_BRANCH].name == SEALED_TYPE
