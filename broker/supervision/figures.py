"""The figures written out: one table as CSV and as Parquet, and the data dictionary beside them.

The same view gives the same bytes of CSV, and a view that was rebuilt from the ledger is the same view.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from broker.core.evaluation.figure_columns import COLUMNS, Column, Unit
from broker.core.evaluation.figures import Figures, Row
from broker.core.message import SHANGHAI, epoch_ms
from broker.store.view.figures import Places, Progress, Window, cases_in

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]  # it carries no types

CSV_FILE: Final = "figures.csv"
PARQUET_FILE: Final = "figures.parquet"
DICTIONARY_FILE: Final = "figures.dictionary.csv"
FILES: Final = (CSV_FILE, PARQUET_FILE, DICTIONARY_FILE)

Value = str | bool | int | float | None
_KEYS: Final = ("month", "level", "responsible", "opening", "item", "suppressed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted: the rows, and how many of them are hidden."""

    rows: tuple[Row, ...]
    hidden: int


def months_between(since: str, until: str) -> tuple[str, ...]:
    """The months from one to another, both included, YYYY-MM. Empty when the first is the later one."""
    found = []
    month = since
    while month <= until:
        found.append(month)
        month = _next(month)
    return tuple(found)


def window_of(months: Sequence[str]) -> Window:
    """All of these months, which follow each other, as days in China."""
    return Window(since=_begin(months[0]), until=_begin(_next(months[-1])))


def compute(
    connection: Connection, months: Sequence[str], *, small: int, progress: Progress | None = None
) -> Counted:
    """Count every case of the view once. Reads one snapshot; memory does not grow with the number of cases."""
    figures = Figures(months)
    places = Places(connection)
    for state, cards in cases_in(connection, window_of(months), progress):
        figures.add(state, places.calendar(state), cards, complaint_days=places.complaint_days(state))
    rows = tuple(figures.rows(small))
    return Counted(rows=rows, hidden=sum(row.values is None for row in rows))


def record(row: Row) -> dict[str, Value]:
    """A row by column name, in the columns' order."""
    values: dict[str, Value] = dict.fromkeys(column.name for column in COLUMNS)
    values |= {
        "month": row.month,
        "level": row.level.value,
        "responsible": row.responsible,
        "opening": row.opening,
        "item": row.item or None,
        "suppressed": row.values is None,
    }
    return values | {name: value for name, value in (row.values or {}).items() if name not in _KEYS}


def csv_bytes(rows: Iterable[Row]) -> bytes:
    """The table as CSV: RFC 4180, UTF-8, a header; a number that is not told is an empty cell."""
    lines = [[column.name for column in COLUMNS]]
    lines.extend([_cell(value) for value in record(row).values()] for row in rows)
    return _csv(lines)


def dictionary_bytes() -> bytes:
    """The data dictionary as CSV; it begins with the mark by which spreadsheets know UTF-8."""
    head = ["column", "unit", "zh", "en"]
    return "\ufeff".encode() + _csv([head, *([each.name, each.unit, each.zh, each.en] for each in COLUMNS)])


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Write the three files into a folder that has none of them; the folder is made. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / CSV_FILE).open("xb") as file:
        file.write(csv_bytes(rows))
    with (folder / DICTIONARY_FILE).open("xb") as file:
        file.write(dictionary_bytes())
    import pyarrow.parquet  # type: ignore[import-untyped]  # it carries no types

    with (folder / PARQUET_FILE).open("xb") as file:
        pyarrow.parquet.write_table(table(rows), file, compression="zstd")


def table(rows: Sequence[Row]) -> pyarrow.Table:
    """The table as Arrow has it; each column's metadata says its unit and what it means, in both languages."""
    import pyarrow

    kinds = {
        Unit.TEXT: pyarrow.string(),
        Unit.FLAG: pyarrow.bool_(),
        Unit.COUNT: pyarrow.int64(),
        Unit.SECONDS: pyarrow.int64(),
        Unit.DAYS: pyarrow.int64(),
        Unit.SHARE: pyarrow.float64(),
        Unit.SCORE: pyarrow.float64(),
    }
    fields = [
        pyarrow.field(column.name, kinds[column.unit], metadata=_metadata(column)) for column in COLUMNS
    ]
    return pyarrow.Table.from_pylist([record(row) for row in rows], schema=pyarrow.schema(fields))


def _metadata(column: Column) -> dict[str, str]:
    return {"unit": column.unit.value, "zh": column.zh, "en": column.en}


def _cell(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.4f}"
        case _:
            return str(value)


def _csv(lines: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()


def _begin(month: str) -> int:
    first = date.fromisoformat(f"{month}-01")
    return epoch_ms(datetime(first.year, first.month, 1, tzinfo=SHANGHAI))


def _next(month: str) -> str:
    return f"{date.fromisoformat(f'{month}-28') + timedelta(days=4):%Y-%m}"
