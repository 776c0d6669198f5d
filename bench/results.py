"""What a run has found: plain figures, kept as JSON beside the report that is made of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.occasion import Occasion


@dataclass(kw_only=True)
class Part:
    """A bare part, or one stage alone: how fast, and CPU microseconds per message of its process."""

    messages: int
    seconds: float
    cpu_us: float
    peak_mb: float = 0.0

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds


@dataclass(kw_only=True)
class Road:
    """One whole road. ``seconds``: from the first request to the last receipt in the view.

    ``accepted_s``: to the last 202. ``cpu_us`` (per message) and ``peak_mb`` by process. ``rss_mb``:
    resident memory of ``tongban serve`` when these percentages of the messages had their receipts.
    """

    messages: int
    seconds: float
    accepted_s: float
    cpu_us: dict[str, float]
    peak_mb: dict[str, float]
    rss_mb: dict[int, float]
    refused: int = 0

    @property
    def rate(self) -> float:
        return self.messages / self.seconds

    @property
    def broker_us(self) -> float:
        """CPU per message of the broker's own processes."""
        return sum(us for name, us in self.cpu_us.items() if name.startswith("serve"))


@dataclass(kw_only=True)
class Latency:
    """Milliseconds at a steady rate: accepted (the ledger's own time) to effect, and sent to effect."""

    rate: float
    messages: int
    accepted_p50: float
    accepted_p99: float
    sent_p50: float
    sent_p99: float
    answer_p50: float
    answer_p99: float
    hops_p50: float
    hops_p99: float
    broker_us: float


@dataclass(kw_only=True)
class Restart:
    """Seconds from the command to the first effect at the partner."""

    after_stop_s: float
    after_kill_s: float
    ledger_records: int
    start_s: float
    """Until ``/readyz`` says yes."""


@dataclass(kw_only=True)
class Results:
    """Everything of one run."""

    occasion: Occasion
    quick: bool
    others: dict[str, float] = field(default_factory=dict)
    """The share of the cores that other programs used during each run."""
    event_bytes: float = 0.0
    parts: dict[str, Part] = field(default_factory=dict)
    single: Road | None = None
    staged: Road | None = None
    batches: Road | None = None
    stages: dict[str, Part] = field(default_factory=dict)
    latency: Latency | None = None
    restart: Restart | None = None
    steps: dict[str, float] = field(default_factory=dict)
    """CPU microseconds of the product's own steps, one by one."""
