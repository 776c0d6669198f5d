"""A partner's circuit at work: every answer is judged, openings and closings are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from broker.core.circuit import Circuit, CircuitPolicy, Phase
from broker.core.ids import PartnerId
from broker.delivery.ports import Clock
from broker.telemetry import CIRCUIT, get_log
from connectors.base import Answer, Closed, Deferred, Delivered, Held, Misconfigured, Refused, Taken

_LOG: Final = get_log("delivery")
_NEVER_S: Final = 86400.0


class Health:
    """What the answers say of one partner. ``changed`` is called when its circuit has opened or closed."""

    def __init__(
        self, partner: PartnerId, clock: Clock, policy: CircuitPolicy, changed: Callable[[], None]
    ) -> None:
        self._partner = partner
        self._clock = clock
        self._changed = changed
        self._circuit = Circuit(policy=policy)
        CIRCUIT.labels(partner=partner).set(0)

    def flows(self) -> bool:
        """Whether deliveries go out as usual. Otherwise nothing is counted, parked or used up."""
        return self._circuit.phase is Phase.CLOSED

    @property
    def trouble(self) -> str | None:
        if self.flows():
            return None
        return f"its circuit is {self._circuit.phase}: {self._circuit.reason}"

    def room(self, now_s: float, normal: int) -> int:
        """How many may be in flight now; the ramp after a closing keeps it low for a while."""
        return self._circuit.admits(now_s, normal)

    def begin_probe(self, now_s: float) -> bool:
        """True: the one probe may go now, and counts as on its way."""
        if not self._circuit.may_probe(now_s):
            return False
        self._move(self._circuit.probing(now_s))
        return True

    def probe_in_s(self, now_s: float) -> float | None:
        """Seconds until the next probe may go; None: not by itself."""
        wait_s = self._circuit.probe_at_s - now_s
        return max(0.0, wait_s) if wait_s < _NEVER_S else None

    def unsent(self, *, probe: bool) -> None:
        """A message was not sent after all. It proves nothing: if it was the probe, the next one is."""
        if probe:
            self._move(self._circuit.reset(self._clock.monotonic_s()))

    def judge(self, answer: Answer, *, probe: bool) -> None:
        """What an answer says of the partner."""
        now_s = self._clock.monotonic_s()
        circuit = self._circuit
        match answer:
            case Delivered() | Taken() | Held() | Refused():
                self._move(circuit.probed(now_s, None) if probe else circuit.succeeded(now_s))
            case Closed(reason=reason):
                self._move(circuit.stopped(f"the partner has closed this endpoint ({reason})"))
            case Deferred(reason=reason):
                self._move(circuit.probed(now_s, reason) if probe else circuit.failed(now_s, reason))
            case Misconfigured(reason=reason):
                self._move(circuit.probed(now_s, reason) if probe else circuit.misconfigured(now_s, reason))
            case _:
                assert_never(answer)

    def _move(self, circuit: Circuit) -> None:
        before, self._circuit = self._circuit.phase, circuit
        after = circuit.phase
        if before is after:
            return
        CIRCUIT.labels(partner=self._partner).set(0 if after is Phase.CLOSED else 1)
        if after is Phase.OPEN and before is Phase.CLOSED:
            _LOG.error("circuit_opened", partner=self._partner, reason=circuit.reason)
        elif after is Phase.CLOSED:
            _LOG.info("circuit_closed", partner=self._partner)
        self._changed()
