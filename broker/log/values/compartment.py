"""The sealed compartment: a citizen's papers and what their sender signed, under the case's own key.

Sealing copies the clear bytes as they are and replaces the last field: ``Papers`` goes in, ``Sealed`` comes
out. The plaintext is the Avro record ``schemas/shared/compartment.avsc``: the bytes of ``Papers`` (none for
null) and the verbatim text of the submission, compressed together. Where the verbatim text holds the value
itself in base64 (a structured event with ``data_base64``), that stretch is left out and put back at opening:
a ledger that is kept for ever is half as large for it. Opening gives back both, byte for byte.

Source: design, "Two compartments"; ADR 0005; ADR 0017 (which zlib).
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from isal import isal_zlib

from broker.core.avro.avro_model import UnionType
from broker.core.sealing import NONCE_BYTES, SealBroken, open_sealed, seal
from broker.errors import Corrupt, WrongUse
from broker.log.schema.schemas import Schema
from broker.log.values.avro_reader import compile_reader
from broker.log.values.avro_scalars import Misfit, Read, read_long, write_long
from broker.log.values.codec import FRAME_BYTES, SEALED_BRANCH, Codec, Decoded, Examined

MAX_PLAINTEXT_BYTES: Final = 16 * 1024 * 1024
"""A compartment that unpacks to more is not one of ours."""

NULL_BYTE: Final = b"\x00"
PAPERS_BYTE: Final = b"\x02"
_SEALED_BYTE: Final = SEALED_BRANCH << 1
_SEALED: Final = bytes((_SEALED_BYTE,))
# Branch Sealed, algorithm AES_256_GCM, compression ZLIB, kek null: the fields before nonce and ciphertext.
_SEALED_HEAD: Final = bytes((_SEALED_BYTE, 0, 2, 0))
_NONCE_HEAD: Final = _SEALED_HEAD + write_long(NONCE_BYTES)
_COMPRESSION_LEVEL: Final = 1
"""ISA-L's own: as small as zlib's level 1 within 1 %. Its level 0 leaves a compartment half as large again."""
_SOUGHT_BYTES: Final = 64
"""Of a long text: to look for all of it at once costs four times as much, and it stands where its beginning stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A value as its sender submitted it (framed, with Papers or null), and the verbatim submission."""

    value: bytes
    verbatim: bytes


def seal_value(codec: Codec, value: bytes, verbatim: bytes, *, key: bytes, nonce: bytes, aad: bytes) -> bytes:
    """The framed value with its papers sealed. ``aad`` is bound to it: it opens with the same only.

    A (key, nonce) pair is for one value. Raises :class:`WrongUse` for a type without a compartment or a
    value that is sealed already, :class:`Corrupt` for one that does not read.
    """
    schema = codec.schema_of(value)
    _require_compartment(schema)
    at = codec.last_field_at(value)
    return value[:at] + _sealed(
        value[FRAME_BYTES:], at - FRAME_BYTES, verbatim, key=key, nonce=nonce, aad=aad
    )


def seal_examined(examined: Examined, verbatim: bytes, *, key: bytes, nonce: bytes, aad: bytes) -> bytes:
    """As :func:`seal_value`, from what ``codec.examine`` has found: nothing is decoded twice."""
    schema, avro, at = examined.schema, examined.avro, examined.last_field_at
    _require_compartment(schema)
    frame = b"\0" + schema.id.to_bytes(4, "big")
    return frame + avro[:at] + _sealed(avro, at, verbatim, key=key, nonce=nonce, aad=aad)


def open_value(codec: Codec, value: bytes, *, key: bytes, aad: bytes) -> Opened:
    """What was sealed. A value that holds no sealed compartment is returned as it is, without verbatim.

    Raises :class:`Corrupt` when it does not open: another key, other facts around it, or changed bytes.
    """
    schema = codec.schema_of(value)
    if not schema.has_compartment:
        return Opened(value=value, verbatim=b"")
    at = codec.last_field_at(value)
    if value[at : at + 1] != _SEALED:
        return Opened(value=value, verbatim=b"")
    papers, verbatim, omitted_at = _read_plaintext(_plaintext(schema, value, at, key=key, aad=aad))
    opened = value[:at] + (PAPERS_BYTE + papers if papers else NULL_BYTE)
    if omitted_at >= 0:
        verbatim = verbatim[:omitted_at] + b64encode(opened[FRAME_BYTES:]) + verbatim[omitted_at:]
    return Opened(value=opened, verbatim=verbatim)


def open_decoded(
    codec: Codec, value: bytes, *, key: bytes | None, aad: bytes
) -> tuple[bytes, Decoded] | None:
    """The value as its sender submitted it, and decoded: as :func:`open_value` and ``codec.decode`` one after the
    other, and nothing is read twice. None: it is sealed, and there is no ``key``. Raises :class:`Corrupt`."""
    decoded, at = codec.decode_head(value)
    if decoded.schema.has_compartment and value[at : at + 1] == _SEALED:
        if key is None:
            return None
        papers, _, _ = _read_plaintext(_plaintext(decoded.schema, value, at, key=key, aad=aad))
        value = value[:at] + (PAPERS_BYTE + papers if papers else NULL_BYTE)
    codec.decode_last(decoded, value, at)
    return value, decoded


def is_sealed(codec: Codec, value: bytes) -> bool:
    """Whether a framed value holds a sealed compartment, so that it needs its case's key. Raises Corrupt."""
    if not codec.schema_of(value).has_compartment:
        return False
    at = codec.last_field_at(value)
    return value[at : at + 1] == _SEALED


