"""Flat records: the bytes are fastavro's, and what is refused is what the check of the whole refuses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from io import BytesIO
from typing import Any, Final

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.avro.avro_model import RecordType
from broker.core.problems import FieldError
from broker.core.receipts import TYPES
from broker.errors import WrongUse
from broker.log.schema.schemas import Schema, SchemaSet
from broker.log.values.avro_checks import compile_check
from broker.log.values.avro_writer import compile_flat
from broker.log.values.codec import Codec
from tests.log.avro_data import data_of

CODEC: Final = Codec(SchemaSet.load())
FLAT: Final = {
    schema.type: (schema, write, data_of(schema.model))
    for schema in CODEC.schemas
    if (write := compile_flat(schema.model)) is not None
}
RECEIPT: Final[dict[str, object]] = {
    "acknowledged": "451300/m-1",
    "recipient": "430423",
    "digest": "sha-256:00",
    "dataschema": "/schemas/ids/1",
    "attempt": 1,
    "at": datetime(2026, 3, 2, 4, tzinfo=UTC),
    "accepted_at": None,
    "answer_code": None,
    "detail": None,
    "reference": None,
}
NEAR_1970: Final = st.integers(-(2**15), 2**15).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
ANYTHING: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.binary(max_size=3),
    st.text(st.characters(), max_size=4),
    st.sampled_from(["a\0b", "\ud800", "451300/m-1", "430423", date(2026, 3, 2)]),
    st.datetimes(),
    st.datetimes(timezones=st.just(timezone(timedelta(hours=8)))),
    NEAR_1970,
)


def by_fastavro(schema: Schema, datum: object) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, datum, strict_allow_default=True)
    return out.getvalue()


def faults_of(model: RecordType, datum: object) -> list[FieldError]:
    check = compile_check(model, types=True)
    assert check is not None
    faults: list[FieldError] = []
    check(datum, "", faults)
    return faults


def test_every_receipt_is_flat_and_nothing_that_a_partner_says_is() -> None:
    assert set(TYPES.values()) <= FLAT.keys()
    assert not any(schema.has_compartment for schema, _, _ in FLAT.values())


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_the_bytes_are_fastavros(data: st.DataObject) -> None:
    schema, write, strategy = FLAT[data.draw(st.sampled_from(sorted(FLAT)))]
    datum = data.draw(strategy)
    assert isinstance(datum, dict)
    avro = write(datum)
    assert avro == by_fastavro(schema, datum) == CODEC.encode_bare(schema, datum)
    assert CODEC.check(schema, avro) == datum


@given(NEAR_1970 | st.datetimes(timezones=st.just(timezone(timedelta(hours=-3, minutes=-30)))))
def test_any_moment_is_written_as_fastavro_writes_it(moment: datetime) -> None:
    schema, write, _ = FLAT["receipt.delivered"]
    datum = RECEIPT | {"at": moment, "accepted_at": moment}
    assert write(datum) == by_fastavro(schema, datum)


@given(st.sampled_from(sorted(RECEIPT)), ANYTHING)
@settings(max_examples=600)
def test_what_is_refused_is_what_the_check_of_the_whole_refuses(name: str, value: Any) -> None:
    schema, write, _ = FLAT["receipt.delivered"]
    datum = RECEIPT | {name: value}
    avro = write(datum)
    assert (avro is None) == bool(faults_of(schema.model, datum))
    if avro is None:
        with pytest.raises(WrongUse, match=f"/{name}: expected"):
            CODEC.encode("receipt.delivered", datum)
    else:
        assert avro == by_fastavro(schema, datum)


def test_defaults_may_be_left_out_and_other_fields_may_not_be_there() -> None:
    schema, write, _ = FLAT["receipt.delivered"]
    short = {name: value for name, value in RECEIPT.items() if name != "reference"}
    assert write(short) is None
    assert CODEC.encode_bare(schema, short) == write(RECEIPT)
    for strange in (RECEIPT | {"more": 1}, short | {"more": 1}):
        assert write(strange) is None
        with pytest.raises(WrongUse, match="no fields but"):
            CODEC.encode_bare(schema, strange)
    with pytest.raises(WrongUse, match="/at: expected to be present"):
        CODEC.encode_bare(schema, {name: value for name, value in RECEIPT.items() if name != "at"})
