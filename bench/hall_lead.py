"""How far the senders may run ahead of the receipts: so every tenth of a run pays for its own messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LEAD: Final = 16_000
"""Messages: four batches of 1,000 under way at intake, two of 2,000 at the exchange, four of 500 with each side,
and their receipts on the way back. A stage that waits has something to do meanwhile, and no stage much more."""
LOOK_S: Final = 0.02


class Lead:
    """A bound on what is sent and has no receipt yet. ``receipted`` counts the receipts since the run's beginning.

    ``receipted`` is asked when the bound seems to be reached, and not more often than every :data:`LOOK_S`.
    """

    def __init__(
        self, most: int, receipted: Callable[[], int], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._receipted = receipted
        self._now = now
        self._sent = self._known = 0
        self._looked_at = float("-inf")

    def allows(self, messages: int) -> bool:
        """Whether so many more may be sent. One batch always may when nothing is without its receipt."""
        if self._fits(messages):
            return True
        now = self._now()
        if now - self._looked_at >= LOOK_S:
            self._looked_at, self._known = now, self._receipted()
        return self._fits(messages)

    def sent(self, messages: int) -> None:
        self._sent += messages

    def turned_away(self, messages: int) -> None:
        """They are not on the ledger, and will be sent again."""
        self._sent -= messages

    def _fits(self, messages: int) -> bool:
        ahead = self._sent - self._known
        return ahead <= 0 or ahead + messages <= self._most
