"""Values in Confluent framing: encode, decode, check what a partner sent, map to and from plain JSON.

A value is ``00``, the schema's id as a big-endian int32, and Avro. Reading is strict everywhere
(``avro_reader.py``); writing is fastavro's, after every field was checked, but for flat records
(``avro_writer.py``).

Source: contract, "Topics"; Confluent wire format; Apache Avro 1.12 specification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from fastavro import schemaless_writer

from broker.core.avro.avro_model import RecordType, UnionType, branch_name
from broker.core.problems import FieldError, Refusal
from broker.errors import Corrupt, WrongUse
from broker.log.schema.schemas import SEALED_FIELD, Schema, SchemaSet
from broker.log.values.avro_checks import Check, compile_check
from broker.log.values.avro_kinds import compile_branch
from broker.log.values.avro_reader import RecordReader
from broker.log.values.avro_scalars import Misfit
from broker.log.values.avro_writer import WriteRecord, compile_flat
from broker.log.values.json_parse import Parse, compile_parse
from broker.log.values.json_render import compile_render_record

Datum = dict[str, object]

FRAME_BYTES: Final = 5
MAX_AVRO_BYTES: Final = 1024 * 1024
"""What a partner may send as the Avro of one message."""

MAX_FAULTS: Final = 50
"""Faults that one refusal lists; the rest are counted."""

SEALED_TYPE: Final = "cn.tongban.Sealed"
SEALED_BRANCH: Final = 2
"""The branch of :data:`SEALED_TYPE` in the union of the sealed field: after null and Papers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A value as read: every field of its schema, logical types as Python's."""

    schema: Schema
    datum: Datum


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A partner's Avro that passed: its datum, and where in ``avro`` its last field (``sealed``) starts."""

    schema: Schema
    avro: bytes
    datum: Datum
    last_field_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """What one schema was compiled into. ``bounded`` holds values to the facets as well; ``facets`` names all
    faults of what ``bounded`` refuses, and is None when the schema has no facets. ``flat`` checks and writes in
    one pass, and is None when the schema is not flat.
    """

    reader: RecordReader
    bounded: RecordReader
    whole: Check
    facets: Check | None
    flat: WriteRecord | None
    render: Callable[[object], dict[str, object]]
    parse: Parse
    hint: Callable[[Mapping[str, object]], Mapping[str, object]]


