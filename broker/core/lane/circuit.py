"""A partner's circuit, as a frozen value and pure transitions. While it is open, the backlog stays in Kafka.

Failures here are those that say the *partner* is sick (5xx, time-outs, no connection, a fault of
configuration); a message that it refuses is an answer of a partner in health. Time is monotonic seconds.
Source: design, promise 4; Convoy's circuit breaker (at least 70 % of at least 10 in 5 minutes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitPolicy:
    """Opens at ``failure_ratio`` of at least ``minimum`` answers within ``window_s``, or when ``in_a_row`` have
    failed (and ``minimum``): else a busy partner that goes down would be tried for half the window.

    While open it is probed after ``probe_first_s``, then after twice as long each time up to
    ``probe_max_s``; a probe without an answer for ``probe_timeout_s`` counts as failed. After closing, the
    limit of flight rises from ``ramp_from`` of the normal one to all of it over ``ramp_s``.
    """

    failure_ratio: float = 0.7
    minimum: int = 10
    in_a_row: int = 30
    window_s: float = 300.0
    probe_first_s: float = 5.0
    probe_max_s: float = 300.0
    probe_timeout_s: float = 60.0
    ramp_from: float = 0.1
    ramp_s: float = 30.0


HOUSE: Final = CircuitPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """One partner's circuit. ``reason`` says why it is not closed; it holds no personal data.

    Answers are counted in two halves of the window: the one under way and the one before it, so that the
    ratio always stands on the last half to whole window. Only the probe's own answer moves a circuit that
    is not closed: late answers of deliveries that began before it opened are passed over.
    """

    policy: CircuitPolicy = HOUSE
    phase: Phase = Phase.CLOSED
    reason: str | None = None
    half_since_s: float = -math.inf
    good: int = 0
    bad: int = 0
    good_before: int = 0
    bad_before: int = 0
    failed_in_a_row: int = 0
    probe_wait_s: float = 0.0
    probe_at_s: float = math.inf
    """OPEN: when the next probe may go. HALF_OPEN: when the probe under way is given up."""
    closed_at_s: float = -math.inf

    def admits(self, now_s: float, normal: int) -> int:
        """How many may be in flight now, where ``normal`` is the partner's limit. Never more than it.

        Not closed: 0. :meth:`may_probe` says whether one probe may go; take :meth:`probing` with it.
        """
        if self.phase is not Phase.CLOSED:
            return 0
        since_s = now_s - self.closed_at_s
        if since_s >= self.policy.ramp_s:
            return normal
        share = self.policy.ramp_from + (1 - self.policy.ramp_from) * max(0.0, since_s) / self.policy.ramp_s
        return min(normal, max(1, math.floor(normal * share)))

    def may_probe(self, now_s: float) -> bool:
        """Whether one probe may go now: the wait is over, or the probe under way is given up."""
        return self.phase is not Phase.CLOSED and now_s >= self.probe_at_s

    def succeeded(self, now_s: float, count: int = 1) -> Circuit:
        """The partner answered ``count`` deliveries that were not probes."""
        if self.phase is not Phase.CLOSED:
            return self
        return self._counted(now_s, good=count, bad=0)

    def failed(self, now_s: float, reason: str) -> Circuit:
        """A delivery that was not a probe failed by the partner's fault. It may open the circuit."""
        if self.phase is not Phase.CLOSED:
            return self
        after = self._counted(now_s, good=0, bad=1)
        bad = after.bad + after.bad_before
        total = bad + after.good + after.good_before
        row = max(self.policy.in_a_row, self.policy.minimum)
        if after.failed_in_a_row >= row:
            return self._opened(now_s, reason, self.policy.probe_first_s)
        if total < self.policy.minimum or bad < self.policy.failure_ratio * total:
            return after
        return self._opened(now_s, reason, self.policy.probe_first_s)

    def misconfigured(self, now_s: float, reason: str) -> Circuit:
        """The partner or we are set up wrongly (401, 403, 404, 3xx): open at once. Probes go on."""
        if self.phase is not Phase.CLOSED:
            return replace(self, reason=reason)
        return self._opened(now_s, reason, self.policy.probe_first_s)

    def stopped(self, reason: str) -> Circuit:
        """The partner has closed its endpoint (410), or an operator has: open, without probes, until :meth:`reset`."""
        return Circuit(policy=self.policy, phase=Phase.OPEN, reason=reason)

    def reset(self, now_s: float) -> Circuit:
        """An operator has mended it: probe at once. A closed circuit stays as it is."""
        if self.phase is Phase.CLOSED:
            return self
        return self._opened(now_s, self.reason or "", 0.0)

    def probing(self, now_s: float) -> Circuit:
        """The one probe is on its way. Raises ValueError when none may go."""
        if not self.may_probe(now_s):
            raise ValueError("no probe may go now")
        return replace(self, phase=Phase.HALF_OPEN, probe_at_s=now_s + self.policy.probe_timeout_s)

    def probed(self, now_s: float, fault: str | None) -> Circuit:
        """The probe's answer: ``fault`` None closes the circuit and begins the ramp; else it stays open, longer."""
        if self.phase is not Phase.HALF_OPEN:
            return self
        if fault is None:
            return Circuit(policy=self.policy, closed_at_s=now_s, half_since_s=now_s)
        wait_s = max(self.policy.probe_first_s, min(2 * self.probe_wait_s, self.policy.probe_max_s))
        return self._opened(now_s, fault, wait_s)

    def _opened(self, now_s: float, reason: str, wait_s: float) -> Circuit:
        return Circuit(
            policy=self.policy,
            phase=Phase.OPEN,
            reason=reason,
            probe_wait_s=wait_s,
            probe_at_s=now_s + wait_s,
        )

    def _counted(self, now_s: float, *, good: int, bad: int) -> Circuit:
        half_s = self.policy.window_s / 2
        elapsed_s = now_s - self.half_since_s
        failed_in_a_row = 0 if good else self.failed_in_a_row + bad
        if elapsed_s < half_s:
            return Circuit(
                policy=self.policy,
                half_since_s=self.half_since_s,
                good=self.good + good,
                bad=self.bad + bad,
                good_before=self.good_before,
                bad_before=self.bad_before,
                failed_in_a_row=failed_in_a_row,
                closed_at_s=self.closed_at_s,
            )
        recent = elapsed_s < self.policy.window_s
        return Circuit(
            policy=self.policy,
            half_since_s=now_s,
            good=good,
            bad=bad,
            good_before=self.good if recent else 0,
            bad_before=self.bad if recent else 0,
            failed_in_a_row=failed_in_a_row,
            closed_at_s=self.closed_at_s,
        )
