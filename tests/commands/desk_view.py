"""A view with a desk on it, for the commands of operations: written straight into a real store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import typer
from sqlalchemy import Connection, insert
from typer.testing import CliRunner

from broker.commands.acting import now_ms
from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, Party
from broker.core.operating import desk as core
from broker.core.operating.desk import Dossier
from broker.core.operating.levers import Levers, Pulled
from broker.core.receipts import Outcome
from broker.store.access.engine import Store
from broker.store.delivering import line_status
from broker.store.delivering.line_status import LineStatus
from broker.store.rows import DirectoryRow, MessageRow
from broker.store.tables import dossier as dossier_table
from broker.store.tables import lever, tally
from broker.store.view import desk, ledger_view
from tests.store import samples

LAIBIN, HENGSHAN, HENGYANG = PartnerId("451300"), PartnerId("430423"), PartnerId("430400")
CASE = CaseId("451300/LB-1")
HOUR_MS = 3_600_000


def partner_document(identity: str, name: str) -> str:
    return f'id = "{identity}"\nname = "{name}"\ncontact = "值班室"\n[connector]\nkind = "mailbox"\n'


DOCUMENTS = {
    f"partners/{identity}.toml": partner_document(identity, name)
    for identity, name in ((LAIBIN, "来宾市"), (HENGSHAN, "衡山县"), (HENGYANG, "衡阳市"))
}


def a_dossier(number: int, **facts: object) -> Dossier:
    """Message ``451300/m-<number>`` to 衡山县, whose whole lane went to the desk two hours ago."""
    at_ms = now_ms() - 2 * HOUR_MS
    plain = core.opened(
        (Party(LAIBIN), MessageId(f"m-{number}")),
        partner=HENGSHAN,
        case=CASE,
        outcome=Outcome.UNDELIVERABLE,
        cause=core.SCHEDULE_USED_UP,
        detail="the schedule is used up: 503",
        place=(0, number),
        at_ms=at_ms,
    )
    return replace(plain, **facts)  # type: ignore[arg-type]


def a_line(partner: PartnerId = HENGSHAN, **facts: object) -> LineStatus:
    """What one worker says of a partner, just now."""
    plain = LineStatus(
        partner=partner,
        worker="machine-1",
        phase="flowing",
        reason=None,
        in_flight=2,
        waiting=3,
        held=1,
        parked=0,
        next_probe_at=None,
        since=now_ms() - 60_000,
        updated_at=now_ms(),
    )
    return replace(plain, **facts)  # type: ignore[arg-type]


def paused(
    partner: PartnerId = HENGSHAN, by: str = "张三", reason: str = "对方机房割接", now: int | None = None
) -> Levers:
    """It has been paused for twelve minutes."""
    at_ms = (now_ms() if now is None else now) - 12 * 60_000
    return Levers(partner=partner, paused=Pulled(by=by, reason=reason, at_ms=at_ms))


def put_dossiers(connection: Connection, dossiers: Sequence[Dossier]) -> None:
    """Write dossiers as they are, whatever was there of them before."""
    for each in dossiers:
        here = (dossier_table.c.source == each.name[0]) & (dossier_table.c.id == each.name[1])
        connection.execute(dossier_table.delete().where(here))
        connection.execute(insert(dossier_table).values(desk.columns(each)))


def put_messages(connection: Connection, rows: Sequence[MessageRow]) -> None:
    ledger_view.apply(connection, [samples.batch(0, 100, messages=rows, partition=7)])


def put_levers(connection: Connection, levers: Sequence[Levers]) -> None:
    for each in levers:
        connection.execute(
            insert(lever).values(
                partner=each.partner,
                paused=each.paused is not None,
                updated_at=now_ms(),
                state=each.to_json(),
            )
        )


def put_owed(connection: Connection, partner: PartnerId, count: int) -> None:
    connection.execute(
        insert(tally).values(partner=partner, ledger_partition=1, accepted=count, delivered=0, failed=0)
    )


def act_row(identity: str, **facts: object) -> MessageRow:
    """An act of an operator as the view has it once the exchange has judged it."""
    return samples.message(0, id=MessageId(identity), source=BROKER, type="operator.redriven", **facts)


class View:
    """One city's broker as far as a command sees it: a store, and a Kafka that is not there."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'view.db'}"
        self.config = folder / "tongban.toml"
        self.config.write_text(
            f'[kafka]\nbootstrap = "127.0.0.1:9"\nstart_timeout_s = 0.2\n[store]\nurl = "{self.url}"\n'
        )
        self.write(lambda connection: None)
        self.write(put_directory)

    def write(self, work: Callable[[Connection], None]) -> None:
        """Put something into the view."""

        async def written() -> None:
            store = await Store.open(self.url)
            try:
                await store.call(work)
            finally:
                await store.close()

        asyncio.run(written())

    def put(
        self,
        *,
        dossiers: Sequence[Dossier] = (),
        lines: Sequence[LineStatus] = (),
        levers: Sequence[Levers] = (),
    ) -> None:
        def work(connection: Connection) -> None:
            put_dossiers(connection, dossiers)
            line_status.put(connection, lines)
            put_levers(connection, levers)

        self.write(work)

    def run(self, app: typer.Typer, *words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command; a fault of ours is raised."""
        result = CliRunner().invoke(app, [*words, "--config", str(self.config)], env=env)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    def json(self, app: typer.Typer, *words: str) -> tuple[int, list[dict[str, object]]]:
        code, out, _ = self.run(app, *words, "--json")
        return code, [json.loads(line) for line in out.splitlines()]


def put_directory(connection: Connection) -> None:
    row: DirectoryRow = samples.directory(documents=json.dumps(DOCUMENTS, ensure_ascii=False))
    ledger_view.apply(connection, [samples.batch(0, 1, directories=[row])])
