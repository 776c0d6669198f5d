"""A token bucket with time as an argument."""

from __future__ import annotations


class TokenBucket:
    """``per_second`` tokens a second, at most one second's worth (and at least one) saved up; full at first."""

    __slots__ = ("_at_s", "_burst", "_level", "per_second")

    def __init__(self, per_second: float) -> None:
        if not per_second > 0:
            raise ValueError("a rate is above 0")
        self.per_second = per_second
        self._burst = max(1.0, per_second)
        self._level = self._burst
        self._at_s: float | None = None

    def available(self, now_s: float) -> int:
        """Whole tokens at ``now_s`` (monotonic; a time before the last one counts as the last one)."""
        if self._at_s is None:
            self._at_s = now_s
        elif now_s > self._at_s:
            self._level = min(self._burst, self._level + (now_s - self._at_s) * self.per_second)
            self._at_s = now_s
        return int(self._level + _EPSILON)

    def spend(self, tokens: int) -> None:
        """Take tokens that :meth:`available` has just promised."""
        self._level -= tokens

    def wait_s(self, now_s: float) -> float:
        """Seconds from ``now_s`` until one token is there; 0: it is."""
        if self.available(now_s):
            return 0.0
        return (1.0 - self._level) / self.per_second


# Monotonic seconds have few digits left behind the point after months: a wait of wait_s must end with a token,
# or the caller would wait for nothing for ever. What is given too early is owed: it is not given twice.
_EPSILON = 1e-5
