"""What follows from an answer, made durable in few writes: receipts and dossiers, then the offset is finished."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection

from broker.core.ids import PartnerId
from broker.core.message import Message
from broker.core.receipts import Outcome
from broker.core.records import NewRecord, Record
from broker.delivery.assigned.lease import Lease
from broker.delivery.assigned.tenure import Entry, Tenure
from broker.delivery.ending.gatherer import Gatherer
from broker.delivery.ending.receipts import Ending, desk_record, is_receipted, receipt_record
from broker.delivery.ports import Clock, Encoder, Ledger, Rows
from broker.errors import Unreachable
from broker.store.delivering import attempts, awaiting, frames
from broker.store.rows import AttemptRow
from broker.telemetry import DOSSIERS, ROAD, get_log

_LOG: Final = get_log("delivery")
T = TypeVar("T")
Done = Callable[[], None]
Work = Callable[[Connection], None]


class _Records(NamedTuple):
    """Records for the log. ``dropped`` is called in place of ``done`` when their tenure ends before."""

    records: Sequence[NewRecord]
    tenure: Tenure
    done: Done
    dropped: Done


class _Rows(NamedTuple):
    """A change of the store. ``tenure`` None: it counts whoever holds the partition."""

    work: Work
    tenure: Tenure | None
    done: Done
    dropped: Done


class Settlement:
    """Shared by all partners of the stage. Nothing is reported as done before it is durable.

    What an assignment that has ended would still write is dropped, and while the lease does not hold nothing is
    written at all: whoever holds the partition now makes it anew, under the same ids.
    """

    def __init__(
        self,
        *,
        codec: Encoder,
        ledger: Ledger,
        store: Rows,
        clock: Clock,
        lease: Lease,
        write_deadline_s: float,
        gather_s: float = 0.0,
    ) -> None:
        self._codec = codec
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._lease = lease
        self._deadline_s = write_deadline_s
        self._failures: list[AttemptRow] = []
        self._ended: deque[Done] = deque()
        self.records: Final = Gatherer[_Records]("the ledger", self._write_records, gather_s=gather_s)
        self.rows: Final = Gatherer[_Rows]("the store", self._write_rows)

    @property
    def trouble(self) -> str | None:
        return self.records.trouble or self.rows.trouble

    def end(
        self,
        entry: Entry,
        partner: PartnerId,
        connector: str,
        ending: Ending,
        done: Done,
        dropped: Done | None = None,
    ) -> None:
        """The delivery has ended. ``done`` is called once its receipt (and its dossier, unless it was
        delivered) are on the log; or else ``dropped``, when the partition went to another worker before."""
        if ending.outcome is Outcome.DELIVERED and not is_receipted(entry.message):
            self._soon(done)
            return
        records = self._records_of(entry, partner, connector, ending)
        self.records.add(_Records(records, entry.tenure, done, dropped or _nothing))

    def delivered(
        self, ended: Sequence[tuple[Entry, Ending]], partner: PartnerId, done: Callable[[Entry], None]
    ) -> None:
        """Deliveries have ended well, by one answer. ``done`` is called of each once its receipt is on the log, or
        never, when its partition went to another worker before."""
        groups: dict[Tenure, tuple[list[NewRecord], list[Entry]]] = {}
        for entry, ending in ended:
            message, tenure = entry.message, entry.tenure
            if not is_receipted(message):
                self._soon(partial(done, entry))
                continue
            if tenure not in groups:
                groups[tenure] = [], []
            records, entries = groups[tenure]
            records.append(receipt_record(self._codec, message, entry.record, partner, ending))
            entries.append(entry)
        for tenure, (records, entries) in groups.items():
            self.records.add(_Records(records, tenure, partial(_each, done, entries), _nothing))

    async def ended(self, entry: Entry, partner: PartnerId, connector: str, ending: Ending) -> None:
        """As :meth:`end`, and returns when it is done. Raises Unreachable when it was dropped."""
        waiter = _Waiter[None]()
        self.end(entry, partner, connector, ending, partial(waiter.done, None), waiter.dropped)
        await waiter.future

    def unreadable(self, record: Record, tenure: Tenure, detail: str, done: Done) -> None:
        """A record that is no message of ours: to the desk as it is; there is nobody to tell."""
        partner = tenure.partner
        DOSSIERS.labels(partner=partner, cause="record-unreadable").inc()
        _LOG.error("record_unreadable", partner=partner, position=str(record.position), expected=detail)
        written = desk_record(record, partner, "-", cause="record-unreadable", detail=detail)
        self.records.add(_Records((written,), tenure, done, _nothing))

    def taken(self, entry: Entry, partner: PartnerId, within_s: float, done: Done) -> None:
        """The partner owes a receipt; ``done`` once that is stored."""
        row = awaited(entry, partner, due_s=self._clock.now_s() + within_s)
        self.store(entry.tenure, lambda connection: awaiting.put(connection, [row]), done)

    def store(self, tenure: Tenure, work: Work, done: Done) -> None:
        """Change the store for a tenure; ``done`` once that is durable."""
        self.rows.add(_Rows(work, tenure, done, _nothing))

    async def stored(self, tenure: Tenure, work: Callable[[Connection], T]) -> T:
        """As :meth:`store`, and returns what ``work`` did. Raises Unreachable when the tenure ends before."""
        waiter, results = _Waiter[T](), list[T]()

        def kept(connection: Connection) -> None:
            results[:] = [work(connection)]  # a transaction may be tried again

        self.rows.add(_Rows(kept, tenure, lambda: waiter.done(results[0]), waiter.dropped))
        return await waiter.future

    def failed(
        self, entry: Entry, partner: PartnerId, result: str, detail: str, next_ms: int | None = None
    ) -> None:
        """An attempt that ended in no delivery, for the attempt log (written by :meth:`flush`).

        ``next_ms``: when the next one is planned; None: none is, or not by the clock.
        """
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
                redrive=message.redrive,
                next_at=next_ms,
            )
        )

    def flush(self) -> None:
        """Put the attempt rows gathered so far on their way."""
        if self._failures:
            rows, self._failures = self._failures, []
            self.rows.add(_Rows(lambda connection: attempts.put(connection, rows), None, _nothing, _nothing))

    def _soon(self, done: Done) -> None:
        """``done`` in the loop's next turn, with all that have ended by then."""
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._tell_ended)
        self._ended.append(done)

    def _tell_ended(self) -> None:
        try:
            while self._ended:
                self._ended.popleft()()
        finally:
            if self._ended:  # one that fails does not keep the others from being told
                asyncio.get_running_loop().call_soon(self._tell_ended)

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

    async def _write_records(self, items: Sequence[_Records]) -> None:
        await self._lease.held()
        alive = [item for item in items if item.tenure.alive]
        gone = [item for item in items if not item.tenure.alive] if len(alive) < len(items) else ()
        records = [record for item in alive for record in item.records]
        if records:
            await self._ledger.write(records, deadline_s=self._deadline_s)
            ROAD.on_step("delivery.receipted")
        for item in alive:
            item.done()
        for item in gone:
            item.dropped()

    async def _write_rows(self, items: Sequence[_Rows]) -> None:
        await self._lease.held()
        alive = [item for item in items if item.tenure is None or item.tenure.alive]
        gone = [item for item in items if item.tenure and not item.tenure.alive]
        if alive:
            await self._store.call_durably(_all_of, [item.work for item in alive])
        for item in alive:
            item.done()
        for item in gone:
            item.dropped()


class _Waiter(Generic[T]):
    """Somebody who waits for what :class:`Settlement` has in hand."""

    def __init__(self) -> None:
        self.future: Final[asyncio.Future[T]] = asyncio.get_running_loop().create_future()

    def done(self, result: T) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def dropped(self) -> None:
        if not self.future.done():
            self.future.set_exception(Unreachable("the partition went to another worker"))


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


def _each(done: Callable[[Entry], None], entries: Sequence[Entry]) -> None:
    for entry in entries:
        done(entry)


def _nothing() -> None:
    """Nobody waits for the attempt log."""
