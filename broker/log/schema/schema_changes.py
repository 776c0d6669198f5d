"""What differs between two versions of a record, field by field, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from broker.core.avro.avro_model import (
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that differs. ``before`` and ``after`` are its type, default and doc; None where it is not."""

    field: str
    kind: Literal["added", "removed", "changed"]
    before: str | None
    after: str | None


def changes(old: RecordType, new: RecordType) -> list[Change]:
    """What differs, in the order of the fields; inner records are looked into."""
    before, after = dict(_fields(old)), dict(_fields(new))
    found: list[Change] = []
    for field in dict.fromkeys([*before, *after]):
        was, is_now = before.get(field), after.get(field)
        if was == is_now:
            continue
        kind: Literal["added", "removed", "changed"] = (
            "added" if was is None else "removed" if is_now is None else "changed"
        )
        found.append(Change(field=field, kind=kind, before=was, after=is_now))
    return found


def _fields(record: RecordType, prefix: str = "") -> Iterator[tuple[str, str]]:
    for each in record.fields:
        default = f" = {json.dumps(each.default, ensure_ascii=False)}" if each.has_default else ""
        yield f"{prefix}{each.name}", f"{words(each.type)}{default}: {each.doc}"
        for inner in _records(each.type):
            yield from _fields(inner, f"{prefix}{each.name}/")


def _records(node: Node) -> Iterator[RecordType]:
    match node:
        case RecordType():
            yield node
        case ArrayType():
            yield from _records(node.items)
        case MapType():
            yield from _records(node.values)
        case UnionType():
            for branch in node.branches:
                yield from _records(branch)
        case _:
            return


def words(node: Node) -> str:
    """A type in one line, with its logical type, symbols and facets."""
    match node:
        case Primitive():
            text = f"{node.logical or node.kind}{_bounds(node.facets)}"
        case ArrayType():
            text = f"list{_bounds(node.facets)} of {words(node.items)}"
        case MapType():
            text = f"map{_bounds(node.facets)} of {words(node.values)}"
        case UnionType():
            text = " or ".join(words(branch) for branch in node.branches)
        case EnumType():
            text = f"{node.name} ({', '.join(node.symbols)})"
        case Fixed():
            text = f"{node.name} ({node.size} bytes)"
        case RecordType() | Recursive():
            text = node.name
    return text


def _bounds(facets: Facets) -> str:
    named = [f"{name} {bound}" for name, bound in asdict(facets).items() if bound is not None]
    return f" ({', '.join(named)})" if named else ""
