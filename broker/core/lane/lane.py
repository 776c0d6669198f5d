"""One lane of a partner's scheduler: the entries of one case, and where it is. Mutable; :mod:`lanes` keeps the rules."""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
E = TypeVar("E")


class Stand(Enum):
    """Where a lane is."""

    WAITING = "waits in a queue for a slot"
    IN_FLIGHT = "its head is in flight"
    HELD = "its head waits to be released"
    GONE = "no longer a lane; its place in a queue is passed over"


class Node(Generic[E]):
    """One entry and the one behind it: a chain costs 56 bytes an entry, a deque per lane would cost 760."""

    __slots__ = ("behind", "entry", "size_bytes")

    def __init__(self, entry: E, size_bytes: int) -> None:
        self.entry = entry
        self.size_bytes = size_bytes
        self.behind: Node[E] | None = None


class Lane(Generic[K, E]):
    """The entries of one case, from the head to the tail; it is begun with its first."""

    __slots__ = ("head", "key", "run", "stand", "tail")

    def __init__(self, key: K, node: Node[E]) -> None:
        self.key = key
        self.head = node
        self.tail = node
        self.stand = Stand.WAITING
        self.run = 0
        """How many of its entries have settled in a row while it kept its slot."""