class Codec:
    """Encodes and decodes by a set of schemas. Each schema is compiled at its first use (about 1 ms)."""

    def __init__(self, schemas: SchemaSet) -> None:
        self.schemas = schemas
        self._compiled: dict[int, _Compiled] = {}

    def encode(self, message_type: str, datum: Mapping[str, object]) -> bytes:
        """Framed bytes of ``datum`` by the latest schema of the type (without the prefix ``cn.tongban.``).

        Fields with a default may be left out. Raises :class:`WrongUse`, naming each field that does not fit
        and no value.
        """
        schema = self._latest(message_type)
        return self.frame(schema, self.encode_bare(schema, datum))

    def encode_bare(self, schema: Schema, datum: Mapping[str, object]) -> bytes:
        """As :meth:`encode`, by a given schema and without framing: what ``data_base64`` holds."""
        compiled = self._of(schema)
        if compiled.flat is not None and (avro := compiled.flat(datum)) is not None:
            return avro
        faults: list[FieldError] = []
        compiled.whole(dict(datum), "", faults)
        if faults:
            named = "; ".join(
                f"{fault.pointer or '/'}: expected {fault.expected}" for fault in faults[:MAX_FAULTS]
            )
            raise WrongUse(f"not a value of {schema.subject}: {named}")
        return _write(schema, compiled.hint(datum))

    def frame(self, schema: Schema, avro: bytes) -> bytes:
        """``avro`` in Confluent framing."""
        return b"\0" + schema.id.to_bytes(4, "big") + avro

    def dataschema(self, message_type: str) -> str:
        """The dataschema URI of what :meth:`encode` writes for the type. Raises :class:`WrongUse`."""
        return self._latest(message_type).dataschema

    def schema_of(self, value: bytes) -> Schema:
        """The schema that a framed value names. Raises :class:`Corrupt`."""
        if len(value) <= FRAME_BYTES or value[0] != 0:
            raise Corrupt("a value without Confluent framing")
        schema_id = int.from_bytes(value[1:FRAME_BYTES], "big")
        schema = self.schemas.by_id(schema_id)
        if schema is None:
            raise Corrupt(f"a value of schema {schema_id}, which is not registered here")
        return schema

    def decode(self, value: bytes) -> Decoded:
        """What a framed value says. Raises :class:`Corrupt`, naming the field at fault."""
        schema = self.schema_of(value)
        try:
            datum, _ = self._of(schema).reader.read(value, FRAME_BYTES)
        except Misfit as misfit:
            raise _corrupt(schema, misfit) from None
        return Decoded(schema=schema, datum=datum)

    def decode_head(self, value: bytes) -> tuple[Decoded, int]:
        """As :meth:`decode` without the last field, and where that starts. Raises :class:`Corrupt`."""
        schema = self.schema_of(value)
        try:
            datum, at = self._of(schema).reader.read_head(value, FRAME_BYTES)
        except Misfit as misfit:
            raise _corrupt(schema, misfit) from None
        return Decoded(schema=schema, datum=datum), at

    def decode_last(self, decoded: Decoded, value: bytes, at: int) -> None:
        """Put the last field, which fills ``value`` from ``at`` on, into what :meth:`decode_head` found.

        Raises :class:`Corrupt`.
        """
        schema = decoded.schema
        try:
            decoded.datum[schema.model.fields[-1].name] = self._of(schema).reader.read_last(value, at)
        except Misfit as misfit:
            raise _corrupt(schema, misfit) from None

    def last_field_at(self, value: bytes) -> int:
        """Where in a framed value its last field starts; that field is not looked at. Raises :class:`Corrupt`."""
        schema = self.schema_of(value)
        try:
            return self._of(schema).reader.last_field_at(value, FRAME_BYTES)
        except Misfit as misfit:
            raise _corrupt(schema, misfit) from None

    def check(self, schema: Schema, avro: bytes) -> Datum | Refusal:
        """The datum that a partner's Avro (without framing) holds, or why it is refused.

        Strict: every byte belongs to a field, integers have their shortest form, indexes and counts are
        within bounds, text is UTF-8, facets hold, and nobody but the broker writes a sealed compartment.
        ``errors`` point into the datum (``/outcome``), never repeat a value, and are all there are for
        facets, the first for bytes that do not read on.
        """
        examined = self.examine(schema, avro)
        return examined if isinstance(examined, Refusal) else examined.datum

    def examine(self, schema: Schema, avro: bytes) -> Examined | Refusal:
        """As :meth:`check`, with what :func:`broker.log.values.compartment.seal_examined` needs to decode nothing twice."""
        if len(avro) > MAX_AVRO_BYTES:
            return Refusal(code="too-large", detail=f"the data has more than {MAX_AVRO_BYTES} bytes")
        compiled = self._of(schema)
        try:
            datum, last_at = compiled.bounded.read(avro, 0)
        except Misfit as misfit:
            return _refusal(schema, _faults_of(compiled, avro, misfit))
        if schema.has_compartment and avro[last_at] == SEALED_BRANCH << 1:
            expected = "Papers or null: the broker seals them"
            return _refusal(schema, [FieldError(pointer=f"/{SEALED_FIELD}", expected=expected)])
        return Examined(schema=schema, avro=avro, datum=datum, last_field_at=last_at)

    def examine_json(self, schema: Schema, data: object) -> Examined | Refusal:
        """As :meth:`from_json`, then encoded and ready to be sealed: what was checked is not checked twice."""
        datum = self.from_json(schema, data)
        if isinstance(datum, Refusal):
            return datum
        avro = _write(schema, self._of(schema).hint(datum))
        if len(avro) > MAX_AVRO_BYTES:
            return Refusal(code="too-large", detail=f"the data has more than {MAX_AVRO_BYTES} bytes as Avro")
        last_at = self._of(schema).reader.last_field_at(avro, 0)
        return Examined(schema=schema, avro=avro, datum=datum, last_field_at=last_at)

    def to_json(self, schema: Schema, datum: Mapping[str, object]) -> dict[str, object]:
        """The plain JSON of a datum (``json_render.py``); fields that it does not hold are left out."""
        return self._of(schema).render(datum)

    def from_json(self, schema: Schema, data: object) -> Datum | Refusal:
        """The datum that a partner's plain JSON stands for, or every fault of it (``json_parse.py``).

        ``errors`` point into the event: ``/data/outcome``.
        """
        faults: list[FieldError] = []
        datum = self._of(schema).parse(data, "/data", faults)
        if faults:
            return _refusal(schema, faults)
        assert isinstance(datum, dict)
        return datum

    def _latest(self, message_type: str) -> Schema:
        schema = self.schemas.latest(message_type)
        if schema is None:
            raise WrongUse(f"no schema is released for {message_type}")
        return schema

    def _of(self, schema: Schema) -> _Compiled:
        compiled = self._compiled.get(schema.id)
        if compiled is None:
            compiled = self._compiled[schema.id] = _compile(schema.model)
        return compiled


