"""Agreements that are about to end: told a month before, once a day each."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from broker.core.catalogue.directory import EMPTY, Directory, read_directory
from broker.supervision.expiring import Agreements, endings, expiring
from broker.telemetry import METRICS
from tests.supervision.card_world import A, B, documents

LAST = date(2026, 3, 31)


def directory(until: date | None = LAST) -> Directory:
    of = documents()
    name = f"agreements/{B}--{A}.toml"
    return read_directory(of | {name: of[name] + (f"until={until}\n" if until else "")})


def gauge() -> float | None:
    return METRICS.get_sample_value("tongban_agreement_days_left", {"agreement": f"{B}--{A}"})


def names(of: Directory, today: date, within: int = 30) -> list[tuple[str, int]]:
    return [(each.name, each.days_left) for each in expiring(of, today, within)]


def test_seen_a_month_before_and_on_the_last_day_but_not_after() -> None:
    assert names(directory(), LAST - timedelta(days=31)) == []
    assert names(directory(), LAST - timedelta(days=30)) == [(f"{B}--{A}", 30)]
    assert names(directory(), LAST) == [(f"{B}--{A}", 0)]
    assert names(directory(), LAST + timedelta(days=1)) == []
    assert names(directory(None), LAST) == []


def test_one_that_has_ended_still_has_its_days() -> None:
    assert [each.days_left for each in endings(directory(), LAST + timedelta(days=2))] == [-2]


class Office:
    """Watches over a directory and a clock that are set by hand."""

    def __init__(self) -> None:
        self.directory = directory()
        self.now = datetime(2026, 3, 20, 1, 0, tzinfo=UTC)
        self.watch = Agreements(lambda: self.directory, lambda: self.now, within_days=30)

    def told(self) -> list[int]:
        return [each.days_left for each in self.watch.look()]


def test_told_once_a_day_by_chinas_days() -> None:
    office = Office()
    assert office.told() == [11]
    office.now += timedelta(hours=14, minutes=59)  # 23:59 in China
    assert office.told() == []
    office.now += timedelta(minutes=1)
    assert office.told() == [10]
    assert gauge() == 10


def test_told_again_when_its_end_changes_and_forgotten_when_it_is_gone() -> None:
    office = Office()
    assert office.told() == [11]
    office.directory = directory(LAST + timedelta(days=3))
    assert office.told() == [14]
    assert gauge() == 14
    office.directory = directory(LAST + timedelta(days=365))
    assert office.told() == []
    office.directory = EMPTY
    assert office.told() == []
    assert gauge() is None
