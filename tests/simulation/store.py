"""The store as delivery sees it: whole transactions that take time, fail before or after, or kill their caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, create_engine, event, insert, select, update
from sqlalchemy.pool import StaticPool

from broker.core.operating.desk import Dossier
from broker.errors import Unreachable
from broker.store import tables as schema
from broker.store.access.statements import insert_or_update
from broker.store.view import desk
from tests.simulation.tables import Place, Tables
from tests.simulation.world import World

P = ParamSpec("P")
T = TypeVar("T")
_PATIENCE_S: Final = 3.0
_HELD: Final = (
    ("parked", schema.parked_message),
    ("awaiting", schema.awaiting),
    ("blocked", schema.blocked),
)


class Database(Protocol):
    """Where transactions run, and what they left."""

    def transact(self, work: Callable[[Any], T]) -> T: ...
    def held(self) -> set[tuple[str, Place]]: ...
    def settle(self, source: str, identity: str, outcome: str | None) -> None: ...
    def keep(self, dossier: Dossier) -> None: ...


class InMemory:
    """The doubles' tables."""

    def __init__(self) -> None:
        self.tables: Final = Tables()

    def transact(self, work: Callable[[Any], T]) -> T:
        return work(self.tables)

    def held(self) -> set[tuple[str, Place]]:
        return self.tables.held()

    def settle(self, source: str, identity: str, outcome: str | None) -> None:
        if outcome is not None:
            self.tables.ended.add((source, identity))

    def keep(self, dossier: Dossier) -> None:
        self.tables.dossiers[dossier.name] = (dossier.closed, dossier.failures)


class InSqlite:
    """The real statements on a SQLite database in memory."""

    def __init__(self) -> None:
        self._engine = create_engine("sqlite://", poolclass=StaticPool)
        schema.metadata.create_all(self._engine)

        @event.listens_for(self._engine, "begin")
        def began(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN")

    def transact(self, work: Callable[[Any], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    def held(self) -> set[tuple[str, Place]]:
        found: set[tuple[str, Place]] = set()
        with self._engine.connect() as connection:
            for name, table in _HELD:
                columns = (table.c.partner, table.c.outbox_partition, table.c.outbox_offset)
                found.update((name, (row[0], row[1], row[2])) for row in connection.execute(select(*columns)))
        return found

    def settle(self, source: str, identity: str, outcome: str | None) -> None:
        table = schema.message
        where = (table.c.source == source) & (table.c.id == identity)
        row = {
            "source": source, "id": identity, "case_id": "-", "type": "-", "destination": "-", "digest": "-",
            "message_class": 0, "proof": "-", "said_at": 0, "ledger_partition": 0, "ledger_offset": 0,
            "accepted_at": 0, "verdict": "applied", "attempts": 0,
        }  # fmt: skip
        with self._engine.begin() as connection:
            changed: dict[str, object] = {"outcome": outcome}
            if outcome is not None:  # a redriven message keeps the receipt of its first end
                changed["receipt_id"] = "r"
            if not connection.execute(update(table).where(where).values(**changed)).rowcount:
                connection.execute(insert(table).values(**row, **changed))

    def keep(self, dossier: Dossier) -> None:
        row = dict(zip((each.name for each in schema.dossier.columns), desk.columns(dossier), strict=True))
        with self._engine.begin() as connection:
            insert_or_update(connection, schema.dossier, [row])

    def close(self) -> None:
        self._engine.dispose()


class Rows:
    """One process's way to the database: its writes queue behind each other, its reads go beside them."""

    def __init__(self, world: World, database: Database) -> None:
        self._world = world
        self._database = database
        self._last_s = 0.0

    async def call(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._write("store.write", lambda connection: work(connection, *args, **kwargs))

    async def call_durably(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._write("store.durable", lambda connection: work(connection, *args, **kwargs))

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        world = self._world
        world.process()
        fault = world.fault("store.read")
        await asyncio.sleep(world.latency_s(2.0 if fault == "slow" else 0.004))
        if fault == "away":
            raise Unreachable("the database is away")
        return self._database.transact(lambda connection: work(connection, *args, **kwargs))

    async def _write(self, op: str, work: Callable[[Connection], T]) -> T:
        world = self._world
        process = world.process()
        fault = world.fault(op)
        if fault == "kill-before":
            world.kill_here()
        if fault in {"away", "locked"}:
            await asyncio.sleep(_PATIENCE_S if fault == "locked" else world.latency_s())
            raise Unreachable(f"the database is {fault}")
        answered: asyncio.Future[T] = world.loop.create_future()

        def transact() -> None:
            before = self._database.held()
            try:
                result = self._database.transact(work)
            except Exception as broken:  # the caller's own fault: it hears it
                if not answered.done():
                    answered.set_exception(broken)
                return
            self._tell(before, process.name)
            if fault == "kill-after":
                world.kill(process)
            if not answered.done():
                answered.set_result(result)

        # What was submitted happens, whatever becomes of who submitted it: a server commits for the dead.
        self._last_s = max(world.loop.now_s + world.latency_s(0.006), self._last_s + 0.0001)
        world.later(self._last_s - world.loop.now_s, transact)
        result = await answered
        if fault == "unacked":
            raise Unreachable("the database did not answer in time; the transaction may have happened")
        return result

    def _tell(self, before: set[tuple[str, Place]], who: str) -> None:
        after = self._database.held()
        if after == before:
            return
        for table, (partner, partition, offset) in sorted(after - before):
            self._world.record("stored", who, partner=partner, number=partition, offset=offset, detail=table)
        for table, (partner, partition, offset) in sorted(before - after):
            self._world.record(
                "unstored", who, partner=partner, number=partition, offset=offset, detail=table
            )
