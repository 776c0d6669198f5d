"""A list is read whole or refused with all its faults, by line, and never repeats what stands in a cell."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.codes import names_a_citizen
from broker.core.documents import DocumentInvalid
from broker.core.evaluation.reconciliation import (
    COLUMNS,
    MOST_FAULTS,
    Entry,
    ReconciliationList,
    month_of,
    read_list,
)

HEADER = ",".join(COLUMNS)
NOBODY = next(  # of nobody: born 1900-01-01, with the right check digit
    text for text in (f"11010519000101001{digit}" for digit in "0123456789X") if names_a_citizen(text)
)


def read(*lines: str, month: str | None = None, header: str = HEADER) -> ReconciliationList:
    return read_list("list.csv", "\n".join([header, *lines, ""]).encode(), month=month)


def faults(data: bytes, month: str | None = None) -> list[str]:
    with pytest.raises(DocumentInvalid) as invalid:
        read_list("list.csv", data, month=month)
    return [f"{fault.key}: {fault.expected}" for fault in invalid.value.faults]


def keys(*lines: str, month: str | None = None) -> list[str]:
    found = faults("\n".join([HEADER, *lines, ""]).encode(), month)
    return [fault.partition(":")[0] for fault in found]


def test_a_list_reads_as_it_stands() -> None:
    found = read("HS-77,新生儿入户,2026-11-24,500", "湖里〔2026〕7号,,,", "HS-79,,,0")
    assert found == ReconciliationList(
        month="2026-11",
        entries=(
            Entry(number="HS-77", item="新生儿入户", decided_on=date(2026, 11, 24), fee_fen=500),
            Entry(number="湖里〔2026〕7号", item=None, decided_on=None, fee_fen=None),
            Entry(number="HS-79", item=None, decided_on=None, fee_fen=0),
        ),
    )


def test_excel_s_marks_and_line_ends_are_taken() -> None:
    data = f"\ufeff{HEADER}\r\nHS-1,,2026-11-02,\r\n\r\n".encode()
    assert read_list("list.csv", data).entries[0].number == "HS-1"


def test_all_faults_are_told_at_once_with_their_lines() -> None:
    assert keys("HS-1,,2026-02-30,", ",,,5", "HS-2,,,-1", "HS-3,,", "HS-1,,,", "HS 4,,,") == [
        "line 2, decided_on",
        "line 3, number",
        "line 4, fee_fen",
        "line 5",
        "line 6, number",
        "line 7, number",
    ]


@pytest.mark.parametrize("column", range(4))
def test_a_citizen_s_number_is_refused_in_any_cell_and_never_repeated(column: int) -> None:
    cells = ["HS-1", "", "2026-11-02", "5"]
    cells[column] = NOBODY if column == 0 else f"甲{NOBODY}"
    (fault,) = faults(f"{HEADER}\n{','.join(cells)}\n".encode())
    assert fault.startswith(f"line 2, {COLUMNS[column]}: holds what reads as a citizen's number")
    assert NOBODY not in fault


def test_days_are_of_one_month() -> None:
    assert keys("A,,2026-11-02,", "B,,2026-12-01,") == ["decided_on"]
    assert keys("A,,,") == ["decided_on"]
    assert read("A,,,", month="2026-11").month == "2026-11"
    assert keys("A,,2026-12-01,", month="2026-11") == ["decided_on"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "line 1: expected the header"),
        (b"number,item\n", "line 1: expected the header"),
        (f"{HEADER}\n".encode(), "the file: expected at least one line"),
        (f"{HEADER}\nA,\xe9,,\n".encode("latin-1"), "line 2: expected UTF-8"),
        (f'{HEADER}\n"A,,,\n'.encode(), "line 2: expected CSV"),
        (f"{HEADER}\nA,,,{10**12}\n".encode(), "line 2, fee_fen: expected whole fen"),
        (f"{HEADER}\n{'A' * 65},,,\n".encode(), "line 2, number: expected 1 to 64"),
    ],
)
def test_what_is_no_list_is_refused(data: bytes, told: str) -> None:
    assert faults(data, "2026-11")[0].startswith(told)


def test_a_list_wrong_in_every_line_does_not_fill_the_screen() -> None:
    found = keys(*[",,," for _ in range(1000)])
    assert len(found) == MOST_FAULTS + 1


@given(st.binary(max_size=300))
def test_no_file_breaks_the_reader(data: bytes) -> None:
    try:
        read_list("list.csv", HEADER.encode() + b"\n" + data, month="2026-11")
    except DocumentInvalid as invalid:
        assert invalid.faults  # noqa: PT017 - either outcome is right


def test_a_month_is_a_month() -> None:
    assert month_of("2026-11") == "2026-11"
    for text in ("2026-13", "2026-1", "202611", "2026-11-01"):
        with pytest.raises(ValueError, match="2026-11"):
            month_of(text)
