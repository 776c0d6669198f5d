"""Read an Avro schema (parsed JSON) into the model of ``core/avro/avro_model.py``; say what is not Avro, and where.

Source: Apache Avro 1.12 specification, "Schema Declaration", "Names".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from broker.core.avro.avro_model import (
    FORMATS,
    NAME,
    NO_FACETS,
    PRIMITIVES,
    ArrayType,
    EnumType,
    Facets,
    Fixed,
    MapType,
    Node,
    Primitive,
    RecordField,
    RecordType,
    Recursive,
    SchemaInvalid,
    UnionType,
    branch_name,
)

MAX_DEPTH: Final = 24
"""How deep types may nest before the schema is not even read: the limit of a parser, not of good taste."""

_FACETS: Final = {
    "minLength": "min_length",
    "maxLength": "max_length",
    "minimum": "minimum",
    "maximum": "maximum",
    "minItems": "min_items",
    "maxItems": "max_items",
}


def read_schema(schema: object) -> Node:
    """The model of a schema (parsed JSON). Raises :class:`SchemaInvalid` on what Avro does not allow."""
    return _Parser().node(schema, namespace="", place="", depth=0)


def read_record(schema: object) -> RecordType:
    """As :func:`read_schema`, for a schema that is a record."""
    node = read_schema(schema)
    if not isinstance(node, RecordType):
        raise SchemaInvalid("", "expected a record")
    return node


@dataclass(slots=True)
class _Parser:
    """One reading of one schema: the names met so far, None while a record is still being read."""

    names: dict[str, Node | None] = field(default_factory=dict)

    def node(self, schema: object, *, namespace: str, place: str, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise SchemaInvalid(place, f"types nest deeper than {MAX_DEPTH}")
        match schema:
            case str():
                return self._named(schema, namespace, place)
            case list():
                branches = tuple(
                    self.node(branch, namespace=namespace, place=place, depth=depth + 1) for branch in schema
                )
                return _union(branches, place)
            case dict():
                return self._complex(schema, namespace, place, depth)
            case _:
                raise SchemaInvalid(place, "expected a type name, an object or a list")

    def _named(self, name: str, namespace: str, place: str) -> Node:
        if name in PRIMITIVES:
            return Primitive(kind=name)
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if full not in self.names:
            raise SchemaInvalid(place, "a type name that is not defined before its use")
        return self.names[full] or Recursive(name=full)

    def _complex(self, schema: Mapping[str, object], namespace: str, place: str, depth: int) -> Node:
        kind = schema.get("type")
        match kind:
            case "array":
                items = self.node(
                    schema.get("items"), namespace=namespace, place=f"{place}[]", depth=depth + 1
                )
                return ArrayType(items=items, facets=_facets(schema, place))
            case "map":
                values = self.node(
                    schema.get("values"), namespace=namespace, place=f"{place}{{}}", depth=depth + 1
                )
                return MapType(values=values, facets=_facets(schema, place))
            case "enum" | "fixed" | "record":
                return self._definition(kind, schema, namespace, place, depth)
            case str() if kind in PRIMITIVES:
                return Primitive(
                    kind=kind,
                    logical=_logical(schema, place),
                    precision=_count(schema, "precision", place),
                    scale=_count(schema, "scale", place) or 0,
                    facets=_facets(schema, place),
                )
            case str():
                return self._named(kind, namespace, place)
            case _:
                return self.node(kind, namespace=namespace, place=place, depth=depth + 1)

    def _definition(
        self, kind: str, schema: Mapping[str, object], namespace: str, place: str, depth: int
    ) -> Node:
        name, inner = _full_name(schema, namespace, place)
        place = place or name
        if name in self.names or name in PRIMITIVES:
            raise SchemaInvalid(place, "a name that is defined twice")
        node: Node
        if kind == "enum":
            node = EnumType(name=name, symbols=_symbols(schema, place))
        elif kind == "fixed":
            size = _count(schema, "size", place)
            if size is None:
                raise SchemaInvalid(place, "fixed needs a size")
            node = Fixed(
                name=name,
                size=size,
                logical=_logical(schema, place),
                precision=_count(schema, "precision", place),
                scale=_count(schema, "scale", place) or 0,
            )
        else:
            self.names[name] = None
            node = RecordType(
                name=name, fields=self._fields(schema, inner, place, depth), doc=_text(schema, "doc", place)
            )
        self.names[name] = node
        return node

    def _fields(
        self, schema: Mapping[str, object], namespace: str, place: str, depth: int
    ) -> tuple[RecordField, ...]:
        listed = schema.get("fields")
        if not isinstance(listed, list):
            raise SchemaInvalid(place, "record needs a list of fields")
        fields: dict[str, RecordField] = {}
        for each in listed:
            if not isinstance(each, dict):
                raise SchemaInvalid(place, "expected each field to be an object")
            name = each.get("name")
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise SchemaInvalid(place, "expected field names of [A-Za-z_][A-Za-z0-9_]*")
            if name in fields:
                raise SchemaInvalid(f"{place}.{name}", "a field that is defined twice")
            fields[name] = RecordField(
                name=name,
                type=self.node(
                    each.get("type"), namespace=namespace, place=f"{place}.{name}", depth=depth + 1
                ),
                doc=_text(each, "doc", f"{place}.{name}"),
                has_default="default" in each,
                default=each.get("default"),
            )
        return tuple(fields.values())


def _union(branches: tuple[Node, ...], place: str) -> UnionType:
    kinds = [branch_name(branch) for branch in branches]
    if not kinds:
        raise SchemaInvalid(place, "a union without branches")
    if "union" in kinds:
        raise SchemaInvalid(place, "a union directly within a union")
    if len(set(kinds)) < len(kinds):
        raise SchemaInvalid(place, "a union with two branches of one kind")
    return UnionType(branches=branches)


def _full_name(schema: Mapping[str, object], namespace: str, place: str) -> tuple[str, str]:
    """Full name, and the namespace that holds within."""
    name, own = schema.get("name"), schema.get("namespace", namespace)
    if not isinstance(name, str) or not isinstance(own, str):
        raise SchemaInvalid(place, "expected name and namespace to be text")
    full = name if "." in name or not own else f"{own}.{name}"
    if not all(NAME.fullmatch(part) for part in full.split(".")):
        raise SchemaInvalid(place, "expected names of [A-Za-z_][A-Za-z0-9_]*, joined by dots")
    return full, full.rpartition(".")[0]


def _symbols(schema: Mapping[str, object], place: str) -> tuple[str, ...]:
    listed = schema.get("symbols")
    if not isinstance(listed, list) or not listed:
        raise SchemaInvalid(place, "enum needs a list of symbols")
    symbols = tuple(symbol for symbol in listed if isinstance(symbol, str) and NAME.fullmatch(symbol))
    if len(symbols) < len(listed) or len(set(symbols)) < len(symbols):
        raise SchemaInvalid(place, "expected distinct symbols of [A-Za-z_][A-Za-z0-9_]*")
    return symbols


def _text(schema: Mapping[str, object], key: str, place: str) -> str:
    text = schema.get(key, "")
    if not isinstance(text, str):
        raise SchemaInvalid(place, f"expected {key} to be text")
    return text


def _logical(schema: Mapping[str, object], place: str) -> str | None:
    return _text(schema, "logicalType", place) or None


def _count(schema: Mapping[str, object], key: str, place: str) -> int | None:
    count = schema.get(key)
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 0):
        raise SchemaInvalid(place, f"expected {key} to be a count")
    return count


def _facets(schema: Mapping[str, object], place: str) -> Facets:
    bounds: dict[str, int] = {}
    for key, name in _FACETS.items():
        bound = schema.get(key)
        if bound is None:
            continue
        if not isinstance(bound, int) or isinstance(bound, bool):
            raise SchemaInvalid(place, f"expected {key} to be an integer")
        bounds[name] = bound
    named = schema.get("format")
    if named is not None and (not isinstance(named, str) or named not in FORMATS):
        raise SchemaInvalid(place, f"expected format to be one of {', '.join(FORMATS)}")
    if not bounds and named is None:
        return NO_FACETS
    if named is not None and (schema.get("type") != "string" or bounds):
        raise SchemaInvalid(place, "a format belongs to a string, and bounds it alone")
    return Facets(format=named, **bounds)
