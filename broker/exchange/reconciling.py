"""Reconciliation lists on the ledger: the records that carry a list, and the rows that those records are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Final, cast

from broker.core.evaluation.reconciliation import Entry
from broker.core.ids import BROKER, PartnerId, derived_id
from broker.core.message import Message, MessageClass, rfc3339, to_headers, value_digest
from broker.core.records import NewRecord, Record
from broker.errors import Corrupt
from broker.log.admin import topics
from broker.log.values.codec import Codec
from broker.store.access.statements import slices
from broker.store.view.reconciliation import ReconciledRow, reconciled_case

RECONCILED: Final = "operator.reconciled"
LINES: Final = 1000
"""How many lines one record has; the last one of a list may have fewer."""


def reconciled_records(
    codec: Codec,
    partner: PartnerId,
    month: str,
    entries: Sequence[Entry],
    *,
    by: str,
    reason: str,
    now: datetime,
    ledger_partitions: int,
) -> list[NewRecord]:
    """A partner's list of a month as records, :data:`LINES` lines each, in the list's order.

    Written in this order they stand in it on their partition. The same list at the same time is the same
    records. Raises ValueError for an empty list, WrongUse when a line does not fit the schema.
    """
    if not entries:
        raise ValueError("a list without lines says nothing")
    parts = list(slices(entries, LINES))
    return [
        _record(
            codec,
            {
                "partner": partner,
                "month": month,
                "part": number,
                "parts": len(parts),
                "entries": [asdict(entry) for entry in part],
                "by": by,
                "reason": reason,
                "at": now,
            },
            partner,
            now,
            ledger_partitions,
        )
        for number, part in enumerate(parts, start=1)
    ]


def rows(facts: Mapping[str, object], record: Record) -> list[ReconciledRow]:
    """The lines that a record of the ledger carries. Raises :class:`Corrupt` when it is not keyed as its partner's."""
    partner = PartnerId(cast("str", facts["partner"]))
    if record.key != reconciled_case(partner).encode():
        raise Corrupt("a reconciliation list of one partner under the key of another")
    before = (cast("int", facts["part"]) - 1) * LINES
    entries = cast("Sequence[Mapping[str, object]]", facts["entries"])
    return [
        ReconciledRow(
            partner=partner,
            month=cast("str", facts["month"]),
            number=cast("str", entry["number"]),
            item=cast("str | None", entry["item"]),
            decided_on=_text(cast("date | None", entry["decided_on"])),
            fee_fen=cast("int | None", entry["fee_fen"]),
            ledger_partition=record.position.partition,
            ledger_offset=record.position.offset,
            line=before + number,
        )
        for number, entry in enumerate(entries, start=1)
    ]


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _record(
    codec: Codec, said: dict[str, object], partner: PartnerId, now: datetime, ledger_partitions: int
) -> NewRecord:
    case = reconciled_case(partner)
    value = codec.encode(RECONCILED, said)
    message = Message(
        id=derived_id(
            "o", RECONCILED, case, str(said["month"]), str(said["part"]), str(said["by"]), rfc3339(now)
        ),
        source=BROKER,
        type=RECONCILED,
        case=case,
        destination=BROKER,
        time=now,
        message_class=MessageClass.INITIAL,
        digest=value_digest(value),
        dataschema=codec.dataschema(RECONCILED),
        value=value,
    )
    return NewRecord(
        topic=topics.LEDGER,
        key=case.encode(),
        value=value,
        headers=to_headers(message),
        partition=topics.ledger_partition(case, ledger_partitions),
    )
