"""The examples say what the schemas say: valid ones pass and come back, invalid ones fail where they state."""

from __future__ import annotations

import json

import pytest

from broker.core.codes import resident_number
from broker.core.problems import Refusal
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import FRAME_BYTES, Codec
from tests.schemas.examples import INVALID, VALID, Example

CODEC = Codec(SchemaSet.load())


def test_every_type_has_both_kinds() -> None:
    types = {schema.type for schema in CODEC.schemas}
    assert {each.type for each in VALID} == types
    assert {each.type for each in INVALID} == types


@pytest.mark.parametrize("example", VALID, ids=str)
def test_a_valid_example_is_taken_and_comes_back(example: Example) -> None:
    schema = CODEC.schemas.latest(example.type)
    assert schema is not None
    datum = CODEC.from_json(schema, example.data)
    assert not isinstance(datum, Refusal), datum
    value = CODEC.encode(example.type, datum)
    assert CODEC.decode(value).datum == datum
    assert CODEC.check(schema, value[FRAME_BYTES:]) == datum
    rendered = CODEC.to_json(schema, datum)
    json.dumps(rendered)
    assert CODEC.from_json(schema, rendered) == datum


@pytest.mark.parametrize("example", INVALID, ids=str)
def test_an_invalid_example_is_refused_where_it_says(example: Example) -> None:
    schema = CODEC.schemas.latest(example.type)
    assert schema is not None
    refusal = CODEC.from_json(schema, example.data)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "schema-invalid"
    assert refusal.errors[0].pointer == example.pointer
    assert {error.pointer for error in refusal.errors} == {
        example.pointer
    } or "sealed-by-sender" in example.name


def test_people_in_the_examples_have_valid_numbers() -> None:
    for example in VALID:
        sealed = example.data.get("sealed")
        people = [sealed.get("applicant"), sealed.get("agent")] if isinstance(sealed, dict) else []
        for person in people:
            if person:
                resident_number(person["id_number"])
