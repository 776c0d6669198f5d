"""An Avro schema as frozen records: what the safety rules, the strict reader and the JSON mapping walk over.

Beyond Avro's own attributes, types may carry *facets* (``minLength``, ``maxLength``, ``minimum``,
``maximum``, ``minItems``, ``maxItems``, ``format``): other readers ignore them, we hold partners to them.
A ``format`` is a name out of :data:`FORMATS`, never a pattern of the schema's own: a pattern can hang a reader.

Source: Apache Avro 1.12 specification, "Schema Declaration", "Names", "Logical Types".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

PRIMITIVES: Final = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
MAX_ITEMS: Final = 1000
"""Items of an array, or entries of a map, whose schema states no ``maxItems``."""

FORMATS: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "sha256": (re.compile(r"[0-9a-f]{64}"), "a SHA-256 as 64 lower-case hex digits"),
    "digest": (re.compile(r"sha-256:[0-9a-f]{64}"), "sha-256: and 64 lower-case hex digits"),
    "partner": (re.compile(r"[0-9]{6}(-[a-z0-9]{1,24})?"), "a partner id, such as 451300 or 350206-minzheng"),
    "message": (
        re.compile(r"(tongban|[0-9]{6}(-[a-z0-9]{1,24})?)/[A-Za-z0-9_-]{1,64}"),
        "<source>/<message id>, such as 451300/m-1",
    ),
    "case": (
        re.compile(r"[0-9]{6}(-[a-z0-9]{1,24})?/[^\s/\x00-\x20\x7f]{1,64}"),
        "a case id, such as 451300/2026-0001",
    ),
    "media-type": (
        re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}"),
        "a media type, such as application/pdf",
    ),
    "code": (
        re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,63}"),
        "a code of 1 to 64 letters, digits, '_', '.', '-'",
    ),
}

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class SchemaInvalid(ValueError):
    """Not an Avro schema that we can read. ``place`` is the path of type and field names to the fault."""

    def __init__(self, place: str, expected: str) -> None:
        super().__init__(f"{place or 'schema'}: {expected}")
        self.place = place
        self.expected = expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """Bounds beyond Avro. Lengths count characters of a string, bytes of bytes."""

    min_length: int | None = None
    max_length: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    format: str | None = None


NO_FACETS: Final = Facets()


@dataclass(frozen=True, slots=True, kw_only=True)
class Primitive:
    """``logical`` is the logical type's name; ``precision`` and ``scale`` belong to ``decimal``."""

    kind: str
    logical: str | None = None
    precision: int | None = None
    scale: int = 0
    facets: Facets = NO_FACETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    name: str
    size: int
    logical: str | None = None
    precision: int | None = None
    scale: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumType:
    name: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayType:
    items: Node
    facets: Facets = NO_FACETS


@dataclass(frozen=True, slots=True, kw_only=True)
class MapType:
    values: Node
    facets: Facets = NO_FACETS


@dataclass(frozen=True, slots=True, kw_only=True)
class UnionType:
    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordField:
    """``default`` means something only if ``has_default``: it is JSON, as the schema writes it."""

    name: str
    type: Node
    doc: str = ""
    has_default: bool = False
    default: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordType:
    name: str
    fields: tuple[RecordField, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recursive:
    """A reference to a record from within itself."""

    name: str


Node: TypeAlias = Primitive | Fixed | EnumType | ArrayType | MapType | UnionType | RecordType | Recursive


def branch_name(node: Node) -> str:
    """What Avro calls a union's branch: a primitive's kind, a container's kind or a full name."""
    match node:
        case Primitive():
            return node.kind
        case ArrayType():
            return "array"
        case MapType():
            return "map"
        case UnionType():
            return "union"
        case _:
            return node.name
