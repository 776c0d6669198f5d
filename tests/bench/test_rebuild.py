"""The rebuild's report."""

from __future__ import annotations

from bench import rebuild
from bench.results import Part
from tests.bench.hall_samples import occasion


def test_the_rebuilds_middle_run_counts() -> None:
    found = rebuild.Rebuilt(occasion=occasion(), records=30_000)
    found.runs = [{"seconds": s, "cpu_s": 1.0, "peak_mb": 100.0} for s in (4.0, 1.0, 2.0)]
    found.raw = {"raw consume": Part(messages=10, seconds=1.0, cpu_us=1.0)}
    assert found.rate == 15_000
    assert [goal.met for goal in rebuild.goals(found)] == [True]
    assert rebuild.section(found).startswith(rebuild.HEADING)
