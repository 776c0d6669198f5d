"""Rows of the view, from messages of the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, cast

from broker.core.case.case_state import CaseState
from broker.core.case.routing import Settled
from broker.core.case.terms import terms_of_case
from broker.core.catalogue.directory import Directory, version_of
from broker.core.clocks.deadlines import next_falls_at
from broker.core.ids import BROKER, MessageId
from broker.core.message import Message, epoch_ms
from broker.core.operating.desk import Dossier
from broker.core.problems import Refusal
from broker.core.quick import quick
from broker.core.records import Record
from broker.errors import Corrupt
from broker.store.rows import ActRow, CaseRow, DirectoryRow, MessageRow, OutcomeRow

_message_row: Final = quick(MessageRow)
_case_row: Final = quick(CaseRow)
_outcome_row: Final = quick(OutcomeRow)


def message_row(
    record: Record, message: Message, refusal: Refusal | None = None, *, owed: bool = True
) -> MessageRow:
    """The row of a message; with ``refusal``, of one that changes nothing; not ``owed``: that nobody is to get."""
    return _message_row(
        source=message.source,
        id=message.id,
        case_id=message.case,
        type=message.type,
        destination=message.destination,
        item=message.item,
        mode=message.mode,
        message_class=message.message_class,
        correlation=message.correlation,
        digest=message.digest,
        proof=_proof(message),
        said_at=epoch_ms(message.time),
        expires_at=epoch_ms(message.expires) if message.expires else None,
        ledger_partition=record.position.partition,
        ledger_offset=record.position.offset,
        accepted_at=record.timestamp_ms,
        verdict="refused" if refusal else "applied" if owed else "recorded",
        code=refusal.code if refusal else None,
        detail=refusal.detail if refusal else None,
    )


def case_row(state: CaseState, book: Mapping[str, Directory]) -> CaseRow:
    """The row of a case, with the time at which the next of its deadlines falls under the terms of its opening."""
    directory = book.get(state.directory)
    due = None
    if directory is not None:
        under = terms_of_case(state, directory)
        due = next_falls_at(state, under.item, under.calendar)
    return _case_row(state=state, falls_at=None if due is None else epoch_ms(due))


def _proof(message: Message) -> str:
    if (
        message.source == BROKER or message.part_of is not None
    ):  # a copy for a bundle's part: nobody signed it
        return "broker"
    return "channel" if message.trusted_channel else "signature"


def outcome_row(
    facts: Mapping[str, object], record: Record, message: Message, settled: Settled
) -> OutcomeRow:
    """The outcome that a receipt or a notice states in its value."""
    source, identity = settled.name
    return _outcome_row(
        source=source,
        id=MessageId(identity),
        outcome=settled.outcome,
        outcome_at=record.timestamp_ms,
        attempts=cast("int", facts["attempt"]),
        reference=cast("str | None", facts["reference"]),
        answer=cast("str | None", facts["answer_code"]),
        receipt_id=message.id,
    )


def owed_again(dossier: Dossier, receipt: str | None) -> OutcomeRow:
    """The outcome of a message that was redriven: none. ``receipt`` ended it before, and stays in its row."""
    source, identity = dossier.name
    return OutcomeRow(
        source=source,
        id=identity,
        outcome=None,
        outcome_at=None,
        attempts=0,
        reference=None,
        answer=None,
        receipt_id=receipt,
    )


def act_row(record: Record, dossier: Dossier, act: str, *, by: str, reason: str, detail: str = "") -> ActRow:
    """One entry of a dossier's history, made by this record."""
    source, identity = dossier.name
    return ActRow(
        ledger_partition=record.position.partition,
        ledger_offset=record.position.offset,
        source=source,
        id=identity,
        act=act,
        by=by,
        reason=reason,
        detail=detail,
        at=record.timestamp_ms,
    )


def directory_row(facts: Mapping[str, object], record: Record) -> DirectoryRow:
    """The directory that ``directory.applied`` carries whole. Raises :class:`Corrupt` when it does not."""
    documents = dict(cast("Mapping[str, str]", facts["documents"]))
    version = cast("str", facts["version"])
    if version_of(documents) != version:
        raise Corrupt(f"the directory at {record.position} does not have the version that it states")
    return DirectoryRow(
        version=version,
        documents=json.dumps(documents, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
        applied_at=record.timestamp_ms,
        applied_by=cast("str", facts["by"]),
        reason=cast("str", facts["reason"]),
    )
