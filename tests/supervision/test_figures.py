"""The files say the same in CSV and Parquet, name nobody, and are the same bytes from a view made again."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet  # type: ignore[import-untyped]  # it carries no types
import pytest

from broker.core.case.case_state import CaseState, Rating, Status
from broker.core.evaluation.figure_columns import COLUMNS
from broker.core.ids import CaseId
from broker.core.message import epoch_ms, from_epoch_ms
from broker.store.access.engine import Store
from broker.store.rows import CaseRow
from broker.store.view import ledger_view
from broker.supervision.figures import (
    CSV_FILE,
    DICTIONARY_FILE,
    FILES,
    PARQUET_FILE,
    Counted,
    compute,
    csv_bytes,
    dictionary_bytes,
    months_between,
    record,
    window_of,
    write,
)
from tests.core.figure_samples import HENGSHAN, XIAMEN, a_case, accepted, at, decided
from tests.store import samples
from tests.store.conftest import postgres, postgres_url, sqlite_url, store, url

__all__ = ["postgres", "postgres_url", "sqlite_url", "store", "url"]


def the_month() -> list[CaseState]:
    """Cases of two items between three partners: some groups large, some small."""
    found: list[CaseState] = []
    for number in range(40):
        state = decided(number, f"11-{6 + number % 20:02}", "11-03")
        found.append(replace(state, score=5 - number % 5, rated_at=at("11-28"), rating=Rating.RATED))
    found += [accepted(number, opening=XIAMEN, case=CaseId(f"{XIAMEN}/{number}")) for number in range(12)]
    found += [decided(100 + number, item="wufanzui-zhengming") for number in range(3)]
    found += [a_case(200 + number, item="wufanzui-zhengming", status=Status.FILED) for number in range(30)]
    return found


async def fill(store: Store, cut: int) -> None:
    """The same view, applied in batches of so many cases."""
    await store.call(ledger_view.clear_view)
    states = the_month()
    for since in range(0, len(states), cut):
        some = states[since : since + cut]
        batch = samples.batch(since, since + len(some), cases=[CaseRow(state=each) for each in some])
        await store.call(ledger_view.apply, [batch])


async def count(store: Store, *months: str, small: int = 10) -> Counted:
    return await store.scan(compute, months or ("2026-11",), small=small)


async def test_a_view_made_again_in_other_batches_gives_the_same_bytes(store: Store) -> None:
    found = []
    for cut in (7, 100, 1):
        await fill(store, cut)
        found.append(csv_bytes((await count(store)).rows))
    assert found[0] == found[1] == found[2]
    assert found[0].count(b"\r\n") == 1 + 3 + 1 + 2


async def test_both_databases_give_the_same_bytes(sqlite_url: str, postgres_url: str) -> None:
    found = []
    for each in (sqlite_url, postgres_url):
        opened = await Store.open(each)
        await fill(opened, 50)
        found.append(csv_bytes((await count(opened)).rows))
        await opened.close()
    assert found[0] == found[1]


async def test_csv_and_parquet_say_the_same(store: Store, tmp_path: Path) -> None:
    await fill(store, 50)
    counted = await count(store, "2026-10", "2026-11", "2026-12")
    write(tmp_path / "new", counted.rows)
    table = pyarrow.parquet.read_table(tmp_path / "new" / PARQUET_FILE)
    text = (tmp_path / "new" / CSV_FILE).read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    rows: list[dict[str, Any]] = table.to_pylist()
    assert len(lines) == len(rows) == len(counted.rows) > 5
    for line, row in zip(lines, rows, strict=True):
        for column in COLUMNS:
            cell, value = line[column.name], row[column.name]
            assert (cell == "") == (value is None)
            if isinstance(value, bool):
                assert cell == str(value).lower()
            elif isinstance(value, int | float):
                assert float(cell) == pytest.approx(value, abs=1e-9)
            elif value is not None:
                assert cell == value


async def test_every_column_of_the_parquet_says_what_it_is(store: Store, tmp_path: Path) -> None:
    await fill(store, 50)
    write(tmp_path, (await count(store)).rows)
    schema = pyarrow.parquet.read_schema(tmp_path / PARQUET_FILE)
    assert schema.names == [column.name for column in COLUMNS]
    for column in COLUMNS:
        told = {key.decode(): value.decode() for key, value in schema.field(column.name).metadata.items()}
        assert {"unit": column.unit, "zh": column.zh, "en": column.en}.items() <= told.items()


def test_the_dictionary_has_every_column() -> None:
    text = dictionary_bytes().decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [line["column"] for line in lines] == [column.name for column in COLUMNS]
    assert all(line["zh"] and line["en"] and line["unit"] for line in lines)


async def test_small_groups_are_blank_and_no_case_is_named(store: Store, tmp_path: Path) -> None:
    await fill(store, 50)
    counted = await count(store)
    hidden = [row for row in counted.rows if row.values is None]
    assert counted.hidden == len(hidden) == 0
    counted = await count(store, small=15)
    small = {(row.responsible, row.opening, row.item) for row in counted.rows if row.values is None}
    assert (HENGSHAN, XIAMEN, "xinshenger-ruhu") in small
    assert len(small) == counted.hidden >= 2
    for row in counted.rows:
        if row.values is None:
            cells = record(row)
            assert cells.pop("suppressed") is True
            assert {name for name, cell in cells.items() if cell is not None} <= {
                "month", "level", "responsible", "opening", "item",
            }  # fmt: skip
    write(tmp_path, counted.rows)
    for state in the_month():
        for name in FILES:
            assert str(state.case).encode() not in (tmp_path / name).read_bytes()


async def test_files_that_are_there_are_left_alone(store: Store, tmp_path: Path) -> None:
    (tmp_path / DICTIONARY_FILE).write_text("mine")
    with pytest.raises(FileExistsError):
        write(tmp_path, ())
    assert (tmp_path / DICTIONARY_FILE).read_text() == "mine"


async def test_an_empty_view_gives_a_header(store: Store, tmp_path: Path) -> None:
    counted = await count(store)
    assert counted.rows == ()
    write(tmp_path, counted.rows)
    assert (tmp_path / CSV_FILE).read_bytes() == ",".join(c.name for c in COLUMNS).encode() + b"\r\n"
    assert pyarrow.parquet.read_table(tmp_path / PARQUET_FILE).num_rows == 0


def test_months_follow_each_other_and_begin_at_midnight_in_china() -> None:
    assert months_between("2026-11", "2027-02") == ("2026-11", "2026-12", "2027-01", "2027-02")
    assert months_between("2026-11", "2026-10") == ()
    window = window_of(("2026-11", "2026-12"))
    assert window.since == epoch_ms(at("11-01 00:00"))
    assert from_epoch_ms(window.until).isoformat() == "2026-12-31T16:00:00+00:00"
