"""The house's own rules for a schema, beyond safety: documented, drift-free, mappable to plain JSON.

They hold for what is released from here on; ``tongban schema check`` applies them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from broker.core.avro.avro_model import (
    ArrayType,
    MapType,
    Node,
    Primitive,
    RecordType,
    SchemaInvalid,
    UnionType,
)
from broker.core.avro.avro_parser import read_record
from broker.core.avro.schema_safety import dangers
from broker.errors import WrongUse
from broker.log.schema.compatibility import conflicts
from broker.log.schema.schemas import SEALED_FIELD, SchemaSet

PARTNER_FAMILIES: Final = frozenset({"case", "fee", "complaint"})
"""Families of types that partners say: their records end with the sealed field."""

NAMESPACE: Final = "cn.tongban"
SEALED_BRANCHES: Final = ("null", f"{NAMESPACE}.Papers", f"{NAMESPACE}.Sealed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found about a schema's text; no faults: it may be released as ``version`` of ``subject``."""

    subject: str | None
    version: int | None
    faults: tuple[str, ...]


def judge(text: str, schemas: SchemaSet) -> Verdict:
    """Everything that stands against releasing a schema: dangers, house rules, versions that cannot read it."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return Verdict(subject=None, version=None, faults=("schema: not JSON",))
    try:
        found = dangers(document)
        record = read_record(document) if not found else None
    except SchemaInvalid as invalid:
        return Verdict(subject=None, version=None, faults=(str(invalid),))
    if record is None:
        return Verdict(subject=None, version=None, faults=tuple(found))
    versions = schemas.versions(record.name)
    released = next((each.version for each in versions.values() if each.text == text), None)
    faults = [*house_faults(record), *drifts(document, schemas)]
    try:
        faults += [str(each) for each in conflicts(text, versions.values())]
    except WrongUse as fault:
        faults.append(str(fault))
    version = released or max(versions, default=0) + 1
    return Verdict(subject=record.name, version=version, faults=tuple(faults))


def house_faults(record: RecordType) -> list[str]:
    """Where a safe record breaks a rule of the house."""
    return list(dict.fromkeys([*_frame(record), *_inner(record)]))


def _frame(record: RecordType) -> Iterator[str]:
    family = record.name.removeprefix(f"{NAMESPACE}.").partition(".")[0]
    if not record.name.startswith(f"{NAMESPACE}.{family}."):
        yield f"{record.name}: expected a name {NAMESPACE}.<family>.<Name>"
    if family in PARTNER_FAMILIES and (not record.fields or record.fields[-1].name != SEALED_FIELD):
        yield f"{record.name}: expected {SEALED_FIELD} to be its last field"


def _inner(node: Node, place: str = "") -> Iterator[str]:
    match node:
        case RecordType():
            if not node.doc:
                yield f"{node.name}: expected a doc"
            for each in node.fields:
                inner = f"{node.name}.{each.name}"
                if not each.doc:
                    yield f"{inner}: expected a doc"
                yield from _inner(each.type, inner)
        case ArrayType():
            yield from _inner(node.items, place)
        case MapType():
            yield from _inner(node.values, place)
        case UnionType():
            yield from _union(node, place)
        case _:
            return


def _union(node: UnionType, place: str) -> Iterator[str]:
    """Plain JSON has no wrapper for a union, so only null and one other tell themselves apart at once."""
    names = tuple(branch.name if isinstance(branch, RecordType) else "" for branch in node.branches)
    nullable = isinstance(node.branches[0], Primitive) and node.branches[0].kind == "null"
    if not (nullable and (len(names) == 2 or names[1:] == SEALED_BRANCHES[1:])):
        yield f"{place}: expected a union of null and one type"
    for branch in node.branches:
        yield from _inner(branch, place)


def named_types(document: object) -> dict[str, str]:
    """The definition, as canonical text with docs, of each named type within a schema."""
    found: dict[str, str] = {}
    _collect(document, "", found)
    return found


def _collect(document: object, namespace: str, found: dict[str, str]) -> None:
    if isinstance(document, list):
        for each in document:
            _collect(each, namespace, found)
    if not isinstance(document, dict):
        return
    name = document.get("name")
    if isinstance(name, str) and document.get("type") in ("record", "enum", "fixed"):
        full = name if "." in name else f"{document.get('namespace', namespace)}.{name}"
        found[full] = json.dumps(document, sort_keys=True, ensure_ascii=False)
        namespace = full.rpartition(".")[0]
    for each in document.values():
        _collect(each, namespace, found)


def drifts(document: object, schemas: SchemaSet) -> list[str]:
    """Named types below the top record that the newest released schemas define in other words."""
    known: dict[str, str] = {}
    for schema in schemas:
        types = named_types(json.loads(schema.text))
        types.pop(schema.subject, None)
        known.update(types)
    own = named_types(document)
    top = next(iter(own), None)
    return [
        f"{name}: differs from its definition in the released schemas"
        for name, text in own.items()
        if name != top and known.get(name, text) != text
    ]
