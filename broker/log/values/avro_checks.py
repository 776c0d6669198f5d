"""Whether a datum is what its schema says: its types, and the facets beyond Avro; every fault, by field.

Two uses: what the broker is about to encode is checked whole (:func:`compile_check` with ``types``); what
the strict reader has read is of the right types already, and only its facets are looked at. Types without
facets cost nothing then: they compile to None.

A fault names the field and what was expected there, never the value: it may be a person's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from broker.core.avro.avro_model import MAX_ITEMS, ArrayType, MapType, Node, Primitive, RecordType, UnionType
from broker.core.problems import FieldError
from broker.log.values.avro_kinds import bounds_of, compile_branch, compile_holds, expectation, is_text

Check: TypeAlias = Callable[[object, str, list[FieldError]], None]
"""Adds to the faults of a value, whose JSON pointer is given."""


def compile_check(node: Node, *, types: bool) -> Check | None:
    """The check of a type; None when there is nothing to check."""
    match node:
        case RecordType():
            return _record_check(node, types=types)
        case ArrayType():
            return _array_check(node, types=types)
        case MapType():
            return _map_check(node, types=types)
        case UnionType():
            return _union_check(node, types=types)
        case _:
            return _leaf_check(node, types=types)


def _leaf_check(node: Node, *, types: bool) -> Check | None:
    bounds = bounds_of(node)
    holds = compile_holds(node) if types else None
    if bounds is None and holds is None:
        return None

    def check(value: object, pointer: str, faults: list[FieldError]) -> None:
        if holds is not None and not holds(value):
            faults.append(FieldError(pointer=pointer, expected=expectation(node)))
        elif bounds is not None and (expected := bounds(value)):
            faults.append(FieldError(pointer=pointer, expected=expected))

    return check


def _record_check(node: RecordType, *, types: bool) -> Check | None:
    compiled = [(each.name, compile_check(each.type, types=types)) for each in node.fields]
    checks = [(name, f"/{name}", check) for name, check in compiled if check is not None]
    names = {each.name for each in node.fields}
    required = [each.name for each in node.fields if not each.has_default]
    if not checks and not types:
        return None

    def check(value: object, pointer: str, faults: list[FieldError]) -> None:
        if not isinstance(value, dict):
            faults.append(FieldError(pointer=pointer, expected=expectation(node)))
            return
        if types:
            if not value.keys() <= names:
                faults.append(
                    FieldError(pointer=pointer, expected=f"no fields but {', '.join(sorted(names))}")
                )
            faults.extend(
                FieldError(pointer=f"{pointer}/{name}", expected="to be present")
                for name in required
                if name not in value
            )
        for name, step, check_field in checks:
            if name in value:
                check_field(value[name], pointer + step, faults)

    return check


def _array_check(node: ArrayType, *, types: bool) -> Check:
    check_item = compile_check(node.items, types=types)
    check_array = _leaf_check(node, types=types)
    assert check_array is not None

    def check(value: object, pointer: str, faults: list[FieldError]) -> None:
        check_array(value, pointer, faults)
        if check_item is not None and isinstance(value, list):
            for index, item in enumerate(value[:MAX_ITEMS]):
                check_item(item, f"{pointer}/{index}", faults)

    return check


def _map_check(node: MapType, *, types: bool) -> Check:
    """Keys are a sender's own text: a fault of an entry is reported at the map."""
    check_value = compile_check(node.values, types=types)
    check_map = _leaf_check(node, types=types)
    assert check_map is not None

    def check(value: object, pointer: str, faults: list[FieldError]) -> None:
        check_map(value, pointer, faults)
        if not isinstance(value, dict):
            return
        if types and not all(map(is_text, value)):
            faults.append(FieldError(pointer=pointer, expected="keys that are text"))
        if check_value is not None:
            report_entries(value.values(), check_value, pointer, faults)

    return check


def report_entries(values: Collection[object], check: Check, pointer: str, faults: list[FieldError]) -> None:
    """Check the values of a map; the first fault of all of them stands for the map."""
    inner: list[FieldError] = []
    for value in values:
        check(value, "", inner)
        if inner:
            faults.append(FieldError(pointer=pointer, expected=f"in each value, {inner[0].expected}"))
            return


def _union_check(node: UnionType, *, types: bool) -> Check | None:
    checks = [compile_check(branch, types=types) for branch in node.branches]
    if not types and not any(checks):
        return None
    branch_of = compile_branch(node)
    records = [index for index, branch in enumerate(node.branches) if isinstance(branch, RecordType)]
    nullable = any(isinstance(branch, Primitive) and branch.kind == "null" for branch in node.branches)
    only = _sole_branch(checks) if not types and nullable and len(node.branches) == 2 else None

    def check(value: object, pointer: str, faults: list[FieldError]) -> None:
        if value is None and nullable:
            return
        index = branch_of(value) if only is None else only
        if index is None and records and isinstance(value, dict):
            index = records[0]  # its own faults say more than that no branch fits
        if index is None:
            faults.append(FieldError(pointer=pointer, expected=expectation(node)))
        elif (found := checks[index]) is not None:
            found(value, pointer, faults)

    return check


def _sole_branch(checks: list[Check | None]) -> int:
    """The branch beside null: of two, the one that has something to check."""
    return 0 if checks[0] is not None else 1
