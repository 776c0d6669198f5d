"""One partition's records, judged in log order: the view's changes and the outputs that follow from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from broker.core.desk import Act
from broker.core.desk_lanes import Desk
from broker.core.directory import Directory, read_directory
from broker.core.documents import DocumentInvalid
from broker.core.ids import CaseId, MessageId, PartnerId
from broker.core.levers import Levers
from broker.core.lifecycle import CaseState
from broker.core.message import Message
from broker.core.problems import Refusal
from broker.core.records import NewRecord, Record
from broker.core.routing import (
    Acted,
    Applied,
    Judgement,
    LeverPulled,
    NewDirectory,
    NoSubject,
    Refused,
    Repeated,
    Settled,
    judge,
    subject_of,
)
from broker.errors import Corrupt
from broker.exchange import deskwork, rows
from broker.exchange.deskwork import Change
from broker.exchange.outputs import notice_of_refusal, outbox_record, redriven_record
from broker.exchange.reading import Read, unreadable
from broker.log.codec import Codec
from broker.store.ledger_view import Known, LedgerBatch, Loaded
from broker.store.rows import ActRow, DirectoryRow, MessageRow, Name, OutcomeRow
from broker.telemetry import DESK_ACTS, REFUSED, REPEATED, ROUTED, get_log

_log = get_log("exchange")


@dataclass(slots=True, kw_only=True)
class Judged:
    """What a batch amounts to. ``directory`` is the one in force after it."""

    directory: Directory
    cases: dict[CaseId, CaseState] = field(default_factory=dict)
    messages: list[MessageRow] = field(default_factory=list)
    outcomes: list[OutcomeRow] = field(default_factory=list)
    desk: Desk = field(default_factory=Desk)
    acts: list[ActRow] = field(default_factory=list)
    levers: dict[PartnerId, Levers] = field(default_factory=dict)
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
            dossiers=tuple(self.desk.changed.values()),
            acts=tuple(self.acts),
            levers=tuple(self.levers.values()),
            directories=tuple(self.directories),
        )


def judge_batch(
    reads: Sequence[Read],
    loaded: Loaded,
    directory: Directory,
    originals: Mapping[Name, Record],
    *,
    codec: Codec,
    outbox_partitions: int,
) -> Judged:
    """Judge the records of one partition in their order, each seeing what those before it have changed.

    ``originals``: the records of the messages that acts among these redrive (``originals.py``).
    """
    judging = _Judging(loaded, directory, originals, codec, outbox_partitions)
    for each in reads:
        try:
            judging.judge(each)
        except (Corrupt, DocumentInvalid, NoSubject) as fault:
            unreadable(each.record, str(fault))
    return judging.judged


class _Judging:
    """One batch under way. A record that raises has changed nothing."""

    def __init__(
        self,
        loaded: Loaded,
        directory: Directory,
        originals: Mapping[Name, Record],
        codec: Codec,
        outbox_partitions: int,
    ) -> None:
        self.judged = Judged(directory=directory, desk=Desk(loaded.dossiers))
        self._loaded = loaded
        self._seen: dict[Name, Known] = dict(loaded.messages)
        self._originals = originals
        self._codec = codec
        self._outbox_partitions = outbox_partitions

    def judge(self, each: Read) -> None:
        message, judged = each.message, self.judged
        source, identity = subject_of(message)
        name = (source, MessageId(identity))
        state = judged.cases.get(message.case) or self._loaded.cases.get(message.case)
        known = self._seen.get(name)
        judgement = judge(message, state, known, judged.directory, each.at, judged.desk.find(name))
        self._apply(each, name, judgement)
        self._seen[name] = _known_after(judgement, each.record, message, known)

    def _apply(self, each: Read, name: Name, judgement: Judgement) -> None:
        message, record, judged = each.message, each.record, self.judged
        match judgement:
            case Repeated():
                REPEATED.labels("exchange").inc()
            case NewDirectory():
                row = rows.directory_row(deskwork.facts_of(self._codec, message), record)
                judged.directory = read_directory(json.loads(row.documents))
                judged.directories.append(row)
                judged.messages.append(rows.message_row(record, message))
                _log.info("directory_applied", version=row.version, partition=record.position.partition)
            case Refused(refusal=refusal):
                REFUSED.labels(message.source, refusal.code).inc()
                if judgement.recorded:
                    judged.messages.append(rows.message_row(record, message, refusal))
                judged.outputs.append(notice_of_refusal(self._codec, record, message, judgement))
            case Applied(state=state, routes=routes):
                if state is not None:
                    judged.cases[message.case] = state
                judged.messages.append(rows.message_row(record, message))
                self._route(each, routes)
            case Settled(routes=routes):
                self._settle(each, name, judgement)
                self._route(each, routes)
            case Acted():
                self._act(each, judgement)
            case LeverPulled(partner=partner):
                before = judged.levers.get(partner) or self._loaded.levers.get(partner)
                pulled = deskwork.after_pull(self._codec, record, message, before or Levers(partner=partner))
                judged.levers[partner] = pulled
                judged.messages.append(rows.message_row(record, message, owed=False))
                _log.info("lever_pulled", partner=partner, type=message.type)
            case _ as never:
                assert_never(never)

    def _settle(self, each: Read, name: Name, settled: Settled) -> None:
        record, judged = each.record, self.judged
        facts = deskwork.facts_of(self._codec, each.message)
        known, own = self._seen.get(name), record.position
        place = (known.ledger_partition, known.ledger_offset) if known else (own.partition, own.offset)
        change = deskwork.after_outcome(judged.desk, facts, record, settled, each.message.case, place)
        judged.outcomes.append(rows.outcome_row(facts, record, each.message, settled))
        if change is not None:
            self._change(each, change)

    def _act(self, each: Read, acted: Acted) -> None:
        """An act that is refused is told by its own row, with the code; operators have no outbox."""
        record, message, judged = each.record, each.message, self.judged
        answer = deskwork.after_act(
            judged.desk, self._codec, record, message, acted, self._originals, judged.directory
        )
        if isinstance(answer, Refusal):
            DESK_ACTS.labels(acted.act.value, "refused").inc()
            _log.warning("act_refused", message_id=message.correlation, act=acted.act.value, code=answer.code)
            judged.messages.append(rows.message_row(record, message, answer))
            return
        DESK_ACTS.labels(acted.act.value, "done").inc()
        sender = answer.dossier.name[0]
        returned = acted.act is Act.RETURNED and message.destination == sender
        owed = returned and PartnerId(sender) in judged.directory.partners
        judged.messages.append(rows.message_row(record, message, owed=owed))
        self._change(each, answer)

    def _change(self, each: Read, change: Change) -> None:
        judged, dossier = self.judged, change.dossier
        judged.desk.put(dossier)
        judged.acts.append(change.entry)
        self._route(each, [partner for partner in change.told if partner in judged.directory.partners])
        if change.redriven is not None:
            known = self._seen.get(dossier.name)
            judged.outcomes.append(rows.owed_again(dossier, known.receipt if known else None))
            if known is not None:
                self._seen[dossier.name] = replace(known, outcome=None)
            judged.outputs.append(
                redriven_record(
                    change.redriven,
                    dossier.partner,
                    self._outbox_partitions,
                    each.record.position,
                    dossier.redrive,
                )
            )
            ROUTED.labels(dossier.partner).inc()
        _log.info(
            "dossier_changed",
            message_id=dossier.message,
            partner=dossier.partner,
            act=change.entry.act,
            status=dossier.status.value,
        )

    def _route(self, each: Read, routes: Sequence[PartnerId]) -> None:
        for partner in routes:
            self.judged.outputs.append(outbox_record(each.record, partner, self._outbox_partitions, each.at))
            ROUTED.labels(partner).inc()


def _known_after(judgement: Judgement, record: Record, message: Message, before: Known | None) -> Known:
    if before is None:
        position = record.position
        before = Known(
            digest="" if isinstance(judgement, Settled) else message.digest,
            ledger_partition=position.partition,
            ledger_offset=position.offset,
            verdict="",
            code=None,
        )
    if isinstance(judgement, Settled):
        return replace(before, outcome=judgement.outcome, receipt=message.id)
    return before
