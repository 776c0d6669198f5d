"""What a run of the hall costs, by tenths, by percent, in memory and on the disk."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path

from bench.hall_run import size_mb
from bench.hall_watch import HallRun, Watch, broker_memory
from tests.bench.hall_samples import a_run


def test_memory_is_that_of_the_brokers_processes_together() -> None:
    run = a_run(rss_mb={"serve a": [1.0, 2.0], "serve b": [10.0, 20.0, 30.0], "Kafka": [500.0]})
    assert broker_memory(run, (0.0, 1.0)) == [11.0, 22.0]
    assert broker_memory(a_run(rss_mb={}), (0.0,)) == []


TOLD = {"cpu_s": 1.0, "peak_mb": 1.0, "first_sent": 1.0, "last_answer": 1.5, "statuses": {"202": 3, "503": 2}}


def _watched(settled: Iterable[int], *, lead: int = 0, lines: list[str] | None = None) -> HallRun:
    """A run of 100 messages that is looked at every second."""
    seconds = itertools.count()
    watch = Watch(
        {"serve": 1}, 100, None if lines is None else lines.append, lead=lead, now=lambda: next(seconds)
    )
    for each in settled:
        watch.look(each)
    return watch.result("http", "intake", 25, 100, 2.0, TOLD)


def test_each_tenth_is_marked_once() -> None:
    made = _watched((0, 5, 10, 10, 55, 100))
    assert [tenth.messages for tenth in made.tenths] == [10, 45, 45]
    assert made.drift is None, "two tenths were too short to be seen"
    assert (made.rate, made.put_off, made.steady) == (100.0, 2, True)


def test_the_tenths_leave_out_what_builds_up_the_lead_and_what_uses_it_up() -> None:
    made = _watched(range(101), lead=20)
    assert [tenth.messages for tenth in made.tenths] == [6] * 10
    assert made.steady
    short = _watched(range(101), lead=50)
    assert [tenth.messages for tenth in short.tenths] == [10] * 10
    assert not short.steady


def test_what_a_run_takes_on_the_disk_is_counted_without_holes(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "segment").write_bytes(os.urandom(3 * 1024**2))
    with (tmp_path / "index").open("wb") as file:
        file.truncate(50 * 1024**2)  # as Kafka makes its indexes
    assert 2.9 < size_mb(tmp_path) < 4
    assert size_mb(tmp_path / "gone") == 0


def test_every_percent_is_told_once_with_the_time_that_is_left() -> None:
    lines: list[str] = []
    _watched((0, 1, 1, 2, 50, 100), lines=lines)
    assert [line.partition("%")[0].strip() for line in lines] == ["1", "2", "50", "100"]
    assert all(line.endswith("to go") for line in lines)
