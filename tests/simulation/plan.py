"""What one seed does to the world: a list of steps that can be shortened, and the settings they run under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Do = Literal[
    "send",  # a message of a case to a partner
    "poison",  # a record that is no message of ours, or whose papers are corrupt
    "repeat",  # the exchange restarts and writes its last n outputs again
    "kill",
    "freeze",
    "stop",
    "start",  # one more worker
    "rebalance",
    "arm",  # the next n calls of a port fail in one way
    "at-step",  # the process that comes to a step of the road next is killed, frozen or loses its partitions
    "mood",  # how a partner answers for a while
    "directory",  # the partner's entry changes: its line begins anew
    "note",  # somebody else writes a note into a commit of the group; detail: foreign or torn
    "clock",  # the wall clock jumps, there and back
    "act",  # an operator's act on open dossiers
    "lever",  # pause, resume, limit, probe
]

STORE_FAULTS: Final = ("away", "locked", "unacked", "kill-before", "kill-after")
FAULTS: Final[dict[str, tuple[str, ...]]] = {
    "store.read": ("away", "slow"),
    "store.write": STORE_FAULTS,
    "store.durable": STORE_FAULTS,
    "ledger.write": ("away", "lost", "unacked", "late", "kill-before", "kill-after"),
    "group.commit": ("away", "unacked", "kill-before", "kill-after"),
    "group.committed": ("away",),
    "group.poll": ("away",),
    "group.beat": ("lost",),
    "keys": ("away",),
}
"""Every fault of every port but the partner's."""

ROAD_STEPS: Final = (
    "delivery.polled",
    "delivery.opened",
    "delivery.effected",
    "delivery.receipted",
    "delivery.committed_store",
    "delivery.committed_group",
)
AT_STEP: Final = ("kill", "freeze", "rebalance")

Mood = Literal[
    "fine",
    "slow",
    "taken",
    "taken-late",
    "taken-never",
    "taken-twice",
    "refused",
    "refused-after-effect",
    "down",
    "limited",
    "unauthorised",
    "gone",
    "hung",
    "reset",
    "reset-after-effect",
    "effect-then-timeout",
    "partial",
    "garbage",
    "raises",
]
MOODS: Final[tuple[Mood, ...]] = (
    "slow", "taken", "taken-late", "taken-never", "taken-twice", "refused", "refused-after-effect", "down",
    "limited", "unauthorised", "gone", "hung", "reset", "reset-after-effect", "effect-then-timeout", "partial",
    "garbage", "raises",
)  # fmt: skip
SICK: Final[tuple[Mood, ...]] = ("down", "hung", "reset", "limited", "unauthorised", "gone", "slow")
"""Moods that last: the partner as a whole is sick."""

ACTS: Final = ("retry", "retry-last", "retry-cause", "skip", "return")
LEVERS: Final = ("pause", "resume", "limit", "unlimit", "probe")
Family = Literal["calm", "faults", "storm", "desk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing done to the world at a time (virtual seconds)."""

    at_s: float
    do: Do
    who: str = ""
    detail: str = ""
    n: int = 1
    for_s: float = 0.0

    def __str__(self) -> str:
        more = [self.who, self.detail, f"x{self.n}" if self.n != 1 else ""]
        more.append(f"for {self.for_s:.1f} s" if self.for_s else "")
        return f"{self.at_s:12.3f} s  {self.do:9} {' '.join(filter(None, more))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast the world's clocks go. ``coarse``: the house's own schedule, over days."""

    coarse: bool
    unit_s: float
    """How long things take that take long: the length of faults, the waits of the schedule."""
    commit_s: float
    session_s: float


FINE: Final = Pace(coarse=False, unit_s=1.0, commit_s=0.4, session_s=6.0)
COARSE: Final = Pace(coarse=True, unit_s=1800.0, commit_s=900.0, session_s=3000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """One partner of the plan."""

    id: str
    batch: int
    tasks: bool
    """Its connector is awaited; otherwise it calls back."""
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One seed's world. The same plan makes the same history."""

    seed: int
    family: Family
    pace: Pace
    cities: tuple[City, ...]
    cases: int
    workers: int
    partitions: int
    static: bool
    disorder: float
    receipts_home: bool
    bound_bytes: bool
    steps: tuple[Step, ...]
    healthy: str
    """The partner that is never sick, for I13."""

    def __str__(self) -> str:
        cities = ", ".join(
            f"{each.id} (batch {each.batch}, in flight {each.in_flight})" for each in self.cities
        )
        return (
            f"seed {self.seed}: {self.family}, {'days' if self.pace.coarse else 'seconds'}, "
            f"{self.workers} workers{' (static)' if self.static else ''}, {self.partitions} partitions, "
            f"{self.cases} cases; {cities}"
        )
