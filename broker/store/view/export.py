"""The view as text that can be compared: two rebuilds of one ledger give the same bytes, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson
from sqlalchemy import Column, ColumnElement, Connection, collate, select, text
from sqlalchemy.types import String

from broker.store.tables import VIEW

_FETCHED_AT_ONCE: Final = 1000


def export(connection: Connection) -> Iterator[bytes]:
    """Every row of the view as one line of canonical JSON, ``{"row": {…}, "table": …}``, in a fixed order.

    Streams: memory does not grow with the view. Use it inside one ``Store.scan``: the lines are one snapshot.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL enable_seqscan = on"))  # here whole tables are read
    for table in VIEW:
        order = [bytewise(connection, column) for column in table.primary_key]
        rows = connection.execute(
            select(table).order_by(*order), execution_options={"yield_per": _FETCHED_AT_ONCE}
        )
        for row in rows.mappings():
            line = {"table": str(table.name), "row": {str(name): value for name, value in row.items()}}
            yield orjson.dumps(line, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def bytewise(connection: Connection, column: Column[Any]) -> ColumnElement[Any]:
    """Texts in the order of their bytes, as SQLite has it, whatever language PostgreSQL's server speaks."""
    if connection.dialect.name == "postgresql" and isinstance(column.type, String):
        return collate(column, "C")
    return column
