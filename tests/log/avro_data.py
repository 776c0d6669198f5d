"""Hypothesis strategies for the data of a schema: what fits it, facets and all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import assert_never

from hypothesis import strategies as st

from broker.core.avro.avro_model import (
    FORMATS,
    ArrayType,
    EnumType,
    Facets,
    Fixed,
    MapType,
    Node,
    Primitive,
    RecordType,
    Recursive,
    UnionType,
)

Strategy = st.SearchStrategy[object]
TEXT = st.characters(codec="utf-8", exclude_characters="\0")
MOMENTS = st.integers(min_value=-62135596800000, max_value=253402300799999).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)


def data_of(node: Node) -> Strategy:
    """Values of a type. The broker's own branch of the sealed field is left to the compartment's tests."""
    match node:
        case Primitive():
            found = _primitive(node)
        case Fixed():
            found = _decimals(node) if node.logical else st.binary(min_size=node.size, max_size=node.size)
        case EnumType():
            found = st.sampled_from(node.symbols)
        case ArrayType():
            least, most = node.facets.min_items or 0, min(node.facets.max_items or 5, 5)
            found = st.lists(data_of(node.items), min_size=least, max_size=most)
        case MapType():
            found = st.dictionaries(st.text(TEXT, max_size=20), data_of(node.values), max_size=3)
        case UnionType():
            branches = [each for each in node.branches if getattr(each, "name", "") != "cn.tongban.Sealed"]
            found = st.one_of([data_of(branch) for branch in branches])
        case RecordType():
            found = st.fixed_dictionaries({each.name: data_of(each.type) for each in node.fields})
        case Recursive():
            raise ValueError(node.name)
        case _:
            assert_never(node)
    return found


def _primitive(node: Primitive) -> Strategy:
    match node.kind, node.logical:
        case "int", None:
            found = _integers(node.facets, 31)
        case "long", None:
            found = _integers(node.facets, 63)
        case "bytes", "decimal":
            found = _decimals(node)
        case "bytes", None:
            most = min(node.facets.max_length or 40, 40)
            found = st.binary(min_size=node.facets.min_length or 0, max_size=most)
        case "string", None:
            found = _texts(node.facets)
        case kind, logical:
            found = PLAIN[logical or kind]
    return found


PLAIN: dict[str, Strategy] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "date": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    "timestamp-millis": MOMENTS,
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "uuid": st.uuids(),
}


def _integers(facets: Facets, bits: int) -> Strategy:
    least = -(2**bits) if facets.minimum is None else facets.minimum
    return st.integers(least, 2**bits - 1 if facets.maximum is None else facets.maximum)


def _texts(facets: Facets) -> Strategy:
    if facets.format:
        return st.from_regex(FORMATS[facets.format][0], fullmatch=True)
    return st.text(TEXT, min_size=facets.min_length or 0, max_size=min(facets.max_length or 100, 100))


def _decimals(node: Primitive | Fixed) -> Strategy:
    most = 10 ** (node.precision or 1) - 1
    return st.integers(-most, most).map(lambda unscaled: Decimal(unscaled).scaleb(-node.scale))
