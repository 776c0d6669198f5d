"""What a look at the deadlines costs: by what falls due, not by what is open.

``python -m bench.deadlines [--open 1000000]``: a view on SQLite with so many open cases, then looks in which
nothing, ten and a thousand cases have fallen due; the log is one that takes everything at once. With ``--page`` it
writes the section of that page.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from bench import pages
from bench.measure import Neighbours
from bench.occasion import Occasion
from bench.tables import table
from broker.core import clock
from broker.core.case.case_state import CaseState, Status
from broker.core.ids import CaseId, PartnerId
from broker.core.message import Mode, epoch_ms
from broker.core.records import NewRecord, Position
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec
from broker.store.access.engine import Store
from broker.supervision.deadlines import Deadlines

HEADING: Final = "## A look at the deadlines"
DUE: Final = (0, 10, 1000)
ROUNDS: Final = 7
_START: Final = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
_MINUTES: Final = 30.0
_STEP: Final = timedelta(seconds=60)
"""One case a minute is accepted, so that any number of them falls due by choosing the time of the look."""
_PIECE: Final = 10_000


@dataclass(slots=True)
class TakesAll:
    """A log that holds what it is given at once."""

    records: int = 0

    async def write(self, records: Sequence[NewRecord], *, deadline_s: float = 15.0) -> list[Position]:
        del deadline_s
        self.records += len(records)
        return [Position(each.topic, each.partition or 0, 0) for each in records]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """``look_ms``: the median over the rounds."""

    open_cases: int
    due: int
    look_ms: float
    cards: int


@dataclass(kw_only=True)
class Found:
    """Everything of one run."""

    occasion: Occasion
    costs: list[Cost]


def falls_at(number: int) -> datetime:
    """When case ``number`` becomes yellow: half of its minutes after it was accepted."""
    return _START + number * _STEP + timedelta(minutes=_MINUTES / 2)


def _rows(count: int) -> Iterator[dict[str, object]]:
    for number in range(count):
        at = _START + number * _STEP
        state = CaseState(
            case=CaseId(f"451300/{number:08}"),
            opening=PartnerId("451300"),
            responsible=PartnerId("430423"),
            item="ruhu",
            mode=Mode.COLLECTED,
            status=Status.ACCEPTED,
            opened_at=at,
            updated_at=at,
            clock=clock.start(at, date(at.year, at.month, at.day), days=0, minutes=_MINUTES),
        )
        yield {
            "case": state.case,
            "at": epoch_ms(at),
            "state": state.to_json(),
            "falls_at": epoch_ms(falls_at(number)),
        }


def _insert(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    connection.execute(
        text(
            "INSERT INTO case_view (case_id, opening, responsible, item, mode, status, opened_at, updated_at,"
            " state, falls_at) VALUES (:case, '451300', '430423', 'ruhu', 'collected', 'accepted', :at, :at,"
            " :state, :falls_at)"
        ),
        rows,
    )


def _judged(connection: Connection, until_ms: int) -> None:
    """As if the exchange had judged what was written: its cases are not due any more."""
    connection.execute(
        text("UPDATE case_view SET falls_at = NULL WHERE falls_at <= :until"), {"until": until_ms}
    )


async def measure(url: str, open_cases: int, *, rounds: int = ROUNDS) -> list[Cost]:
    """What looks cost on an empty database at ``url``, once it holds so many open cases."""
    store = await Store.open(url)
    try:
        piece: list[dict[str, object]] = []
        for row in _rows(open_cases):
            piece.append(row)
            if len(piece) == _PIECE:
                await store.call(_insert, piece)
                piece = []
        if piece:
            await store.call(_insert, piece)
        return [
            await _cost(store, open_cases, due, rounds, fallen=sum(DUE[:place]) * rounds)
            for place, due in enumerate(DUE)
        ]
    finally:
        await store.close()


async def _cost(store: Store, open_cases: int, due: int, rounds: int, *, fallen: int) -> Cost:
    """Looks in each of which ``due`` more cases have fallen; ``fallen`` did so before."""
    log, now = TakesAll(), _START
    codec = Codec(SchemaSet.load())
    watch = Deadlines(store, log, codec, ledger_partitions=12, now=lambda: now)
    await watch.look()
    took: list[float] = []
    cards = 0
    for round_ in range(1, rounds + 1):
        now = falls_at(fallen + due * round_ - 1)
        began = time.perf_counter()
        cards = (await watch.look()).cards
        took.append((time.perf_counter() - began) * 1000)
        await store.call(_judged, epoch_ms(now))
    return Cost(open_cases=open_cases, due=due, look_ms=statistics.median(took), cards=cards)


def section(found: Found) -> str:
    """The section as Markdown; its heading is of the second level."""
    rows = [
        (f"{each.open_cases:,}", f"{each.due:,}", f"{each.cards:,}", f"{each.look_ms:.2f} ms")
        for each in found.costs
    ]
    return "\n".join([
        HEADING,
        "",
        *found.occasion.lines(),
        ("- a look is one tick of supervision on SQLite, the writing of the cards included; its cost follows what falls"
        " due, not what is open"),
        "",
        *table(("open cases", "fall due", "cards written", f"a look, median of {ROUNDS}"), rows),
        "",
    ])  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure with a tenth of the cases and with all, so that the table shows what open cases cost."""
    parser = argparse.ArgumentParser(prog="python -m bench.deadlines", description=__doc__)
    parser.add_argument("--open", type=int, default=1_000_000, help="open cases")
    pages.add_argument(parser)
    chosen = parser.parse_args(arguments)
    occasion, neighbours = Occasion.now("bench.deadlines"), Neighbours(())
    costs: list[Cost] = []
    for count in (chosen.open // 10, chosen.open):
        with tempfile.TemporaryDirectory() as folder:
            costs += asyncio.run(measure(f"sqlite:///{Path(folder) / 'view.db'}", count))
    occasion.ends(neighbours)
    found = Found(occasion=occasion, costs=costs)
    pages.publish("deadlines", found, HEADING, section(found), chosen.page)


if __name__ == "__main__":
    main()
