"""What a run costs: CPU and memory of processes from /proc, percentiles, and facts about the machine."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Resident memory of a process in MiB: now, and the most that it ever was."""

    rss_mb: float
    peak_mb: float


def cpu_of_stat(stat: str) -> float:
    """User and system CPU seconds of all threads, from the text of ``/proc/<pid>/stat``."""
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before may hold spaces and brackets
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used so far, all threads."""
    return cpu_of_stat(Path(f"/proc/{pid}/stat").read_text())


def memory_of_status(status: str) -> Memory:
    """From the text of ``/proc/<pid>/status``."""
    found = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Vm")}
    return Memory(rss_mb=int(found["VmRSS"]) / 1024, peak_mb=int(found["VmHWM"]) / 1024)


def memory(pid: int) -> Memory:
    return memory_of_status(Path(f"/proc/{pid}/status").read_text())


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank: the least value that ``percent`` of the values do not exceed."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(0, int(rank) - 1)]


class Meter:
    """CPU of some processes between :meth:`__init__` and :meth:`cpu`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = {name: cpu_s(pid) for name, pid in pids.items()}
        self._began = time.monotonic()

    def cpu(self) -> dict[str, float]:
        """CPU seconds since the beginning, by name."""
        return {name: cpu_s(pid) - self._before[name] for name, pid in self._pids.items()}

    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def peaks(self) -> dict[str, float]:
        """Peak resident memory so far in MiB, by name."""
        return {name: memory(pid).peak_mb for name, pid in self._pids.items()}


class Neighbours:
    """What other programs than this bench use of the machine, from :meth:`__init__` to :meth:`share`.

    ``pids`` are children that live on; all others have ended, and been waited for, at both moments.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = tuple(pids)
        self._before = self._read()

    def share(self) -> float:
        """The share of all cores, 0 to 1."""
        idle, everything, own = (now - before for now, before in zip(self._read(), self._before, strict=True))
        return max(0.0, (everything - idle - own) / max(1.0, everything))

    def _read(self) -> tuple[float, float, float]:
        own = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        own_s = sum(each.ru_utime + each.ru_stime for each in own) + sum(map(cpu_s, self._pids))
        return (*_idle_and_all(), own_s * _TICKS)


def busy_share(seconds: float) -> float:
    """The share of all cores that is in use while we only wait: what else runs on this machine."""
    first = _idle_and_all()
    time.sleep(seconds)
    second = _idle_and_all()
    return 1 - (second[0] - first[0]) / max(1, second[1] - first[1])


def _idle_and_all() -> tuple[int, int]:
    numbers = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return numbers[3] + numbers[4], sum(numbers)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory_kb / 1024**2:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