def _write(schema: Schema, datum: Mapping[str, object]) -> bytes:
    out = BytesIO()
    schemaless_writer(out, schema.parsed, datum, strict_allow_default=True)
    return out.getvalue()


def _compile(model: RecordType) -> _Compiled:
    whole = compile_check(model, types=True)
    assert whole is not None
    return _Compiled(
        reader=RecordReader(model),
        bounded=RecordReader(model, bounded=True),
        whole=whole,
        facets=compile_check(model, types=False),
        flat=compile_flat(model),
        render=compile_render_record(model),
        parse=compile_parse(model, without=frozenset({SEALED_TYPE})),
        hint=_compile_hint(model),
    )


def _compile_hint(model: RecordType) -> Callable[[Mapping[str, object]], Mapping[str, object]]:
    """The datum with the branch of its compartment named: fastavro would otherwise try every branch."""
    union = model.fields[-1].type
    if model.fields[-1].name != SEALED_FIELD or not isinstance(union, UnionType):
        return lambda datum: datum
    branch_of = compile_branch(union)
    names = [branch_name(branch) for branch in union.branches]

    def hint(datum: Mapping[str, object]) -> Mapping[str, object]:
        sealed = datum.get(SEALED_FIELD)
        index = branch_of(sealed)
        if sealed is None or index is None:
            return datum
        return {**datum, SEALED_FIELD: (names[index], sealed)}

    return hint


def _faults_of(compiled: _Compiled, avro: bytes, misfit: Misfit) -> list[FieldError]:
    """Why ``bounded`` refused: the bytes' one fault, or all faults of facets when the bytes themselves read."""
    first = [FieldError(pointer=misfit.pointer, expected=misfit.expected)]
    if compiled.facets is None:
        return first
    try:
        datum, _ = compiled.reader.read(avro, 0)
    except Misfit:
        return first
    faults: list[FieldError] = []
    compiled.facets(datum, "", faults)
    return faults or first


def _corrupt(schema: Schema, misfit: Misfit) -> Corrupt:
    return Corrupt(f"a value of schema {schema.id}: {misfit.pointer or '/'}: expected {misfit.expected}")


def _refusal(schema: Schema, faults: list[FieldError]) -> Refusal:
    more = f" ({MAX_FAULTS} of them are listed)" if len(faults) > MAX_FAULTS else ""
    detail = f"{len(faults)} fault(s) by schema {schema.id}, {schema.subject}{more}"
    return Refusal(code="schema-invalid", detail=detail, errors=tuple(faults[:MAX_FAULTS]))
