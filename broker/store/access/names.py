"""Many names in one parameter, so that a statement reads the same (and is planned once) for any number.

SQLite takes them as a JSON array, PostgreSQL as arrays of text.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson
from sqlalchemy import Select, Subquery, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from broker.store.rows import Name


def listed(dialect: str, parameter: str) -> Select[Any]:
    """The texts of ``parameter``, for ``column.in_(…)``. Bind them with :func:`texts`."""
    if dialect == "postgresql":
        return select(func.unnest(bindparam(parameter, type_=ARRAY(Text))))
    rows = func.json_each(bindparam(parameter, type_=Text)).table_valued("value")
    return select(rows.c.value)


def texts(dialect: str, parameter: str, values: Collection[str]) -> dict[str, object]:
    """The value of the parameter of :func:`listed`."""
    return {parameter: list(values) if dialect == "postgresql" else orjson.dumps(list(values)).decode()}


def paired(dialect: str) -> Subquery:
    """Names as a table with columns ``source`` and ``id``, to join with. Bind them with :func:`pairs`."""
    if dialect == "postgresql":
        arrays = (bindparam("name_sources", type_=ARRAY(Text)), bindparam("name_ids", type_=ARRAY(Text)))
        unnested = func.unnest(*arrays).table_valued("source", "id").render_derived()
        return select(unnested.c.source, unnested.c.id).subquery("names")
    rows = func.json_each(bindparam("names", type_=Text)).table_valued("value")
    source, identity = (func.json_extract(rows.c.value, path, type_=Text) for path in ("$[0]", "$[1]"))
    return select(source.label("source"), identity.label("id")).subquery("names")


def pairs(dialect: str, names: Collection[Name]) -> dict[str, object]:
    """The values of the parameters of :func:`paired`."""
    if dialect == "postgresql":
        return {"name_sources": [name[0] for name in names], "name_ids": [name[1] for name in names]}
    return {"names": orjson.dumps(list(names)).decode()}
