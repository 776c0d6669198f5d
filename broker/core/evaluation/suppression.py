"""Which rows of a table are hidden so that small groups cannot be told, nor be worked out from the rest.

A table of pairs (responsible partner, opening partner, item) is published with its totals per responsible
partner and per item. Rows of fewer than ``small`` cases are hidden (primary suppression); then as many more as it
takes that no hidden number follows from those shown (secondary suppression). Source: issue 5, 11.

The sums make a graph: a node for each partner and each item with its total's sum, one for the grand total
that either kind of totals adds up to, and an edge for each number, between the two sums that it is in. A
hidden number follows from the others exactly when its edge is a bridge among the hidden ones. So bridges are
cured by hiding the next smallest number of one of their sums, until there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

Pair = tuple[str, str, str]
"""Responsible partner, opening partner, item."""

_ROOT: Final = ("all", "")
_Node = tuple[str, str]


class _Edge(NamedTuple):
    """One number of the table. Edges compare by cases, then pairs before totals, then by key."""

    cases: int
    level: int
    key: Pair
    one: _Node
    other: _Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """The rows that are hidden: pairs, totals of partners, totals of items."""

    pairs: frozenset[Pair]
    partners: frozenset[str]
    items: frozenset[str]


def hidden(cases: Mapping[Pair, int], small: int) -> Hidden:
    """What to hide of a table with these numbers of cases. The same table always hides the same rows.

    No hidden number can be computed from the shown ones by adding and subtracting. Where the hidden part of a
    total is known as a whole (the total less what is shown), it is of at least two rows and ``small`` cases.
    """
    edges = sorted(_edges(cases))
    away = {edge for edge in edges if edge.cases < small}
    at: dict[_Node, list[_Edge]] = {}
    for edge in edges:
        at.setdefault(edge.one, []).append(edge)
        at.setdefault(edge.other, []).append(edge)
    while True:
        more = set(_cures(at, away, small))
        if not more:
            break
        away |= more
    return Hidden(
        pairs=frozenset(edge.key for edge in away if edge.level == 0),
        partners=frozenset(edge.key[0] for edge in away if edge.level == 1),
        items=frozenset(edge.key[2] for edge in away if edge.level == 2),
    )


def _edges(cases: Mapping[Pair, int]) -> Iterator[_Edge]:
    partners: dict[str, int] = {}
    items: dict[str, int] = {}
    for key, count in cases.items():
        responsible, _, item = key
        yield _Edge(count, 0, key, ("partner", responsible), ("item", item))
        partners[responsible] = partners.get(responsible, 0) + count
        items[item] = items.get(item, 0) + count
    for responsible, count in partners.items():
        yield _Edge(count, 1, (responsible, "", ""), ("partner", responsible), _ROOT)
    for item, count in items.items():
        yield _Edge(count, 2, ("", "", item), ("item", item), _ROOT)


def _cures(at: Mapping[_Node, Sequence[_Edge]], away: set[_Edge], small: int) -> Iterator[_Edge]:
    """What to hide as well; nothing when all is well."""
    for bridge in _bridges(sorted(away)):
        shown = (edge for node in (bridge.one, bridge.other) for edge in at[node] if edge not in away)
        yield min(shown)  # there is one: with every number hidden the graph has no bridge
    for node, edges in at.items():
        if 0 < _known_to_be_hidden(node, edges, away) < small:
            yield from [edge for edge in edges if edge not in away][:1]


def _known_to_be_hidden(node: _Node, edges: Sequence[_Edge], away: set[_Edge]) -> int:
    """How many cases are hidden in this sum, if that is known: if nothing on its other side is hidden; else 0."""
    sides: tuple[list[_Edge], list[_Edge]] = ([], [])
    for edge in edges:
        if edge in away:
            sides[_side(node, edge)].append(edge)
    if all(sides):
        return 0
    return sum(edge.cases for side in sides for edge in side)


def _side(node: _Node, edge: _Edge) -> int:
    """The parts of a sum and its total are on different sides; so are the two kinds of totals at the root."""
    return int(edge.level == 2 if node == _ROOT else edge.level > 0)


def _bridges(edges: Iterable[_Edge]) -> Iterator[_Edge]:
    """The edges without which their graph falls apart (Tarjan 1974), without recursion."""
    around: dict[_Node, list[_Edge]] = {}
    for edge in edges:
        around.setdefault(edge.one, []).append(edge)
        around.setdefault(edge.other, []).append(edge)
    found: dict[_Node, int] = {}
    low: dict[_Node, int] = {}
    for start in list(around):
        if start in found:
            continue
        found[start] = low[start] = len(found)
        path: list[tuple[_Node, _Edge | None, Iterator[_Edge]]] = [(start, None, iter(around[start]))]
        while path:
            node, came_by, rest = path[-1]
            for edge in rest:
                if edge is came_by:
                    continue
                to = edge.other if edge.one == node else edge.one
                if to in found:
                    low[node] = min(low[node], found[to])
                    continue
                found[to] = low[to] = len(found)
                path.append((to, edge, iter(around[to])))
                break
            else:
                path.pop()
                if path and came_by is not None:
                    before = path[-1][0]
                    low[before] = min(low[before], low[node])
                    if low[node] == found[node]:
                        yield came_by
