"""The hall's report and its arguments. No figure is judged here."""

from __future__ import annotations

import pytest

from bench import hall, hall_report
from bench.hall_watch import HallRun, Tenth
from bench.results import Part
from tests.bench.hall_samples import a_run, occasion


def _found(run: HallRun, **changes: object) -> hall.Found:
    made = hall.Found(occasion=occasion(), share=0.01, main=run)
    made.raw = {name: Part(messages=10, seconds=1.0, cpu_us=1.0) for name in ("raw produce", "raw consume")}
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_the_goals_are_judged_by_rate_time_drift_and_memory() -> None:
    assert [goal.met for goal in hall_report.goals(_found(a_run()))] == [True, True, True, True]
    slow = a_run(seconds=1000.0)
    assert [goal.met for goal in hall_report.goals(_found(slow))] == [False, False, True, True]
    assert hall_report.projected_minutes(slow) == pytest.approx(90.0)
    drifting = a_run()
    drifting.tenths[-1].cpu_us["serve intake"] = 150.0
    assert [goal.met for goal in hall_report.goals(_found(drifting))][2] is False
    growing = a_run(rss_mb={"serve intake": [100.0, 100.0, 100.0, 200.0]})
    assert [goal.met for goal in hall_report.goals(_found(growing))][3] is False


def _drift(*costs: float, **changes: object) -> bool | None:
    tenths = [Tenth(messages=40, seconds=0.01, cpu_us={"serve intake": cost}) for cost in costs]
    found = _found(a_run(tenths=tenths, **changes))
    return [goal.met for goal in hall_report.goals(found)][2]


def test_a_short_run_decides_the_tenths_only_where_chance_is_smaller_than_the_distance() -> None:
    even = [100.0, 101, 99, 100, 101, 99, 100, 101, 99, 100]
    uneven = [100.0, 140, 70, 130, 60, 120, 90, 140, 80, 100]
    rising = [100.0 + 5 * place for place in range(10)]
    assert _drift(*even, messages=108_000) is True
    assert _drift(*rising, messages=108_000) is False
    assert _drift(*uneven, messages=108_000) is None
    assert _drift(*uneven, messages=2_000_000) is True, "what a long run shows is no chance"
    assert _drift(*even, messages=108_000, steady=False) is None
    assert _drift(*even, whole=False) is None
    assert "decide nothing" in hall_report.section(_found(a_run(steady=False)))


def test_an_interrupted_run_decides_no_rate() -> None:
    found = list(hall_report.goals(_found(a_run(whole=False))))
    assert found[0].met is None
    assert "interrupted" in hall_report.section(_found(a_run(whole=False)))


def test_the_section_names_both_roads_and_what_others_used() -> None:
    found = _found(a_run(), trials=[a_run(), a_run(road="mailbox")], occasion=occasion(others=0.5))
    text = hall_report.section(found)
    assert text.startswith(hall_report.HEADING)
    assert "| mailbox, 2,000,000 messages |" in text
    assert "the figures say little" in text


def test_wrong_shares_are_refused_and_full_is_all() -> None:
    assert hall.read_arguments(["--full"]).share == 1.0
    assert hall.read_arguments([]).share == 0.01
    assert hall.read_arguments([]).road == "http"
    for words in (["--share", "0"], ["--share", "1.5"], ["--road", "pigeon"], ["--lead", "0"]):
        with pytest.raises(SystemExit):
            hall.read_arguments(words)
