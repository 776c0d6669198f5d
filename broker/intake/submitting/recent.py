"""What this process has put on the ledger lately: it bridges the time until the view holds it."""

from __future__ import annotations

from collections import OrderedDict

from broker.core.records import Position
from broker.intake.ports import Name


class Recent:
    """The last ``most`` messages written, by name: digest and place. Older ones are in the view."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[Name, tuple[str, Position]] = OrderedDict()

    def get(self, name: Name) -> tuple[str, Position] | None:
        return self._known.get(name)

    def put(self, name: Name, digest: str, position: Position) -> None:
        self._known[name] = (digest, position)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
