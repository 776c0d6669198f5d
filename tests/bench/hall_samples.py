"""A run of the hall, and an occasion, as they might be."""

from __future__ import annotations

from bench.hall_watch import HallRun, Tenth
from bench.occasion import Occasion


def a_run(**changes: object) -> HallRun:
    made = HallRun(
        road="http",
        processes="intake/exchange/delivery",
        cases=100,
        messages=2_000_000,
        seconds=500.0,
        accepted_s=490.0,
        cpu_us={"serve intake": 100.0, "Kafka": 50.0},
        peak_mb={"serve intake": 150.0},
        tenths=[
            Tenth(messages=40, seconds=0.01, cpu_us={"serve intake": 100.0 + n, "Kafka": 5.0})
            for n in range(10)
        ],
        lead=16_000,
        steady=True,
        rss_mb={"serve intake": [100.0, 110.0, 111.0, 112.0], "Kafka": [1.0]},
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def occasion(**changes: float) -> Occasion:
    made = Occasion(command="c", date="d", machine={"cores": "2"}, other_load=0.0)
    for name, value in changes.items():
        setattr(made, name, value)
    return made
