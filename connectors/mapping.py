"""A partner's own names and codes: fields renamed, codes translated, both ways, from data alone.

Paths are dotted, ``[]`` steps into every item of a list: ``status``, ``sealed.applicant.name``,
``sealed.documents[].media_type``. What no rule names passes as it is. Codes are translated by our path.
Nothing is ever overwritten or guessed: a conflict is a :class:`MappingConflict`, a fault of configuration.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from broker.core.documents import FORBID_UNKNOWN, Fault

Data = dict[str, object]
Path = tuple[str, ...]
FieldPath = Annotated[str, Field(pattern=r"^[^.\[\]]+(\[\])?(\.[^.\[\]]+(\[\])?)*$", max_length=200)]


class MappingConflict(ValueError):
    """The partner's mapping does not fit this message: a field or code would be overwritten or ambiguous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingOptions:
    """How a partner names things. ``fields``: our path to the partner's path; ``codes``: our path to a table
    of our code to the partner's; ``types`` limits both to these message types (``case.submitted``), empty
    means all.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    fields: Mapping[FieldPath, FieldPath] = field(default_factory=dict)
    codes: Mapping[FieldPath, Mapping[str, str]] = field(default_factory=dict)
    types: tuple[str, ...] = ()


class PartnerMapping:
    """The mapping of one partner. No rules: data passes untouched, uncopied."""

    def __init__(self, rules: Sequence[MappingOptions]) -> None:
        self._rules = tuple(rules)

    def outward(self, message_type: str, data: Data) -> Data:
        """Our data as the partner names it. Raises :class:`MappingConflict`."""
        return self._apply(message_type, data, _outward)

    def inward(self, message_type: str, data: Data) -> Data:
        """The partner's data as we name it: the inverse of :meth:`outward`. Raises :class:`MappingConflict`."""
        return self._apply(message_type, data, _inward)

    def _apply(self, message_type: str, data: Data, way: Callable[[MappingOptions, Data], None]) -> Data:
        rules = [rule for rule in self._rules if not rule.types or message_type in rule.types]
        if not rules:
            return data
        mapped = copy.deepcopy(data)
        for rule in rules if way is _outward else reversed(rules):
            way(rule, mapped)
        return mapped


def mapping_faults(rules: Sequence[MappingOptions]) -> Iterator[Fault]:
    """What a mapping's own text shows to be wrong, with the key within the connector's options."""
    for index, rule in enumerate(rules):
        targets: dict[str, str] = {}
        for ours, theirs in rule.fields.items():
            key = f"mapping.{index}.fields.{ours}"
            if theirs in targets:
                yield Fault(file="", key=key, expected=f"expected another name than {targets[theirs]} has")
            targets[theirs] = ours
            if _lists(ours) != _lists(theirs):
                yield Fault(
                    file="", key=key, expected="expected the same list (the part up to []) on both sides"
                )
        for path, table in rule.codes.items():
            if len(set(table.values())) != len(table):
                yield Fault(
                    file="",
                    key=f"mapping.{index}.codes.{path}",
                    expected="expected a code of its own for each",
                )


def _outward(rule: MappingOptions, data: Data) -> None:
    for path, table in rule.codes.items():
        _translate(data, _path(path), table)
    moves = [(_path(ours), _path(theirs)) for ours, theirs in rule.fields.items()]
    _move([move for move in moves if "[]" in move[0]], data)
    _move([move for move in moves if "[]" not in move[0]], data)


def _inward(rule: MappingOptions, data: Data) -> None:
    moves = [(_path(theirs), _path(ours)) for ours, theirs in rule.fields.items()]
    _move([move for move in moves if "[]" not in move[0]], data)
    _move([move for move in moves if "[]" in move[0]], data)
    for path, table in rule.codes.items():
        _translate(data, _path(path), {theirs: ours for ours, theirs in table.items()})


def _path(text: str) -> Path:
    return tuple(text.replace("[]", ".[]").split("."))


def _lists(text: str) -> str:
    return text.rpartition("[]")[0]


def _move(moves: Sequence[tuple[Path, Path]], data: Data) -> None:
    """Take every value first and put it afterwards, so that two fields may change names."""
    taken: list[tuple[Data, Path, object]] = []
    targets: list[tuple[Data, Path]] = []
    for source, target in moves:
        depth = len(source) - source[::-1].index("[]") if "[]" in source else 0
        for parent in _nodes(data, source[:depth]):
            targets.append((parent, target[depth:]))
            value, found = _take(parent, source[depth:])
            if found:
                taken.append((parent, target[depth:], value))
    for parent, path in targets:
        # Also where nothing is to be put: on the way back it would be taken for the renamed field.
        if any(path[-1] in node for node in _nodes(parent, path[:-1])):
            raise MappingConflict(f"the field {'.'.join(path)} is there already")
    for parent, path, value in taken:
        _put(parent, path, value)


def _nodes(node: object, path: Path) -> Iterator[Data]:
    if not path:
        if isinstance(node, dict):
            yield node
    elif path[0] == "[]":
        for item in node if isinstance(node, list) else ():
            yield from _nodes(item, path[1:])
    elif isinstance(node, dict) and path[0] in node:
        yield from _nodes(node[path[0]], path[1:])


def _take(parent: Data, path: Path) -> tuple[object, bool]:
    trail: list[tuple[Data, str]] = []
    node: object = parent
    for step in path[:-1]:
        if not isinstance(node, dict) or step not in node:
            return None, False
        trail.append((node, step))
        node = node[step]
    if not isinstance(node, dict) or path[-1] not in node:
        return None, False
    value = node.pop(path[-1])
    for holder, step in reversed(trail):
        if holder[step] == {}:
            del holder[step]
    return value, True


def _put(parent: Data, path: Path, value: object) -> None:
    node = parent
    for step in path[:-1]:
        below = node.setdefault(step, {})
        if not isinstance(below, dict):
            raise MappingConflict(f"the field {'.'.join(path)} lies within a field that is no record")
        node = below
    node[path[-1]] = value


def _translate(data: Data, path: Path, table: Mapping[str, str]) -> None:
    for parent in _nodes(data, path[:-1]):
        code = parent.get(path[-1])
        if not isinstance(code, str):
            continue
        if code in table:
            parent[path[-1]] = table[code]
        elif code in table.values():
            raise MappingConflict(
                f"a code of {'.'.join(path)} is not in the table and is another's translation"
            )
