"""Rows for tests, with the facts that a test does not care about filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from broker.core.case.lifecycle import CaseState, Status
from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.message import Mode, epoch_ms
from broker.core.operating.desk import Dossier
from broker.store.rows import ActRow, CaseRow, DirectoryRow, MessageRow, OutcomeRow
from broker.store.view.ledger_view import LedgerBatch

T0 = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
LAIBIN = PartnerId("451300")
HENGSHAN = PartnerId("430423")
XIAMEN = PartnerId("350200")
VERSION = "0123456789abcdef"


def case_state(number: str | int = 1, **facts: Any) -> CaseState:
    given = {
        "case": CaseId(f"{LAIBIN}/{number}"),
        "opening": LAIBIN,
        "responsible": HENGSHAN,
        "item": "11430423MB1",
        "mode": Mode.COLLECTED,
        "status": Status.SUBMITTED,
        "opened_at": T0,
        "updated_at": T0,
    }
    return CaseState(**{**given, **facts})


def message(number: str | int = 1, **facts: Any) -> MessageRow:
    plain = MessageRow(
        source=Party(LAIBIN),
        id=MessageId(f"m-{number}"),
        case_id=CaseId(f"{LAIBIN}/1"),
        type="case.submitted",
        destination=Party(HENGSHAN),
        item="11430423MB1",
        mode="collected",
        message_class=0,
        correlation=None,
        digest=f"sha-256:{number}",
        proof="signature",
        said_at=epoch_ms(T0),
        expires_at=None,
        ledger_partition=0,
        ledger_offset=number if isinstance(number, int) else 0,
        accepted_at=epoch_ms(T0) + (number if isinstance(number, int) else 0),
        verdict="applied",
    )
    return replace(plain, **facts)


def outcome(number: str | int = 1, **facts: Any) -> OutcomeRow:
    plain = OutcomeRow(
        source=Party(LAIBIN),
        id=MessageId(f"m-{number}"),
        outcome="delivered",
        outcome_at=epoch_ms(T0 + timedelta(minutes=1)),
        attempts=1,
        reference="衡山-2026-17",
        answer=None,
        receipt_id=f"r-{number}",
    )
    return replace(plain, **facts)


def dossier(number: str | int = 1, **facts: Any) -> Dossier:
    at_ms = epoch_ms(T0)
    plain = Dossier(
        name=(Party(LAIBIN), MessageId(f"m-{number}")),
        partner=HENGSHAN,
        case=CaseId(f"{LAIBIN}/1"),
        cause="schema-invalid",
        detail="the recipient says: 材料不全",
        blocks=False,
        ledger_partition=0,
        ledger_offset=number if isinstance(number, int) else 0,
        opened_at_ms=at_ms,
        updated_at_ms=at_ms,
        due_at_ms=at_ms + 86_400_000,
    )
    return replace(plain, **facts)


def act_row(offset: int, number: str | int = 1, **facts: Any) -> ActRow:
    plain = ActRow(
        ledger_partition=0,
        ledger_offset=offset,
        source=Party(LAIBIN),
        id=MessageId(f"m-{number}"),
        act="failed",
        by="tongban",
        reason="schema-invalid",
        detail="the recipient says: 材料不全",
        at=epoch_ms(T0),
    )
    return replace(plain, **facts)


def directory(version: str = VERSION, applied_at: int = 1000, **facts: Any) -> DirectoryRow:
    plain = DirectoryRow(
        version=version,
        documents='{"items/1.toml":"name = \\"新生儿入户\\""}',
        applied_at=applied_at,
        applied_by="operator",
        reason="first",
    )
    return replace(plain, **facts)


def batch(since: int, until: int, *, partition: int = 0, **facts: Any) -> LedgerBatch:
    plain = LedgerBatch(partition=partition, since=since, until=until, directory_version=VERSION)
    rows = [CaseRow(state=each) if isinstance(each, CaseState) else each for each in facts.pop("cases", ())]
    return replace(plain, cases=rows, **facts)


def filled(since: int, count: int, *, partition: int = 0) -> LedgerBatch:
    """A batch of ``count`` messages, each of a case of its own."""
    numbers: Sequence[int] = range(since, since + count)
    return batch(
        since,
        since + count,
        partition=partition,
        cases=[case_state(f"{partition}-{number}") for number in numbers],
        messages=[
            message(
                number,
                id=MessageId(f"m-{partition}-{number}"),
                case_id=CaseId(f"{LAIBIN}/{partition}-{number}"),
                ledger_partition=partition,
            )
            for number in numbers
        ],
    )
