"""After an outage: how fast a partner may be sent what has piled up, so that its return is not its next outage.

Pure: time is an argument. The rate that was normal before the circuit opened is remembered, and until the
backlog is gone nobody sends faster than half as much again, however quickly the partner answers.
Source: issue 4, 5 ("peak at most 1.5 times the normal rate"); reliability.md ("retry storm after an outage").
"""

from __future__ import annotations

from typing import Final

from broker.core.lane.rate import TokenBucket

PEAK: Final = 1.5
"""Within any second: at most this many times the normal rate."""
_BURST: Final = 0.1
"""Of the normal rate, as deliveries at once: the rate itself is lower by as much, so that the peak holds."""
_LEAST_PER_S: Final = 5.0
"""A partner that had next to nothing to do before is given this much at least, deliveries a second."""
_IDLE_S: Final = 1.0


class Recovery:
    """From a circuit's closing until its backlog is gone.

    ``normal_per_s`` is the rate before the circuit opened. The rate allowed rises from ``ramp_from`` of it to
    its peak over ``ramp_s`` and stays there, until for a whole second nothing has waited.
    """

    def __init__(self, now_s: float, *, normal_per_s: float, ramp_from: float, ramp_s: float) -> None:
        normal = max(_LEAST_PER_S, normal_per_s)
        burst = max(1.0, _BURST * normal)
        self._top_per_s = PEAK * normal - burst
        self._from = ramp_from
        self._ramp_s = ramp_s
        self._since_s = now_s
        self._bucket = TokenBucket(self._rate(now_s), burst)
        self._idle_since_s: float | None = None

    def available(self, now_s: float) -> int:
        """How many deliveries may start now."""
        if self._bucket.per_second < self._top_per_s:
            self._bucket.available(now_s)  # what was earned until now, at the old rate
            self._bucket.change(self._rate(now_s))
        return self._bucket.available(now_s)

    def spend(self, started: int) -> None:
        """So many deliveries have started, of those that :meth:`available` has just allowed."""
        self._bucket.spend(started)

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more may start."""
        return self._bucket.wait_s(now_s)

    def seen(self, now_s: float, *, waiting: bool) -> None:
        """After all that may start has been started: whether something is left that waits."""
        if waiting:
            self._idle_since_s = None
        elif self._idle_since_s is None:
            self._idle_since_s = now_s

    def over(self, now_s: float) -> bool:
        """Whether the ramp is done and nothing has waited for a second: the backlog is gone."""
        ramped = now_s >= self._since_s + self._ramp_s
        return ramped and self._idle_since_s is not None and now_s - self._idle_since_s >= _IDLE_S

    def _rate(self, now_s: float) -> float:
        if self._ramp_s <= 0 or now_s >= self._since_s + self._ramp_s:
            return self._top_per_s
        share = self._from + (1 - self._from) * max(0.0, now_s - self._since_s) / self._ramp_s
        return self._top_per_s * share
