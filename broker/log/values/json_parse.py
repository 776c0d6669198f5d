"""From plain JSON to a datum: what partners send as ``data``; every fault of it, by JSON pointer.

The mapping is that of ``json_render.py``. Any RFC 3339 offset is taken, digits beyond the schema's unit are
cut off; a field left out takes its default; what the schema does not know is refused, not dropped. A fault
names the field, what was expected and the JSON kind that came, never the value: it may be a person's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias, assert_never

from broker.core.avro.avro_defaults import default_value
from broker.core.avro.avro_model import (
    MAX_ITEMS,
    ArrayType,
    EnumType,
    Fixed,
    MapType,
    Node,
    Primitive,
    RecordType,
    Recursive,
    UnionType,
    branch_name,
)
from broker.core.problems import FieldError
from broker.log.values.avro_kinds import bounds_of, expectation, is_text
from broker.log.values.json_scalars import conversion

Faults: TypeAlias = list[FieldError]
Parse: TypeAlias = Callable[[object, str, Faults], object]
"""The value that JSON at a pointer stands for. It adds to the faults; its value is meaningless then."""

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z_-]{0,63}")
"""Unknown keys that are repeated to the sender: words, without digits that could be a person's number."""


def json_kind(value: object) -> str:
    """What JSON calls a value: all that is ever told of what came."""
    match value:
        case None:
            kind = "null"
        case bool():
            kind = "true or false"
        case int() | float():
            kind = "a number"
        case str():
            kind = "text"
        case list():
            kind = "a list"
        case _:
            kind = "an object"
    return kind


def compile_parse(node: Node, *, without: frozenset[str] = frozenset()) -> Parse:
    """The way from JSON to a value of the type. Union branches named in ``without`` are not offered."""
    match node:
        case Primitive() | Fixed() | EnumType() | Recursive():
            parse = _leaf(node)
        case ArrayType():
            parse = _array(node, compile_parse(node.items, without=without))
        case MapType():
            parse = _map(node, compile_parse(node.values, without=without))
        case UnionType():
            parse = _union(node, without)
        case RecordType():
            parse = _record(node, without)
        case _:
            assert_never(node)
    return parse


def _refuse(value: object, expected: str, pointer: str, faults: Faults) -> None:
    faults.append(FieldError(pointer=pointer, expected=expected, got=json_kind(value)))


def _leaf(node: Node) -> Parse:
    convert, expected = conversion(node)
    bounds = bounds_of(node)

    def parse(value: object, pointer: str, faults: Faults) -> object:
        try:
            found = convert(value)
        except (ValueError, OverflowError):
            _refuse(value, expected, pointer, faults)
            return None
        if bounds is not None and (out := bounds(found)):
            faults.append(FieldError(pointer=pointer, expected=out))
        return found

    return parse


def _array(node: ArrayType, parse_item: Parse) -> Parse:
    bounds = bounds_of(node)
    assert bounds is not None

    def parse(value: object, pointer: str, faults: Faults) -> object:
        if not isinstance(value, list):
            _refuse(value, expectation(node), pointer, faults)
            return None
        if out := bounds(value):
            faults.append(FieldError(pointer=pointer, expected=out))
        return [
            parse_item(item, f"{pointer}/{index}", faults) for index, item in enumerate(value[:MAX_ITEMS])
        ]

    return parse


def _map(node: MapType, parse_value: Parse) -> Parse:
    """Keys are a sender's own text: a fault of an entry is reported at the map."""
    bounds = bounds_of(node)
    assert bounds is not None

    def parse(value: object, pointer: str, faults: Faults) -> object:
        if not isinstance(value, dict):
            _refuse(value, expectation(node), pointer, faults)
            return None
        if out := bounds(value):
            faults.append(FieldError(pointer=pointer, expected=out))
            return None
        if not all(map(is_text, value)):
            faults.append(FieldError(pointer=pointer, expected="keys that are text"))
        inner: Faults = []
        found = {key: parse_value(each, "", inner) for key, each in value.items()}
        if inner:
            faults.append(FieldError(pointer=pointer, expected=f"in each value, {inner[0].expected}"))
        return found

    return parse


def _union(node: UnionType, without: frozenset[str]) -> Parse:
    offered = tuple(branch for branch in node.branches if branch_name(branch) not in without)
    parsers = [(branch, compile_parse(branch, without=without)) for branch in offered]
    expected = expectation(UnionType(branches=offered))

    def parse(value: object, pointer: str, faults: Faults) -> object:
        """The first branch that takes the value; if none does, the faults of the likeliest one."""
        likeliest: Faults = []
        for branch, parse_branch in parsers:
            inner: Faults = []
            found = parse_branch(value, pointer, inner)
            if not inner:
                return found
            if _alike(branch, value) and not likeliest:
                likeliest = inner
        if likeliest:
            faults.extend(likeliest)
        else:
            _refuse(value, expected, pointer, faults)
        return None

    return parse


def _alike(branch: Node, value: object) -> bool:
    """Whether JSON of this kind could have been meant for the branch."""
    match branch:
        case RecordType() | MapType():
            return isinstance(value, dict)
        case ArrayType():
            return isinstance(value, list)
        case Primitive(kind="int" | "long", logical=None) | Primitive(kind="float" | "double"):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Primitive(kind="null" | "boolean"):
            return False
        case _:
            return isinstance(value, str)


def _record(node: RecordType, without: frozenset[str]) -> Parse:
    fields = [(each, f"/{each.name}", compile_parse(each.type, without=without)) for each in node.fields]
    names = [each.name for each in node.fields]
    known = frozenset(names)

    def parse(value: object, pointer: str, faults: Faults) -> object:
        if not isinstance(value, dict):
            _refuse(value, expectation(node), pointer, faults)
            return None
        datum: dict[str, object] = {}
        for each, step, parse_field in fields:
            if each.name in value:
                datum[each.name] = parse_field(value[each.name], pointer + step, faults)
            elif each.has_default:
                datum[each.name] = default_value(each.type, each.default)
            else:
                faults.append(FieldError(pointer=pointer + step, expected="to be present", got="nothing"))
        if not value.keys() <= known:
            faults.extend(_unknown(sorted(map(str, value.keys() - known)), names, pointer))
        return datum

    return parse


def _unknown(keys: list[str], names: list[str], pointer: str) -> Faults:
    """One fault for each unknown key that is a plain word; the others, which may be anything, share one."""
    expected = f"no fields but {', '.join(names)}"
    words = [key for key in keys[:MAX_ITEMS] if _KEY.fullmatch(key)]
    places = [f"{pointer}/{key}" for key in words] + ([pointer] if len(words) < len(keys) else [])
    return [FieldError(pointer=place, expected=expected, got="an unknown field") for place in places]
