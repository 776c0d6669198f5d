"""Statements that the two dialects spell differently, and lists cut to what a statement can bind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")
BOUND: Final = 500
"""How many names go into one IN list: well below every driver's limit of bound values."""


def slices(items: Sequence[T], size: int = BOUND) -> Iterator[Sequence[T]]:
    """``items`` in pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def unstorable(values: Iterable[object]) -> bool:
    """Whether a text among the values holds NUL, the one character that PostgreSQL's texts cannot hold."""
    for value in values:  # noqa: SIM110 - asked of every row: any() over a generator costs twice as much
        if type(value) is str and "\0" in value:
            return True
    return False


def storable(value: object) -> object:
    """The value, with U+FFFD for NUL: else one hostile header or answer would stop its partition for ever."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows; one whose primary key is there already is left as it is."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(postgresql.insert(table).on_conflict_do_nothing(), _storable(rows))
    else:
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), _storable(rows))


def insert_or_update(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows; one whose primary key is there already takes the new values. ``rows`` share their keys."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    changed = [name for name in rows[0] if name not in keys]
    if connection.dialect.name == "postgresql":
        pg = postgresql.insert(table)
        statement = pg.on_conflict_do_update(index_elements=keys, set_={n: pg.excluded[n] for n in changed})
        connection.execute(statement, _storable(rows))
    else:
        lite = sqlite.insert(table)
        upsert = lite.on_conflict_do_update(index_elements=keys, set_={n: lite.excluded[n] for n in changed})
        connection.execute(upsert, _storable(rows))


def _storable(rows: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    return [{name: storable(value) for name, value in row.items()} for row in rows]
