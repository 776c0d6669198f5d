"""One batch under way: each record judged on what those before it have changed, and what it does then."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import assert_never

from broker.core.case.lifecycle import CaseState
from broker.core.case.routing import (
    Acted,
    Applied,
    Carded,
    Forwarded,
    Judgement,
    LeverPulled,
    NewDirectory,
    Reconciled,
    Refused,
    Repeated,
    Settled,
    judge,
    subject_of,
)
from broker.core.case.terms import NO_TERMS, terms_of_case
from broker.core.catalogue.directory import Directory, read_directory
from broker.core.ids import BROKER, CaseId, MessageId, PartnerId
from broker.core.message import Message
from broker.core.operating.desk import Act
from broker.core.operating.desk_lanes import Desk
from broker.core.operating.levers import Levers
from broker.core.problems import Refusal
from broker.core.records import Record
from broker.exchange import cards, deskwork, parts, reconciling, rows
from broker.exchange.complaints import forwarded
from broker.exchange.deskwork import Change
from broker.exchange.judged import Book, Judged
from broker.exchange.outputs import notice_of_refusal, outbox_record, redriven_record
from broker.exchange.reading import Read
from broker.log.values.codec import Codec
from broker.store.rows import Name
from broker.store.view.ledger_view import Known, Loaded, change_known, make_known
from broker.telemetry import CARDS, DESK_ACTS, REFUSED, REPEATED, ROUTED, get_log

_log = get_log("exchange")


class _States(dict[CaseId, CaseState]):
    """Cases by id: the loaded ones, and over them those that changed, which are noted."""

    def __init__(self, loaded: Mapping[CaseId, CaseState], changed: dict[CaseId, CaseState]) -> None:
        super().__init__(loaded)
        self._changed = changed

    def __setitem__(self, case: CaseId, state: CaseState) -> None:
        super().__setitem__(case, state)
        self._changed[case] = state


class Judging:
    """One batch under way. A record that raises has changed nothing.

    ``routing`` False: what goes to outboxes is there already, and is not made again.
    """

    def __init__(
        self,
        loaded: Loaded,
        directory: Directory,
        originals: Mapping[Name, Record],
        codec: Codec,
        outbox_partitions: int,
        book: Book,
        *,
        routing: bool = True,
        seen: dict[Name, Known] | None = None,
    ) -> None:
        self.judged = Judged(
            directory=directory,
            book={**book, directory.version: directory},
            desk=Desk(loaded.dossiers),
            known=loaded.messages,
        )
        self._loaded = loaded
        self._seen = dict(loaded.messages) if seen is None else seen
        self._states = _States(loaded.cases, self.judged.cases)
        self._routing = routing
        self._routed: Counter[PartnerId] = Counter()
        self._originals = dict(originals)
        self._codec = codec
        self._outbox_partitions = outbox_partitions

    def tell(self) -> None:
        """Count what was routed: once for all, since a counter's lock for each is too dear."""
        for partner, count in self._routed.items():
            ROUTED.labels(partner).inc(count)

    def judge(self, each: Read) -> None:
        message, judged = each.message, self.judged
        source, identity = subject_of(message)
        name = (source, MessageId(identity))
        state = parts.current(self._states, message)
        known = self._seen.get(name)
        opened = state if state is not None else parts.whole_of(self._states, message)
        under = judged.book.get(opened.directory) if opened is not None else None
        judgement = judge(
            message,
            state,
            known,
            judged.directory,
            each.at,
            judged.desk.find(name),
            facts=each.facts,
            under=under,
        )
        self._apply(each, name, judgement)
        self._seen[name] = _known_after(judgement, each.record, message, known)

    def _apply(self, each: Read, name: Name, judgement: Judgement) -> None:
        message, record, judged = each.message, each.record, self.judged
        match judgement:  # the frequent ones first
            case Settled(routes=routes):
                self._settle(each, name, judgement)
                self._route(each, routes)
            case Applied(state=state, routes=routes):
                if state is not None:
                    self._stands(each, state)
                owed = bool(routes) or message.destination == BROKER  # what is joined, nobody is owed
                judged.messages.append(rows.message_row(record, message, owed=owed))
                self._route(each, routes)
            case Repeated():
                REPEATED.labels("exchange").inc()
            case NewDirectory():
                row = rows.directory_row(deskwork.facts_of(self._codec, message), record)
                known = judged.book.get(row.version)
                judged.directory = known or read_directory(json.loads(row.documents))
                judged.book = {**judged.book, judged.directory.version: judged.directory}
                judged.directories.append(row)
                judged.messages.append(rows.message_row(record, message))
                _log.info("directory_applied", version=row.version, partition=record.position.partition)
            case Refused(refusal=refusal):
                REFUSED.labels(message.source, refusal.code).inc()
                if judgement.recorded:
                    judged.messages.append(rows.message_row(record, message, refusal))
                judged.outputs.append(notice_of_refusal(self._codec, record, message, judgement))
            case Forwarded() | Carded() | Reconciled():
                self._note(each, judgement)
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

    def _note(self, each: Read, judgement: Forwarded | Carded | Reconciled) -> None:
        """What moves no case by itself, or not by the table."""
        message, record, judged = each.message, each.record, self.judged
        match judgement:
            case Forwarded(about=about):
                judged.messages.append(rows.message_row(record, message, owed=False))
                known, partners = self._states.get(about), judged.directory.partners
                judged.outputs.append(forwarded(self._codec, record, message, about, known, partners))
            case Carded():
                self._card(each)
            case Reconciled():
                judged.reconciled.extend(reconciling.rows(deskwork.facts_of(self._codec, message), record))
                judged.messages.append(rows.message_row(record, message, owed=False))

    def _card(self, each: Read) -> None:
        """A card that is void, or that somebody forged, is on the ledger and nobody gets it."""
        message, record, judged = each.message, each.record, self.judged
        state = self._states.get(message.case)
        facts = deskwork.facts_of(self._codec, message)
        directory = judged.book.get(state.directory) if state is not None else None
        under = terms_of_case(state, directory) if state is not None and directory is not None else NO_TERMS
        issued = cards.judge_card(state, facts, record, under)
        judged.messages.append(rows.message_row(record, message, owed=issued is not None))
        if issued is None:
            return
        self._states[message.case] = issued.state
        whole = cards.whole_after(self._states, issued, record, directory)
        if whole is not None:
            self._states[whole.case] = whole
        if issued.row is not None:
            judged.cards.append(issued.row)
            CARDS.labels(issued.row.late, issued.row.kind, issued.row.light).inc()
        to = PartnerId(message.destination)
        if to in judged.directory.partners:
            self._route(each, [to])

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
                self._seen[dossier.name] = change_known(known, {"outcome": None})
            judged.outputs.append(
                redriven_record(
                    change.redriven,
                    dossier.partner,
                    self._outbox_partitions,
                    each.record.position,
                    dossier.redrive,
                )
            )
            self._routed[dossier.partner] += 1
        _log.info(
            "dossier_changed",
            message_id=dossier.message,
            partner=dossier.partner,
            act=change.entry.act,
            status=dossier.status.value,
        )

    def _stands(self, each: Read, state: CaseState) -> None:
        """The case's new state, and what it means for its bundle: parts that open, words for the whole."""
        message = each.message
        before = self._states.get(message.case)
        self._states[message.case] = state
        if state.bundle is None and state.part_of is None:
            return
        self.judged.outputs += parts.follow(
            self._codec,
            self._states,
            message,
            each.facts,
            each.record,
            before=before,
            directory=self.judged.book.get(state.directory, self.judged.directory),
            originals=self._originals,
        )

    def _route(self, each: Read, routes: Sequence[PartnerId]) -> None:
        if not self._routing:
            return
        for partner in routes:
            self.judged.outputs.append(outbox_record(each.record, partner, self._outbox_partitions, each.at))
            self._routed[partner] += 1


def _known_after(judgement: Judgement, record: Record, message: Message, before: Known | None) -> Known:
    if before is None:
        position = record.position
        before = make_known(
            digest="" if isinstance(judgement, Settled) else message.digest,
            ledger_partition=position.partition,
            ledger_offset=position.offset,
            verdict="",
            code=None,
        )
    if isinstance(judgement, Settled):
        return change_known(before, {"outcome": judgement.outcome, "receipt": message.id})
    return before
