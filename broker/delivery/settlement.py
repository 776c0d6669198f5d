"""What follows from an answer, made durable in few writes: receipts and dossiers, then the offset is finished."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from broker.core.ids import PartnerId
from broker.core.message import Message
from broker.core.receipts import Outcome
from broker.core.records import NewRecord, Record
from broker.delivery.gatherer import Gatherer
from broker.delivery.ports import Clock, Encoder, Ledger, Rows
from broker.delivery.receipts import Ending, desk_record, is_receipted, receipt_record
from broker.delivery.tenure import Entry
from broker.store import attempts, awaiting, frames
from broker.store.rows import AttemptRow
from broker.telemetry import DOSSIERS, ROAD, get_log

_LOG: Final = get_log("delivery")
Done = Callable[[], None]
Work = Callable[[Connection], None]


class Settlement:
    """Shared by all partners of the stage. Nothing is reported as done before it is durable."""

    def __init__(
        self,
        *,
        codec: Encoder,
        ledger: Ledger,
        store: Rows,
        clock: Clock,
        write_deadline_s: float,
        gather_s: float = 0.0,
    ) -> None:
        self._codec = codec
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._deadline_s = write_deadline_s
        self._failures: list[AttemptRow] = []
        self.records: Final = Gatherer[tuple[Sequence[NewRecord], Done]](
            "the ledger", self._write_records, gather_s=gather_s
        )
        self.rows: Final = Gatherer[tuple[Work, Done]]("the store", self._write_rows)

    @property
    def trouble(self) -> str | None:
        return self.records.trouble or self.rows.trouble

    def end(self, entry: Entry, partner: PartnerId, connector: str, ending: Ending, done: Done) -> None:
        """The delivery has ended. ``done`` is called once its receipt (and its dossier, unless it was
        delivered) are on the log."""
        records = self._records_of(entry, partner, connector, ending)
        if records:
            self.records.add((records, done))
        else:
            asyncio.get_running_loop().call_soon(done)

    async def ended(self, entry: Entry, partner: PartnerId, connector: str, ending: Ending) -> None:
        """As :meth:`end`, and returns when it is done."""
        done = asyncio.Event()
        self.end(entry, partner, connector, ending, done.set)
        await done.wait()

    def unreadable(self, record: Record, partner: PartnerId, detail: str, done: Done) -> None:
        """A record that is no message of ours: to the desk as it is; there is nobody to tell."""
        DOSSIERS.labels(partner=partner, cause="record-unreadable").inc()
        _LOG.error("record_unreadable", partner=partner, position=str(record.position), expected=detail)
        self.records.add(
            ((desk_record(record, partner, "-", cause="record-unreadable", detail=detail),), done)
        )

    def taken(self, entry: Entry, partner: PartnerId, within_s: float, done: Done) -> None:
        """The partner owes a receipt; ``done`` once that is stored."""
        row = awaited(entry, partner, due_s=self._clock.now_s() + within_s)
        self.rows.add((lambda connection: awaiting.put(connection, [row]), done))

    def failed(self, entry: Entry, partner: PartnerId, result: str, detail: str) -> None:
        """An attempt that ended in no delivery, for the attempt log (written by :meth:`flush`)."""
        message = entry.message
        now_s = self._clock.now_s()
        self._failures.append(
            AttemptRow(
                partner=partner,
                source=message.source,
                id=message.id,
                attempt=entry.attempts,
                started_at=round(entry.begun_s * 1000),
                duration_ms=max(0, round((now_s - entry.begun_s) * 1000)),
                result=result,
                detail=detail[:500],
            )
        )

    def flush(self) -> None:
        """Put the attempt rows gathered so far on their way."""
        if self._failures:
            rows, self._failures = self._failures, []
            self.rows.add((lambda connection: attempts.put(connection, rows), _nothing))

    def _records_of(
        self, entry: Entry, partner: PartnerId, connector: str, ending: Ending
    ) -> tuple[NewRecord, ...]:
        message, record = entry.message, entry.record
        records: list[NewRecord] = []
        if ending.outcome is not Outcome.DELIVERED:
            cause, detail = ending.code or ending.outcome.value, ending.detail or ""
            records.append(desk_record(record, partner, connector, cause=cause, detail=detail))
            self._tell_of_dossier(message, partner, ending.outcome)
        if is_receipted(message):
            records.append(receipt_record(self._codec, message, record, partner, ending))
        return tuple(records)

    def _tell_of_dossier(self, message: Message, partner: PartnerId, outcome: Outcome) -> None:
        DOSSIERS.labels(partner=partner, cause=outcome.value).inc()
        _LOG.warning(
            "dossier_opened",
            partner=partner,
            case_id=message.case,
            message_id=message.name,
            cause=outcome.value,
        )

    async def _write_records(self, items: Sequence[tuple[Sequence[NewRecord], Done]]) -> None:
        records = [record for group, _ in items for record in group]
        await self._ledger.write(records, deadline_s=self._deadline_s)
        ROAD.on_step("delivery.receipted")
        for _, done in items:
            done()

    async def _write_rows(self, items: Sequence[tuple[Work, Done]]) -> None:
        await self._store.call_durably(_all_of, [work for work, _ in items])
        for _, done in items:
            done()


def awaited(entry: Entry, partner: PartnerId, *, due_s: float) -> awaiting.Awaited:
    """The row of a message whose receipt the partner owes until ``due_s`` (Unix seconds)."""
    message, position = entry.message, entry.record.position
    return awaiting.Awaited(
        partner=partner,
        source=message.source,
        id=message.id,
        case=message.case,
        outbox_partition=position.partition,
        outbox_offset=position.offset,
        record=frames.pack(entry.record),
        attempts=entry.counted,
        due_at=round(due_s * 1000),
    )


def _all_of(connection: Connection, works: Sequence[Work]) -> None:
    for work in works:
        work(connection)


def _nothing() -> None:
    """Nobody waits for the attempt log."""
