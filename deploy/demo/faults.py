"""Faults that a city can be told to have, so that the play shows what the road does about them."""

from __future__ import annotations

import time


class Faults:
    """``outage``: every delivery gets 503 for a while. ``lost answers``: the effect happens, the answer does not arrive."""

    def __init__(self, *, first_requests_away: int = 0) -> None:
        self._away_until = 0.0
        self._requests_away = first_requests_away
        self._answers_to_lose = 0

    def go_away(self, seconds: float) -> None:
        """Answer 503 for so many seconds from now; 0 ends an outage."""
        self._away_until = time.monotonic() + seconds

    def lose_answers(self, count: int) -> None:
        """Lose the answers to the next ``count`` messages that have an effect."""
        self._answers_to_lose = count

    @property
    def away(self) -> bool:
        return time.monotonic() < self._away_until or self._requests_away > 0

    def take_request(self) -> bool:
        """Whether this delivery meets the outage; counts it."""
        away = self.away
        self._requests_away = max(0, self._requests_away - 1)
        return away

    def take_answer(self) -> bool:
        """Whether this answer gets lost; counts it."""
        if self._answers_to_lose == 0:
            return False
        self._answers_to_lose -= 1
        return True
