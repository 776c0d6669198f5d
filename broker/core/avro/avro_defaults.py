"""A field's default, from the JSON of its schema to the value it stands for.

Source: Apache Avro 1.12 specification, "Complex Types", table of field defaults.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, assert_never

from broker.core.avro.avro_model import (
    ArrayType,
    EnumType,
    Fixed,
    MapType,
    Node,
    Primitive,
    RecordField,
    RecordType,
    Recursive,
    UnionType,
)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY: Final = date(1970, 1, 1)


def default_value(node: Node, default: object) -> object:
    """The value that ``default`` stands for. Raises ValueError when it does not fit the type.

    A union's default belongs to its first branch. Arrays and maps may default to empty ones only.
    """
    value: object
    match node:
        case Primitive():
            value = _primitive(node, default)
        case Fixed() if isinstance(default, str) and len(default) == node.size and node.logical is None:
            value = default.encode("latin-1")
        case EnumType() if default in node.symbols:
            value = default
        case ArrayType() if default == []:
            value = []
        case MapType() if default == {}:
            value = {}
        case UnionType():
            value = default_value(node.branches[0], default)
        case RecordType() if isinstance(default, dict) and default.keys() <= {
            each.name for each in node.fields
        }:
            value = {each.name: _field(each, default) for each in node.fields}
        case Fixed() | EnumType() | ArrayType() | MapType() | RecordType() | Recursive():
            raise ValueError("a default that does not fit")
        case _:
            assert_never(node)
    return value


def _field(each: RecordField, given: dict[str, object]) -> object:
    if each.name in given:
        return default_value(each.type, given[each.name])
    if each.has_default:
        return default_value(each.type, each.default)
    raise ValueError("a default that lacks a field")


def _primitive(node: Primitive, default: object) -> object:
    match node.kind, default:
        case "null", None:
            return None
        case "boolean", bool():
            return default
        case (("int" | "long"), int()) if not isinstance(default, bool):
            return integer_value(node.logical, default)
        case (("float" | "double"), int() | float()) if not isinstance(default, bool):
            return float(default)
        case "string", str():
            return default
        case "bytes", str():
            raw = default.encode("latin-1")
            return (
                raw if node.logical is None else Decimal(int.from_bytes(raw, signed=True)).scaleb(-node.scale)
            )
        case _:
            raise ValueError("a default that does not fit")


def integer_value(logical: str | None, number: int) -> int | date | datetime:
    """What an int or long stands for under its logical type. Raises ValueError outside years 1 to 9999."""
    try:
        match logical:
            case "date":
                return EPOCH_DAY + timedelta(days=number)
            case "timestamp-millis":
                return EPOCH + timedelta(milliseconds=number)
            case "timestamp-micros":
                return EPOCH + timedelta(microseconds=number)
            case _:
                return number
    except OverflowError:
        raise ValueError("a date outside the years 1 to 9999") from None