def _require_compartment(schema: Schema) -> None:
    if not schema.has_compartment:
        raise WrongUse(f"{schema.subject} has no sealed compartment")


def _sealed(avro: bytes, at: int, verbatim: bytes, *, key: bytes, nonce: bytes, aad: bytes) -> bytes:
    """The last field of the sealed value. ``at`` is where it starts in ``avro``, the value as submitted."""
    branch = avro[at : at + 1]
    if branch not in (NULL_BYTE, PAPERS_BYTE):
        raise WrongUse("the value is sealed already, or is none")
    papers = avro[at + 1 :]
    text = b64encode(avro)
    omitted_at = verbatim.find(text[:_SOUGHT_BYTES])
    if omitted_at >= 0 and not verbatim.startswith(text, omitted_at):
        omitted_at = verbatim.find(text)
    if omitted_at >= 0:
        verbatim = verbatim[:omitted_at] + verbatim[omitted_at + len(text) :]
    parts = (write_long(len(papers)), papers, write_long(len(verbatim)), verbatim, write_long(omitted_at))
    plaintext = b"".join(parts)
    if len(plaintext) >= MAX_PLAINTEXT_BYTES:
        raise WrongUse(f"a compartment of more than {MAX_PLAINTEXT_BYTES} bytes")
    ciphertext = seal(_compressed(plaintext), key=key, nonce=nonce, aad=aad)
    return b"".join((_SEALED_HEAD, write_long(len(nonce)), nonce, write_long(len(ciphertext)), ciphertext))


def _plaintext(schema: Schema, value: bytes, at: int, *, key: bytes, aad: bytes) -> bytes:
    """What the compartment that fills ``value`` from ``at`` holds. Raises :class:`Corrupt`."""
    nonce, ciphertext = _as_sealed(value, at) or _read_sealed(schema, value, at + 1)
    try:
        return _inflate(open_sealed(ciphertext, key=key, nonce=nonce, aad=aad))
    except SealBroken as broken:
        raise Corrupt(f"a value of schema {schema.id}: {broken}") from None


def _as_sealed(value: bytes, at: int) -> tuple[bytes, bytes] | None:
    """Nonce and ciphertext where the compartment looks as :func:`_sealed` makes it; None: it has to be read."""
    nonce_at = at + len(_NONCE_HEAD)
    if not value.startswith(_NONCE_HEAD, at) or len(value) <= nonce_at + NONCE_BYTES + 10:
        return None
    try:
        length, start = read_long(value, nonce_at + NONCE_BYTES)
    except Misfit:  # a changed length: the strict reader says what it is
        return None
    if start + length != len(value):
        return None
    return value[nonce_at : nonce_at + NONCE_BYTES], value[start:]


def _read_sealed(schema: Schema, value: bytes, at: int) -> tuple[bytes, bytes]:
    """Nonce and ciphertext of the record ``Sealed`` that fills ``value`` from ``at``."""
    try:
        sealed, end = _sealed_reader(schema)(value, at)
    except Misfit as misfit:
        raise Corrupt(
            f"a value of schema {schema.id}: /sealed{misfit.pointer}: expected {misfit.expected}"
        ) from None
    assert isinstance(sealed, dict)
    if end != len(value) or sealed["algorithm"] != "AES_256_GCM" or sealed["compression"] != "ZLIB":
        raise Corrupt(
            f"a value of schema {schema.id}: /sealed: expected AES_256_GCM over ZLIB and nothing after it"
        )
    return sealed["nonce"], sealed["ciphertext"]


@lru_cache(maxsize=512)
def _sealed_reader(schema: Schema) -> Read:
    union = schema.model.fields[-1].type
    assert isinstance(union, UnionType)
    return compile_reader(union.branches[SEALED_BRANCH])


def _compressed(plaintext: bytes) -> bytes:
    return isal_zlib.compress(plaintext, _COMPRESSION_LEVEL)


def _inflate(packed: bytes) -> bytes:
    unpack = isal_zlib.decompressobj()
    try:
        plaintext = unpack.decompress(packed, MAX_PLAINTEXT_BYTES)
    except isal_zlib.error:  # type: ignore[misc] # its stub has an instance for the class
        raise Corrupt("a sealed compartment that does not unpack") from None
    if not unpack.eof:
        raise Corrupt("a sealed compartment that is cut off, or unpacks to more than it may")
    return plaintext


def _read_plaintext(plaintext: bytes) -> tuple[bytes, bytes, int]:
    """Papers, verbatim and where the value was left out of it (-1: nowhere)."""
    try:
        length, start = read_long(plaintext, 0)
        papers, at = plaintext[start : start + length], start + length
        length, start = read_long(plaintext, at)
        verbatim, at = plaintext[start : start + length], start + length
        omitted_at, at = read_long(plaintext, at)
    except (Misfit, IndexError):
        raise Corrupt("a sealed compartment that does not read") from None
    if at != len(plaintext) or omitted_at > len(verbatim):
        raise Corrupt("a sealed compartment that does not read")
    return papers, verbatim, omitted_at
