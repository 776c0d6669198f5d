"""A ledger in memory with a clock that is set by hand, the real exchange and store, and workers that issue cards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

from broker.core.case.case_state import CaseState
from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.message import (
    Message,
    MessageClass,
    Mode,
    epoch_ms,
    from_record,
    to_headers,
    value_digest,
)
from broker.core.records import NewRecord, Position
from broker.exchange.applying import directory_records
from broker.exchange.options import ExchangeOptions
from broker.exchange.stage import Exchange
from broker.log.admin.topics import LEDGER, ledger_key
from broker.store.access.engine import Store
from broker.store.rows import CardRow
from broker.store.view import cards, cases, ledger_view
from broker.supervision.deadlines import Deadlines
from tests.exchange.fakes import CODEC, Ledger, Reader

MONDAY = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
"""2026-03-02, 12:00 in China; no holiday before 清明."""
A, B = "451300", "430423"
CASE = CaseId(f"{A}/LB-1")


def _partner(code: str, extra: str = "") -> str:
    return f'id="{code}"\nname="{code}"\ncontact="窗口"\n{extra}\n[connector]\nkind="mailbox"\n'


def documents(*, days: int = 5, extra: str = "") -> dict[str, str]:
    """Two partners and one item of so many working days; ``extra`` is more of the item's document."""
    return {
        f"partners/{A}.toml": _partner(A),
        f"partners/{B}.toml": _partner(B),
        "items/ruhu.toml": f'code="ruhu"\nname="新生儿入户"\npromised_days={days}\n{extra}\n',
        f"agreements/{B}--{A}.toml": (
            f'partners=["{B}","{A}"]\nitems=["ruhu"]\nmodes=["collected"]\nsince=2026-01-01\n'
        ),
    }


class TimedLedger(Ledger):
    """Records get the time that the clock shows."""

    def __init__(self) -> None:
        super().__init__()
        self.now = MONDAY

    def append(self, new: NewRecord) -> Position:
        position = super().append(new)
        log = self.records[new.topic, new.partition or 0]
        log[-1] = replace(log[-1], timestamp_ms=epoch_ms(self.now))
        return position


class World:
    """``say`` puts a message on the ledger, ``judge`` lets the exchange work it off, workers ``look``."""

    def __init__(self, store: Store, of: dict[str, str] | None = None) -> None:
        self.store = store
        self.ledger = TimedLedger()
        self.said = 0
        self.apply(of or documents())

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, of: dict[str, str] | None = None) -> AsyncIterator[World]:
        store = await Store.open(f"sqlite:///{folder / 'view.db'}")
        try:
            yield cls(store, of)
        finally:
            await store.close()

    def apply(self, of: dict[str, str]) -> None:
        """Another directory is in force from here on."""
        now = self.ledger.now
        (record,) = directory_records(CODEC, of, by="test", reason="test", now=now, ledger_partitions=1)
        self.ledger.append(record)

    def at(self, *, day: int = 2, hour: int = 12, minute: int = 0, month: int = 3) -> None:
        """Set the clock: a time of 2026 in China."""
        self.ledger.now = datetime(2026, month, day, hour, minute, tzinfo=UTC) - timedelta(hours=8)

    def say(self, type_: str, source: str = A, *, case: CaseId = CASE, **data: object) -> None:
        self.said += 1
        value = CODEC.encode(type_, _DATA.get(type_, {}) | data)
        message = Message(
            id=MessageId(f"m-{self.said}"),
            source=Party(source),
            type=type_,
            case=case,
            destination=Party(B if source == A else A),
            time=self.ledger.now,
            message_class=MessageClass.INITIAL,
            digest=value_digest(value),
            dataschema=CODEC.dataschema(type_),
            value=value,
            item="ruhu",
            mode=Mode.COLLECTED,
        )
        self.ledger.append(
            NewRecord(
                topic=LEDGER,
                key=ledger_key(case),
                value=value,
                headers=to_headers(message),
                partition=0,
            )
        )

    async def judge(self) -> None:
        """The exchange judges all that is on the ledger, and what follows from it."""
        exchange = Exchange(
            ExchangeOptions(wait_s=0.01),
            reader=partial(Reader, self.ledger),
            writer=self.ledger,
            store=self.store,
            codec=CODEC,
            outbox_partitions=1,
            make_topics=_no_topics,
            read_at=self.ledger.read_at,
        )
        running = asyncio.create_task(exchange.run())
        try:
            async with asyncio.timeout(10):
                while await self._position() < len(self.ledger.records[LEDGER, 0]):
                    await asyncio.sleep(0.01)
        finally:
            exchange.stop()
            await running

    def worker(self, page: int = 1000) -> Deadlines:
        return Deadlines(
            self.store, self.ledger, CODEC, ledger_partitions=1, now=lambda: self.ledger.now, page=page
        )

    async def issue(self) -> None:
        """A worker that has only just begun looks once, and the exchange judges what it wrote."""
        await self.worker().look()
        await self.judge()

    async def state(self, case: CaseId = CASE) -> CaseState:
        found = await self.store.read(cases.case_state, case)
        assert found is not None
        return found

    async def cards(self, case: CaseId = CASE) -> list[CardRow]:
        return await self.store.read(cards.of_case, case)

    def told(self, partner: str, case: CaseId = CASE) -> list[str]:
        """The cards that this partner's outbox has of a case: kind, light and turn."""
        found = [from_record(each) for each in self.ledger.outbox(partner)]
        data = [
            CODEC.decode(each.value).datum
            for each in found
            if each.type == "notice.deadline" and each.case == case
        ]
        return [f"{each['kind']} {each['light']} {each['turn']}" for each in data]

    def written(self) -> int:
        """How many records of cards the ledger has."""
        records = self.ledger.records[LEDGER, 0]
        return sum(from_record(each).type == "notice.deadline" for each in records)

    async def _position(self) -> int:
        found = await self.store.read(ledger_view.positions, [0])
        return found[0][0] if 0 in found else 0


async def _no_topics(partners: Collection[PartnerId]) -> None:
    del partners


_DATA: dict[str, dict[str, object]] = {
    "case.submitted": {
        "item_name": "新生儿入户",
        "mode": "collected",
        "title": "新生儿入户",
        "submitted_at": MONDAY,
    },
    "case.accepted": {"accepted_on": date(2026, 3, 2), "promised_days": 5},
    "case.decided": {"outcome": "granted", "decided_at": MONDAY},
    "case.paused": {"paused_at": MONDAY, "procedure": "appraisal", "reason": "须鉴定"},
    "case.resumed": {"resumed_at": MONDAY},
    "case.extended": {"extended_at": MONDAY, "extra_days": 3, "approved_by": "负责人", "reason": "案情复杂"},
    "complaint.filed": {"filed_at": MONDAY, "subject": "超期未办", "channel": "hotline"},
}
