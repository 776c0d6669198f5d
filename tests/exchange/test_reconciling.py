"""A list becomes records of at most a thousand lines, and the records become the same lines again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.evaluation.reconciliation import Entry
from broker.core.ids import BROKER, PartnerId
from broker.core.message import from_record
from broker.core.records import NewRecord, Position, Record
from broker.errors import Corrupt
from broker.exchange.reconciling import LINES, RECONCILED, reconciled_records, rows
from broker.log.admin.topics import LEDGER
from broker.store.view.reconciliation import ReconciledRow, reconciled_case
from tests.exchange.fakes import CODEC, NOW

HENGSHAN = PartnerId("430423")
ENTRY = Entry(number="HS-77", item="新生儿入户", decided_on=date(2026, 11, 24), fee_fen=500)


def written(*entries: Entry) -> list[NewRecord]:
    return reconciled_records(
        CODEC,
        HENGSHAN,
        "2026-11",
        entries,
        by="审计员 03",
        reason="对账",
        now=NOW,
        ledger_partitions=12,
    )


def read(new: NewRecord, offset: int = 7) -> Record:
    return Record(
        position=Position(LEDGER, new.partition or 0, offset),
        timestamp_ms=0,
        key=new.key,
        value=new.value,
        headers=new.headers,
    )


def lines(record: Record) -> list[ReconciledRow]:
    return rows(CODEC.decode(record.value).datum, record)


def test_a_line_comes_back_as_it_was_handed_in() -> None:
    (new,) = written(ENTRY)
    record = read(new)
    assert lines(record) == [
        ReconciledRow(
            partner=HENGSHAN,
            month="2026-11",
            number="HS-77",
            item="新生儿入户",
            decided_on="2026-11-24",
            fee_fen=500,
            ledger_partition=new.partition or 0,
            ledger_offset=7,
            line=1,
        )
    ]


def test_a_record_is_the_broker_s_own_under_the_key_of_the_partner_s_lists() -> None:
    (new,) = written(ENTRY)
    message = from_record(read(new))
    assert (message.type, message.source, message.destination) == (RECONCILED, BROKER, BROKER)
    assert message.case == reconciled_case(HENGSHAN) == "000000/reconciled-430423"
    assert new.key == message.case.encode()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3 * LINES + 1))
def test_a_list_is_cut_into_records_of_a_thousand_lines_that_count_on(count: int) -> None:
    entries = [Entry(number=f"HS-{each}", item=None, decided_on=None, fee_fen=None) for each in range(count)]
    records = written(*entries)
    assert len(records) == -(-count // LINES)
    assert len({from_record(read(new)).id for new in records}) == len(records)
    assert len({new.partition for new in records}) == 1
    back = [row for new in records for row in lines(read(new))]
    assert [row.line for row in back] == list(range(1, count + 1))
    assert [row.number for row in back] == [entry.number for entry in entries]


def test_the_same_list_at_the_same_time_is_the_same_records() -> None:
    assert written(ENTRY) == written(ENTRY)


def test_a_list_under_another_partner_s_key_is_no_list() -> None:
    (new,) = written(ENTRY)
    with pytest.raises(Corrupt, match="another"):
        lines(replace(read(new), key=reconciled_case(PartnerId("430400")).encode()))


def test_an_empty_list_is_not_written() -> None:
    with pytest.raises(ValueError, match="without lines"):
        written()
