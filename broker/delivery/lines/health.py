"""A partner's circuit at work: every answer is judged, openings and closings are told, a return is paced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from broker.core.ids import PartnerId
from broker.core.lane.circuit import Circuit, CircuitPolicy, Phase
from broker.core.lane.rate import RateMeter
from broker.core.lane.recovery import Recovery
from broker.delivery.ports import Clock
from broker.telemetry import CIRCUIT, get_log
from connectors.base import Answer, Closed, Deferred, Delivered, Held, Misconfigured, Refused, Taken

_LOG: Final = get_log("delivery")
_NEVER_S: Final = 86400.0
_NORMAL_S: Final = 300.0
_MEASURED_S: Final = 5.0
_WELL: Final = frozenset({Delivered, Taken, Held, Refused})


class Health:
    """What the answers say of one partner. ``changed`` is called when its circuit has opened or closed.

    ``supposed_per_s`` stands in for the partner's normal rate until that has been measured.
    """

    def __init__(
        self,
        partner: PartnerId,
        clock: Clock,
        policy: CircuitPolicy,
        changed: Callable[[], None],
        *,
        supposed_per_s: float,
    ) -> None:
        self._partner = partner
        self._clock = clock
        self._changed = changed
        self._circuit = Circuit(policy=policy)
        self._closed = True
        self._good = 0
        """Answers of a partner in health that are not counted yet: they come by the thousand a second."""
        self._meter = RateMeter(_NORMAL_S)
        self._meter.begin(clock.monotonic_s())
        self._normal_per_s = supposed_per_s
        self._recovery: Recovery | None = None
        CIRCUIT.labels(partner=partner).set(0)

    def flows(self) -> bool:
        """Whether deliveries go out as usual. Otherwise nothing is counted, parked or used up."""
        return self._closed

    @property
    def phase(self) -> Phase:
        return self._circuit.phase

    @property
    def recovering(self) -> bool:
        """Whether a backlog is being drained at a held-down rate."""
        return self._recovery is not None

    @property
    def trouble(self) -> str | None:
        if self._closed:
            return None
        return f"its circuit is {self._circuit.phase}: {self._circuit.reason}"

    def room(self, now_s: float, normal: int) -> int:
        """How many may be in flight now; the ramp after a closing keeps it low for a while."""
        return self._circuit.admits(now_s, normal)

    def paced(self, now_s: float, room: int) -> int:
        """How many of ``room`` may start now: after an outage no faster than the partner was used to."""
        if self._recovery is None:
            return room
        if self._recovery.over(now_s):
            self._recovery = None
            self._meter.begin(now_s)
            return room
        return min(room, self._recovery.available(now_s))

    def started(self, count: int) -> None:
        """So many deliveries have started, of those that :meth:`paced` allowed."""
        if self._recovery is not None:
            self._recovery.spend(count)

    def pace_s(self, now_s: float, *, waiting: bool) -> float:
        """All that may start has been started: seconds until one more may; 0: whenever there is room."""
        if self._recovery is None:
            return 0.0
        self._recovery.seen(now_s, waiting=waiting)
        return self._recovery.wait_s(now_s)

    def begin_probe(self, now_s: float) -> bool:
        """True: the one probe may go now, and counts as on its way."""
        if not self._circuit.may_probe(now_s):
            return False
        self._move(self._circuit.probing(now_s), now_s)
        return True

    def probe_in_s(self, now_s: float) -> float | None:
        """Seconds until the next probe may go; None: not by itself."""
        wait_s = self._circuit.probe_at_s - now_s
        return max(0.0, wait_s) if wait_s < _NEVER_S else None

    def probe_at_once(self, now_s: float) -> None:
        """Somebody asks for a probe: it may go now, also to an endpoint that was closed, unless one is under way."""
        if self._circuit.phase is Phase.OPEN:
            self._move(self._circuit.reset(now_s), now_s)

    def unsent(self, *, probe: bool) -> None:
        """A message was not sent after all. It proves nothing: if it was the probe, the next one is."""
        if probe:
            now_s = self._clock.monotonic_s()
            self._move(self._circuit.reset(now_s), now_s)

    def judge(self, answer: Answer, *, probe: bool) -> None:
        """What an answer says of the partner."""
        if not probe and type(answer) in _WELL:
            self._good += 1
            return
        now_s = self._clock.monotonic_s()
        self.count(now_s)
        circuit = self._circuit
        match answer:
            case Delivered() | Taken() | Held() | Refused():
                self._move(circuit.probed(now_s, None), now_s)
            case Closed(reason=reason):
                self._move(circuit.stopped(f"the partner has closed this endpoint ({reason})"), now_s)
            case Deferred(reason=reason):
                failed = circuit.probed(now_s, reason) if probe else circuit.failed(now_s, reason)
                self._move(failed, now_s)
            case Misconfigured(reason=reason):
                wrong = circuit.probed(now_s, reason) if probe else circuit.misconfigured(now_s, reason)
                self._move(wrong, now_s)
            case _:
                assert_never(answer)

    def count(self, now_s: float) -> None:
        """Take the good answers since the last call into account. Call it a few times a second at least."""
        good, self._good = self._good, 0
        if not self._closed or not good:
            return
        self._circuit = self._circuit.succeeded(now_s, good)
        if self._recovery is None:
            self._meter.add(now_s, good)

    def _move(self, circuit: Circuit, now_s: float) -> None:
        before, self._circuit = self._circuit.phase, circuit
        after = circuit.phase
        if before is after:
            return
        self._closed = after is Phase.CLOSED
        CIRCUIT.labels(partner=self._partner).set(0 if self._closed else 1)
        if after is Phase.OPEN and before is Phase.CLOSED:
            self._remember_normal(now_s)
            _LOG.error("circuit_opened", partner=self._partner, reason=circuit.reason)
        elif self._closed:
            policy = circuit.policy
            self._recovery = Recovery(
                now_s, normal_per_s=self._normal_per_s, ramp_from=policy.ramp_from, ramp_s=policy.ramp_s
            )
            _LOG.info("circuit_closed", partner=self._partner)
        self._changed()

    def _remember_normal(self, now_s: float) -> None:
        if self._recovery is None:
            self._meter.add(now_s, 0)
            self._normal_per_s = self._meter.per_second(_MEASURED_S) or self._normal_per_s
        self._recovery = None
