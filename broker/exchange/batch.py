"""One partition's records, judged in log order: the view's changes and the outputs that follow from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from broker.core.directory import Directory, read_directory
from broker.core.documents import DocumentInvalid
from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.lifecycle import CaseState
from broker.core.message import BadRecord, Message, from_epoch_ms, from_record
from broker.core.receipts import Outcome
from broker.core.records import NewRecord, Record
from broker.core.routing import (
    Applied,
    Judgement,
    Known,
    NewDirectory,
    Refused,
    Repeated,
    Settled,
    judge,
    subject_of,
)
from broker.errors import Corrupt
from broker.exchange import rows
from broker.exchange.outputs import notice_of_refusal, outbox_record
from broker.log.codec import Codec
from broker.store.ledger_view import LedgerBatch, Loaded
from broker.store.rows import DirectoryRow, DossierRow, MessageRow, OutcomeRow
from broker.telemetry import REFUSED, REPEATED, ROUTED, UNREADABLE, get_log

Name = tuple[Party, MessageId]
_log = get_log("exchange")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One readable record of the batch, with its message."""

    record: Record
    message: Message
    at: datetime


@dataclass(slots=True, kw_only=True)
class Judged:
    """What a batch amounts to. ``directory`` is the one in force after it."""

    directory: Directory
    cases: dict[CaseId, CaseState] = field(default_factory=dict)
    messages: list[MessageRow] = field(default_factory=list)
    outcomes: list[OutcomeRow] = field(default_factory=list)
    dossiers: list[DossierRow] = field(default_factory=list)
    directories: list[DirectoryRow] = field(default_factory=list)
    outputs: list[NewRecord] = field(default_factory=list)

    def ledger_batch(self, partition: int, since: int, until: int) -> LedgerBatch:
        """The view's changes for the records of ``partition`` from ``since`` up to, not including, ``until``."""
        return LedgerBatch(
            partition=partition,
            since=since,
            until=until,
            directory_version=self.directory.version,
            cases=tuple(self.cases.values()),
            messages=tuple(self.messages),
            outcomes=tuple(self.outcomes),
            dossiers=tuple(self.dossiers),
            directories=tuple(self.directories),
        )


def read(records: Sequence[Record]) -> list[Read]:
    """The records that are messages of ours. Foreign ones are told and left: they have no effect to lose."""
    found: list[Read] = []
    for record in records:
        try:
            found.append(
                Read(record=record, message=from_record(record), at=from_epoch_ms(record.timestamp_ms))
            )
        except BadRecord as fault:
            _unreadable(record, str(fault))
    return found


def _unreadable(record: Record, reason: str) -> None:
    """A record that is none of ours has no effect to lose, but it never passes unnoticed."""
    UNREADABLE.labels("exchange").inc()
    _log.error("record_unreadable", position=str(record.position), reason=reason)


def wanted(reads: Sequence[Read]) -> tuple[set[CaseId], set[Name]]:
    """The cases and message rows that judging these records needs from the view."""
    cases = {each.message.case for each in reads}
    names: set[Name] = set()
    for each in reads:
        try:
            source, identity = subject_of(each.message)
        except ValueError:
            continue
        names.add((source, MessageId(identity)))
    return cases, names


def judge_batch(
    reads: Sequence[Read],
    loaded: Loaded,
    directory: Directory,
    *,
    codec: Codec,
    outbox_partitions: int,
) -> Judged:
    """Judge the records of one partition in their order, each seeing what those before it have changed."""
    judged = Judged(directory=directory)
    seen: dict[Name, Known] = dict(loaded.messages)
    for each in reads:
        message = each.message
        try:
            source, identity = subject_of(message)
        except ValueError:
            _unreadable(each.record, "header ce_correlationid")
            continue
        name = (source, MessageId(identity))
        state = judged.cases.get(message.case) or loaded.cases.get(message.case)
        judgement = judge(message, state, seen.get(name), judged.directory, each.at)
        try:
            _apply(judged, each, judgement, codec, outbox_partitions)
        except (Corrupt, DocumentInvalid) as fault:
            _unreadable(each.record, str(fault))
            continue
        seen[name] = _known_after(judgement, message, seen.get(name))
    return judged


def _known_after(judgement: Judgement, message: Message, before: Known | None) -> Known:
    if isinstance(judgement, Settled):
        known = before or Known(digest="")
        return replace(known, outcome=judgement.outcome, receipt=message.id)
    return before or Known(digest=message.digest)


def _apply(judged: Judged, each: Read, judgement: Judgement, codec: Codec, outbox_partitions: int) -> None:
    message, record = each.message, each.record
    match judgement:
        case Repeated():
            REPEATED.labels("exchange").inc()
        case NewDirectory():
            row = rows.directory_row(codec, record, message)
            judged.directory = read_directory(json.loads(row.documents))
            judged.directories.append(row)
            judged.messages.append(rows.message_row(record, message))
            _log.info("directory_applied", version=row.version, partition=record.position.partition)
        case Refused(refusal=refusal):
            REFUSED.labels(message.source, refusal.code).inc()
            if judgement.recorded:
                judged.messages.append(rows.message_row(record, message, refusal))
            judged.outputs.append(notice_of_refusal(codec, record, message, judgement))
        case Applied(state=state, routes=routes):
            if state is not None:
                judged.cases[message.case] = state
            judged.messages.append(rows.message_row(record, message))
            _route(judged, each, routes, outbox_partitions)
        case Settled(routes=routes):
            judged.outcomes.append(rows.outcome_row(codec, record, message, judgement))
            if judgement.outcome is not Outcome.DELIVERED:
                judged.dossiers.append(rows.dossier_row(codec, record, message, judgement))
            _route(judged, each, routes, outbox_partitions)
        case _ as never:
            assert_never(never)


def _route(judged: Judged, each: Read, routes: Sequence[PartnerId], outbox_partitions: int) -> None:
    for partner in routes:
        judged.outputs.append(outbox_record(each.record, partner, outbox_partitions, each.at))
        ROUTED.labels(partner).inc()
