"""A reconciliation list (对账清单) as a city hands it in: a CSV file, read whole or refused with all its faults.

Columns ``number,item,decided_on,fee_fen``, UTF-8, a header, RFC 4180. It names cases and no citizen: a cell
that reads as a citizen's number is refused, and what stands in a cell is never repeated.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from broker.core.codes import names_a_citizen
from broker.core.documents import DocumentInvalid, Fault

COLUMNS: Final = ("number", "item", "decided_on", "fee_fen")
MOST_FEN: Final = 100_000_000_000
MOST_FAULTS: Final = 200
"""How many faults are told; what is wrong in the same way in every line of a list need not fill a screen."""

_MONTH: Final = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
_DAY: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
_FEN: Final = re.compile(r"[0-9]{1,12}")
_LONGEST: Final = 64
_A_CITIZEN: Final = "holds what reads as a citizen's number, and a list names cases only"
_OTHER_NUMBER: Final = (
    "name the case by its other number (the one that it was opened with, or the responsible city's own)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a list as a city hands it in; None: the city does not say."""

    number: str
    item: str | None
    decided_on: date | None
    fee_fen: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationList:
    """A list that reads: of which month (YYYY-MM, Asia/Shanghai), and its lines in their order."""

    month: str
    entries: tuple[Entry, ...]


def month_of(text: str) -> str:
    """Check a month, YYYY-MM. Raises ValueError."""
    if not _MONTH.fullmatch(text):
        raise ValueError("expected a month, like 2026-11")
    return text


def read_list(file: str, data: bytes, *, month: str | None = None) -> ReconciliationList:
    """Read a list. ``month`` None: that of its days, which must then be one.

    Raises :class:`DocumentInvalid` with every fault, at most :data:`MOST_FAULTS`, by ``file`` and line.
    """
    reading = _Reading(file)
    entries = list(reading.entries(data))
    months = sorted({f"{entry.decided_on:%Y-%m}" for entry in entries if entry.decided_on is not None})
    if not reading.faults and not entries:
        reading.fault("the file", "expected at least one line below the header")
    if not reading.faults and month is None:
        if len(months) != 1:
            reading.fault("decided_on", "expected days of one month; or say --month")
        else:
            month = months[0]
    if month is not None and any(each != month for each in months):
        reading.fault("decided_on", f"expected days of {month} alone")
    if reading.faults or month is None:
        raise DocumentInvalid(reading.told())
    return ReconciliationList(month=month, entries=tuple(entries))


class _Reading:
    """One file being read, with what was found wrong so far."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.faults: list[Fault] = []
        self._seen: dict[str, int] = {}

    def fault(self, key: str, expected: str) -> None:
        self.faults.append(Fault(file=self._file, key=key, expected=expected))

    def told(self) -> tuple[Fault, ...]:
        """What is told of the faults."""
        more = len(self.faults) - MOST_FAULTS
        if more <= 0:
            return tuple(self.faults)
        last = Fault(file=self._file, key="…", expected=f"and {more} more faults of these kinds")
        return (*self.faults[:MOST_FAULTS], last)

    def entries(self, data: bytes) -> Iterator[Entry]:
        """The lines that are right; a fault for every cell that is not."""
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as broken:
            line = data[: broken.start].count(b"\n") + 1
            self.fault(f"line {line}", "expected UTF-8 (save the table as “CSV UTF-8”)")
            return
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            header = next(rows, [])
            if tuple(header) != COLUMNS:
                self.fault("line 1", f"expected the header {','.join(COLUMNS)}")
                return
            for cells in rows:
                if cells:  # an empty line says nothing
                    yield from self._entry(rows.line_num, cells)
        except csv.Error:
            self.fault(
                f"line {rows.line_num}", "expected CSV as RFC 4180 has it: quotes are doubled and closed"
            )

    def _entry(self, line: int, cells: list[str]) -> Iterator[Entry]:
        before = len(self.faults)
        if len(cells) != len(COLUMNS):
            self.fault(f"line {line}", f"expected {len(COLUMNS)} columns")
            return
        named = {name: cell.strip() for name, cell in zip(COLUMNS, cells, strict=True)}
        personal = [name for name, cell in named.items() if names_a_citizen(cell)]
        for name in personal:
            mend = _OTHER_NUMBER if name == "number" else "leave it out"
            self.fault(f"line {line}, {name}", f"{_A_CITIZEN}: {mend}")
        if not personal:
            self._texts(line, named)
        decided_on = self._day(line, named["decided_on"]) if "decided_on" not in personal else None
        fee_fen = self._fen(line, named["fee_fen"]) if "fee_fen" not in personal else None
        if len(self.faults) == before:
            yield Entry(
                number=named["number"], item=named["item"] or None, decided_on=decided_on, fee_fen=fee_fen
            )

    def _texts(self, line: int, named: Mapping[str, str]) -> None:
        number, item = named["number"], named["item"]
        if not number or len(number) > _LONGEST or not number.isprintable() or any(map(str.isspace, number)):
            self.fault(f"line {line}, number", f"expected 1 to {_LONGEST} visible characters")
        elif (first := self._seen.setdefault(number, line)) != line:
            self.fault(f"line {line}, number", f"expected each case once: it stands in line {first} too")
        if len(item) > _LONGEST or not item.isprintable():
            self.fault(f"line {line}, item", f"expected at most {_LONGEST} printable characters")

    def _day(self, line: int, text: str) -> date | None:
        if not text:
            return None
        try:
            if _DAY.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:
            pass
        self.fault(f"line {line}, decided_on", "expected a day, like 2026-11-22, or nothing")
        return None

    def _fen(self, line: int, text: str) -> int | None:
        if not text:
            return None
        if _FEN.fullmatch(text) and int(text) <= MOST_FEN:
            return int(text)
        self.fault(f"line {line}, fee_fen", f"expected whole fen from 0 to {MOST_FEN}, or nothing")
        return None
