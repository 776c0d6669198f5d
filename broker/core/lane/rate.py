"""Rates with time as an argument: a bucket that holds a rate down, and a meter that remembers one."""

from __future__ import annotations

import math


class TokenBucket:
    """``per_second`` tokens a second, at most ``burst`` saved up; full at first.

    ``burst`` None: one second's worth, and at least one. In any span of ``s`` seconds no more than
    ``burst + s * per_second`` are given.
    """

    __slots__ = ("_at_s", "_burst", "_level", "per_second")

    def __init__(self, per_second: float, burst: float | None = None) -> None:
        if not per_second > 0:
            raise ValueError("a rate is above 0")
        self.per_second = per_second
        self._burst = max(1.0, per_second if burst is None else burst)
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

    def change(self, per_second: float) -> None:
        """Another rate from now on; what is saved up stays."""
        if not per_second > 0:
            raise ValueError("a rate is above 0")
        self.per_second = per_second


# Monotonic seconds have few digits left behind the point after months: a wait of wait_s must end with a token,
# or the caller would wait for nothing for ever. What is given too early is owed: it is not given twice.
_EPSILON = 1e-5


class RateMeter:
    """The mean of what happened per second, the last ``window_s`` seconds weighing most (exponentially)."""

    __slots__ = ("_at_s", "_count", "_seconds", "window_s")

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._at_s: float | None = None
        self._count = 0.0
        self._seconds = 0.0

    def add(self, now_s: float, count: int) -> None:
        """``count`` things happened since the last call, or since :meth:`begin`."""
        if self._at_s is None:
            self._at_s = now_s
            return
        elapsed_s = max(0.0, now_s - self._at_s)
        kept = math.exp(-elapsed_s / self.window_s)
        self._count = self._count * kept + count
        self._seconds = self._seconds * kept + elapsed_s
        self._at_s = now_s

    def begin(self, now_s: float) -> None:
        """Count from now: the time since the last call was no normal one and is left out."""
        self._at_s = now_s

    def per_second(self, least_s: float) -> float | None:
        """The mean rate; None when fewer than ``least_s`` seconds have been measured."""
        return self._count / self._seconds if self._seconds >= max(least_s, _EPSILON) else None
