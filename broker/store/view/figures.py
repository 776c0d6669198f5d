"""Cases with their cards, streamed for those who count them: figures and findings. Use it inside ``Store.scan``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, text

from broker.core.calendar import STATUTORY, Calendar, calendar
from broker.core.case.case_state import CaseState
from broker.core.catalogue.directory import Directory, read_directory
from broker.core.evaluation.figures import Card
from broker.core.message import from_epoch_ms
from broker.store.tables import card, case, directory
from broker.store.view.export import bytewise

_FETCHED_AT_ONCE: Final = 2000
_DEFAULT_DAYS: Final = 15
Progress = Callable[[int, int], None]
"""Told how many cases are done, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From ``since`` up to, not including, ``until`` (UTC ms)."""

    since: int
    until: int


class Places:
    """What the directories say of a case's responsible place; each version is read once, when a case asks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._directories: dict[str, Directory | None] = {}

    def calendar(self, state: CaseState) -> Calendar:
        """The working days of the place, by the directory under which the case was opened."""
        known = self._directory(state.directory)
        partner = known.partners.get(state.responsible) if known else None
        return calendar(partner.closures) if partner and partner.closures else STATUTORY

    def complaint_days(self, state: CaseState) -> int:
        """Working days that the place has for a complaint that names no day."""
        known = self._directory(state.directory)
        partner = known.partners.get(state.responsible) if known else None
        return partner.complaint_days if partner else _DEFAULT_DAYS

    def _directory(self, version: str) -> Directory | None:
        if version not in self._directories:
            chosen = select(directory.c.documents).where(directory.c.version == version)
            documents = self._connection.scalar(chosen)
            self._directories[version] = None if documents is None else read_directory(json.loads(documents))
        return self._directories[version]


def prepare_scan(connection: Connection) -> None:
    """Let PostgreSQL read whole tables in this transaction: everywhere else it goes by keys."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL enable_seqscan = on"))
        connection.execute(text("SET LOCAL enable_hashjoin = on"))


def cases_in(
    connection: Connection, window: Window, progress: Progress | None = None
) -> Iterator[tuple[CaseState, tuple[Card, ...]]]:
    """The cases that anything may have happened to in the window, with their cards that fell in it.

    In the order of their ids, whatever language the database speaks; memory does not grow with their number.
    """
    prepare_scan(connection)
    chosen = _touched(window)
    total = connection.scalar(select(func.count()).select_from(case).where(chosen)) or 0
    order = bytewise(connection, case.c.case_id)
    rows = connection.execute(
        select(case.c.case_id, case.c.state).where(chosen).order_by(order),
        execution_options={"yield_per": _FETCHED_AT_ONCE},
    )
    cards = groupby(_cards(connection, window), key=itemgetter(0))
    held = next(cards, None)
    for done, (identity, state) in enumerate(rows, start=1):
        of: tuple[Card, ...] = ()
        # Both go by the bytes of the ids, which for UTF-8 is the order of code points.
        while held is not None and held[0] < identity:
            held = next(cards, None)
        if held is not None and held[0] == identity:
            of = tuple(each for _, each in held[1])
            held = next(cards, None)
        yield CaseState.from_json(state), of
        if progress is not None and (done % _FETCHED_AT_ONCE == 0 or done == total):
            progress(done, total)


def _touched(window: Window) -> ColumnElement[bool]:
    carded = exists().where(
        card.c.case_id == case.c.case_id, card.c.falls_at >= window.since, card.c.falls_at < window.until
    )
    return and_(case.c.opened_at < window.until, or_(case.c.updated_at >= window.since, carded))


def _cards(connection: Connection, window: Window) -> Iterator[tuple[str, Card]]:
    chosen = (
        select(card.c.case_id, card.c.falls_at, card.c.light)
        .where(card.c.falls_at >= window.since, card.c.falls_at < window.until)
        .order_by(bytewise(connection, card.c.case_id))
    )
    for row in connection.execute(chosen, execution_options={"yield_per": _FETCHED_AT_ONCE}):
        yield row.case_id, Card(falls_at=from_epoch_ms(row.falls_at), red=row.light == "red")
