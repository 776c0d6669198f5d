"""What a run of the hall costs, noted while it lasts: CPU by tenths of the messages, memory, lines of progress."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from bench.measure import cpu_s, memory

PARTS: Final = 10
_MEMORY_S: Final = 1.0
_SAMPLES: Final = 240
_PROGRESS_S: Final = 1.0
Say = Callable[[str], None]


@dataclass(kw_only=True)
class Tenth:
    """One tenth of the messages: seconds, and CPU microseconds per message by process."""

    messages: int
    seconds: float
    cpu_us: dict[str, float]

    @property
    def broker_us(self) -> float:
        return sum(us for name, us in self.cpu_us.items() if name.startswith("serve"))


@dataclass(kw_only=True)
class HallRun:
    """What a run has shown. ``seconds``: from the first request to the last receipt in the view.

    ``tenths``: of the messages by their receipts. ``lead``: so many messages, at most, were sent and had no
    receipt yet. ``steady`` True: the tenths leave out the first receipts, while the lead was being built up,
    and the last, when nothing was taken in any more. ``rss_mb``: by process, every second at first, thinned out
    later. ``disk_mb``: what Kafka, view and vault hold of it. ``whole`` False: it was interrupted.
    """

    road: str
    processes: str
    cases: int
    messages: int
    seconds: float
    accepted_s: float
    cpu_us: dict[str, float]
    peak_mb: dict[str, float]
    tenths: list[Tenth]
    lead: int = 0
    steady: bool = False
    rss_mb: dict[str, list[float]] = field(default_factory=dict)
    disk_mb: float = 0.0
    put_off: int = 0
    effects: int = 0
    doubled: int = 0
    out_of_order: int = 0
    whole: bool = True

    @property
    def rate(self) -> float:
        """Messages a second: effect at the partner and receipt in the view."""
        return self.messages / self.seconds

    @property
    def all_us(self) -> float:
        return sum(self.cpu_us.values())

    @property
    def broker_us(self) -> float:
        return sum(us for name, us in self.cpu_us.items() if name.startswith("serve"))

    @property
    def drift(self) -> float | None:
        """CPU of the broker per message in the last tenth against the first."""
        if len(self.tenths) < PARTS:
            return None
        return self.tenths[-1].broker_us / self.tenths[0].broker_us

    @property
    def scatter(self) -> float:
        """By how much two tenths differ by chance: how far the tenths lie from a line through them, times √2."""
        costs = [each.broker_us for each in self.tenths]
        if len(costs) < 3:
            return 1.0
        places = range(len(costs))
        slope, begin = statistics.linear_regression(places, costs)
        squares = sum((cost - begin - slope * place) ** 2 for place, cost in zip(places, costs, strict=True))
        return float((2 * squares / (len(costs) - 2)) ** 0.5 / statistics.mean(costs))


class Mark(NamedTuple):
    """So many receipts at a moment (monotonic seconds), and the CPU seconds of each process until then."""

    settled: int
    at: float
    cpu: dict[str, float]


class Watch:
    """CPU at each tenth, memory every second, a line of progress at each percent.

    ``lead``: receipts at the beginning, and at the end, that no tenth counts; a run too short for that has tenths
    of all its messages. ``now``: monotonic seconds.
    """

    def __init__(
        self,
        pids: Mapping[str, int],
        total: int,
        say: Say | None,
        *,
        lead: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self._pids = dict(pids)
        self._say = say
        self._now = now
        self._lead = lead
        self._steady = total > 2 * lead
        begin, end = (lead, total - lead) if self._steady else (0, total)
        self._due = [begin + (end - begin) * part // PARTS for part in range(PARTS + 1)]
        self._began = self._told = self._mark(0, None)
        self._marks: list[Mark] = []
        self._rss: dict[str, list[float]] = {name: [] for name in pids}
        self._every_s, self._rss_at = _MEMORY_S, 0.0
        self._peaks: dict[str, float] = {}

    def look(self, settled: int) -> None:
        """Note what is due now."""
        now = self._now()
        if now >= self._rss_at:
            self._rss_at = now + self._every_s
            self._sample()
        if self._due and settled >= self._due[0]:
            self._marks.append(self._mark(settled, self._marks[-1] if self._marks else None))
            self._due = [each for each in self._due if each > settled]
        if self._say is not None:
            self._progress(settled, now, self._say)

    def result(
        self, road: str, processes: str, cases: int, settled: int, ended_at: float, told: Mapping[str, Any]
    ) -> HallRun:
        """``ended_at`` in Unix seconds, as the moments that the load has ``told``."""
        spent = _between(self._began, self._mark(settled, self._told))
        cpu_us = spent.cpu_us | {"load": told["cpu_s"] * 1e6 / max(1, settled)}
        return HallRun(
            road=road,
            processes=processes,
            cases=cases,
            messages=settled,
            seconds=ended_at - told["first_sent"],
            accepted_s=told["last_answer"] - told["first_sent"],
            cpu_us=cpu_us,
            peak_mb=self._peaks | {"load": told["peak_mb"]},
            tenths=[_between(one, other) for one, other in zip(self._marks, self._marks[1:], strict=False)],
            lead=self._lead,
            steady=self._steady,
            rss_mb=self._rss,
            put_off=sum(count for status, count in told["statuses"].items() if status != "202"),
        )

    def _progress(self, settled: int, now: float, say: Say) -> None:
        """A line for every percent, and not more than one a second."""
        percent = settled * 100 // self.total
        if percent == self._told.settled * 100 // self.total or (
            now - self._told.at < _PROGRESS_S and settled < self.total
        ):
            return
        before, self._told = self._told, self._mark(settled, self._told)
        latest = _between(before, self._told)
        left_s = (self.total - settled) * (now - self._began.at) / settled
        say(
            f"{percent:3} %: {latest.messages / max(1e-9, latest.seconds):,.0f}/s, the broker"
            f" {latest.broker_us:.0f} µs of CPU each, {self._broker_mb():.0f} MB, {_left(left_s)} to go"
        )

    def _broker_mb(self) -> float:
        return sum(values[-1] for name, values in self._rss.items() if name.startswith("serve") and values)

    def _mark(self, settled: int, before: Mark | None) -> Mark:
        found = dict(before.cpu) if before is not None else dict.fromkeys(self._pids, 0.0)
        for name, pid in self._pids.items():
            with contextlib.suppress(OSError):  # the load may have ended
                found[name] = cpu_s(pid)
        return Mark(settled, self._now(), found)

    def _sample(self) -> None:
        for name, pid in self._pids.items():
            with contextlib.suppress(OSError, KeyError):
                now = memory(pid)
                self._rss[name].append(round(now.rss_mb, 1))
                self._peaks[name] = max(self._peaks.get(name, 0.0), now.peak_mb)
        if max(map(len, self._rss.values())) >= _SAMPLES:  # a run of hours needs no sample a second
            self._every_s *= 2
            self._rss = {name: values[::2] for name, values in self._rss.items()}


def _between(one: Mark, other: Mark) -> Tenth:
    messages = other.settled - one.settled
    return Tenth(
        messages=messages,
        seconds=other.at - one.at,
        cpu_us={name: (spent - one.cpu[name]) * 1e6 / max(1, messages) for name, spent in other.cpu.items()},
    )


def _left(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def broker_memory(found: HallRun, shares: Sequence[float]) -> list[float]:
    """Resident memory of the broker's processes together, at these shares of the run."""
    series = [values for name, values in found.rss_mb.items() if name.startswith("serve") and values]
    if not series:
        return []
    length = min(map(len, series))
    return [sum(values[min(length - 1, int(share * length))] for values in series) for share in shares]
