"""The statements of the hot path: composed once with SQLAlchemy, run at driver level with whole batches.

SQLite binds row by row (``executemany``). PostgreSQL takes the batch as one JSON array: a fifth of the
client's time of binding each value, and less of the server's (measured; arrays with ``unnest`` are slower).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    ClauseElement,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Dialect,
    Table,
    Text,
    bindparam,
    column,
    func,
    literal_column,
    make_url,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from broker.store.access.statements import storable, unstorable
from broker.store.tables import card, case, directory, dossier, dossier_act, lever, message, position, tally

Values = Sequence[object]
_Given = Mapping[str, ColumnElement[Any]]
"""The values of a row, by name, as expressions."""
_ROWS: Final = "rows"
_KINDS: Final[Mapping[type, type[BigInteger | Boolean | Text]]] = {int: BigInteger, bool: Boolean, str: Text}


def _dialect(url: str, paramstyle: str) -> Dialect:
    kind: Any = make_url(url).get_dialect()
    dialect: Dialect = kind(paramstyle=paramstyle)
    return dialect


_SQLITE: Final = _dialect("sqlite://", "qmark")
_POSTGRESQL: Final = _dialect("postgresql+psycopg://", "format")


@dataclass(frozen=True, slots=True)
class Once:
    """A statement for one row. ``order`` names its values in the order in which they are bound."""

    sql: Mapping[str, str]
    order: tuple[str, ...]

    def run(self, connection: Connection, values: Values) -> CursorResult[Any]:
        return connection.exec_driver_sql(self.sql[connection.dialect.name], tuple(values))


@dataclass(frozen=True, slots=True)
class Batch:
    """A statement for many rows. ``order`` names the values of each row.

    Of rows that share their first ``key`` values only the last one counts (0: no two may).
    """

    sql: Mapping[str, str]
    order: tuple[str, ...]
    key: int

    def run(self, connection: Connection, rows: Iterable[Values]) -> None:
        """Run it for all rows in one go; for none, not at all."""
        # Clean on both databases, so that they hold the same.
        stored = [tuple(map(storable, row)) if unstorable(row) else row for row in rows]
        if self.key:
            stored = list({tuple(row[: self.key]): row for row in stored}.values())
        if not stored:
            return
        name = connection.dialect.name
        if name == "postgresql":
            array = orjson.dumps([dict(zip(self.order, row, strict=True)) for row in stored])
            connection.exec_driver_sql(self.sql[name], (array.decode(),))
        else:
            connection.exec_driver_sql(self.sql[name], [tuple(row) for row in stored])


@dataclass(frozen=True, slots=True)
class Fetch:
    """A select whose rows come as the driver gives them, all at once: a row object for each costs more than reading it.

    ``orders`` names its parameters, by dialect, in the order in which they are bound; ``constants`` are those that
    the select itself holds.
    """

    sql: Mapping[str, str]
    orders: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, object]

    def run(self, connection: Connection, parameters: Mapping[str, object]) -> Sequence[tuple[Any, ...]]:
        name = connection.dialect.name
        values = {**self.constants, **parameters}
        bound = tuple(values[each] for each in self.orders[name])
        result = connection.exec_driver_sql(self.sql[name], bound)
        assert result.cursor is not None, "a select has rows"
        found: Sequence[tuple[Any, ...]] = result.cursor.fetchall()
        result.close()
        return found


def fetching(compose: Callable[[str], ClauseElement]) -> Fetch:
    """Compile what ``compose`` makes for each dialect, by its name. Columns are texts and integers."""
    compiled: dict[str, Any] = {
        dialect.name: compose(dialect.name).compile(dialect=dialect) for dialect in (_SQLITE, _POSTGRESQL)
    }
    return Fetch(
        {name: str(each) for name, each in compiled.items()},
        {name: tuple(each.positiontup) for name, each in compiled.items()},
        {
            name: value
            for each in compiled.values()
            for name, value in each.params.items()
            if value is not None
        },
    )


def _once(compose: Callable[[Any], ClauseElement]) -> Once:
    inserts = ((_SQLITE, sqlite.insert), (_POSTGRESQL, postgresql.insert))
    compiled: dict[str, Any] = {
        dialect.name: compose(insert).compile(dialect=dialect) for dialect, insert in inserts
    }
    orders = {tuple(each.positiontup) for each in compiled.values()}
    assert len(orders) == 1, "the dialects bind in different orders"
    return Once({name: str(each) for name, each in compiled.items()}, orders.pop())


def _inserting(
    table: Table, names: Sequence[str], *, key: int = 0, finish: Callable[[Any], ClauseElement]
) -> Batch:
    """An insert of the columns ``names``, finished with what to do about rows that are there already."""
    counted: dict[str, ColumnElement[Any]] = {"attempts": literal_column("0")} if table is message else {}
    bound = sqlite.insert(table).values({name: bindparam(name) for name in names} | counted)
    given = _recordset(table, {name: name for name in names})
    chosen = select(*given.values(), *counted.values())
    read = postgresql.insert(table).from_select([*names, *counted], chosen)
    lite: Any = finish(bound).compile(dialect=_SQLITE)
    assert tuple(lite.positiontup) == tuple(names)
    return Batch({"sqlite": str(lite), "postgresql": _text(finish(read))}, tuple(names), key)


def _updating(table: Table, names: Mapping[str, str], compose: Callable[[_Given], ClauseElement]) -> Batch:
    """An update from values that are named for, and typed as, columns of ``table``."""
    lite: Any = compose({name: bindparam(name) for name in names}).compile(dialect=_SQLITE)
    assert tuple(lite.positiontup) == tuple(names)
    return Batch(
        {"sqlite": str(lite), "postgresql": _text(compose(_recordset(table, names)))}, tuple(names), 0
    )


def _recordset(table: Table, names: Mapping[str, str]) -> _Given:
    """The rows of a JSON array as a table: value name to column, typed as the column of ``table`` it is for."""
    typed = [column(name, _KINDS[table.c[of].type.python_type]) for name, of in names.items()]
    array = bindparam(_ROWS, type_=postgresql.JSON(none_as_null=True))
    rows = func.json_to_recordset(array).table_valued(*typed, name="given").render_derived(with_types=True)
    return {name: rows.c[name] for name in names}


def _text(statement: ClauseElement) -> str:
    compiled: Any = statement.compile(dialect=_POSTGRESQL)
    assert tuple(compiled.positiontup) == (_ROWS,)
    return str(compiled)


def _upsert(
    table: Table, change: Callable[[Column[Any], Any], Any], where: Callable[[Any], Any] | None
) -> Batch:
    key = list(table.primary_key)

    def finish(statement: Any) -> ClauseElement:
        new = statement.excluded
        changes = {each.name: change(each, new[each.name]) for each in table.columns if not each.primary_key}
        upsert: ClauseElement = statement.on_conflict_do_update(
            index_elements=key, set_=changes, where=where(new) if where else None
        )
        return upsert

    names = [str(each.name) for each in table.columns]  # not SQLAlchemy's kind of str
    assert names[: len(key)] == [each.name for each in key], "the key comes first"
    return _inserting(table, names, key=len(key), finish=finish)


def _replaced(_: Column[Any], new: Any) -> Any:
    return new


def _added(old: Column[Any], new: Any) -> Any:
    return old + new


def _later(new: Any) -> Any:
    """Of several records of one version (one a partition), the last one counts, whatever order they come in."""
    names = ("applied_at", "applied_by", "reason")
    return tuple_(*(new[name] for name in names)) > tuple_(*(directory.c[name] for name in names))


def _first_position(insert: Any) -> ClauseElement:
    statement = insert(position)
    new = statement.excluded
    upsert: ClauseElement = statement.on_conflict_do_update(
        index_elements=[position.c.ledger_partition],
        set_={"next_offset": new.next_offset, "directory_version": new.directory_version},
        where=position.c.next_offset == literal_column("0"),
    )
    return upsert


_OUTCOME: Final = ("outcome", "outcome_at", "attempts", "reference", "answer", "receipt_id")
_OF: Final = {"of_source": "source", "of_id": "id"}
_NEW: Final = [str(each.name) for each in message.columns if each.name not in _OUTCOME]

FIRST_POSITION: Final = _once(_first_position)
NEXT_POSITION: Final = _once(
    lambda _: (
        update(position)
        .where(
            position.c.ledger_partition == bindparam("partition"),
            position.c.next_offset == bindparam("since"),
        )
        .values(next_offset=bindparam("until"), directory_version=bindparam("version"))
    )
)
INSERT_MESSAGE: Final = _inserting(message, _NEW, finish=lambda statement: statement)
INSERT_REFUSED: Final = _inserting(message, _NEW, finish=lambda statement: statement.on_conflict_do_nothing())
SETTLE_MESSAGE: Final = _updating(
    message,
    {name: name for name in _OUTCOME} | _OF,
    lambda given: (
        update(message)
        .where(
            message.c.source == given["of_source"],
            message.c.id == given["of_id"],
            or_(message.c.outcome.is_(None), message.c.outcome != literal_column("'delivered'")),
        )
        .values({name: given[name] for name in _OUTCOME})
    ),
)
UPSERT_CASE: Final = _upsert(case, _replaced, None)
UPSERT_DOSSIER: Final = _upsert(dossier, _replaced, None)
INSERT_ACT: Final = _inserting(
    dossier_act, [str(each.name) for each in dossier_act.columns], finish=lambda statement: statement
)
UPSERT_LEVER: Final = _upsert(lever, _replaced, None)
INSERT_CARD: Final = _inserting(
    card,
    [str(each.name) for each in card.columns],
    finish=lambda statement: statement.on_conflict_do_nothing(),
)
UPSERT_DIRECTORY: Final = _upsert(directory, _replaced, _later)
ADD_TALLY: Final = _upsert(tally, _added, None)
