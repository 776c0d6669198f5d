"""What was polled, read: the records that are messages of ours, and what judging them needs from the view."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from broker.core.case.guards import NO_FACTS, Facts
from broker.core.case.routing import OUTCOMES, NoSubject, acknowledged, act_of, is_outcome, lever_of
from broker.core.case.transitions import JOINED
from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, split_part
from broker.core.message import BadRecord, Message, as_partner, from_epoch_ms, from_record, is_partner
from broker.core.operating.desk import Act
from broker.core.quick import quick
from broker.core.receipts import Outcome
from broker.core.records import Record
from broker.errors import Corrupt
from broker.exchange.deskwork import clear_facts_of
from broker.log.values.codec import Codec
from broker.store.rows import Name
from broker.store.view.desk import Lane
from broker.store.view.ledger_view import NOTHING_OF_THE_DESK, DeskWanted
from broker.telemetry import UNREADABLE, get_log

_log = get_log("exchange")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One readable record of the batch, with its message, and the clear facts of what is said on a case."""

    record: Record
    message: Message
    at: datetime
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What judging some records needs from the view; in the order of ``ledger_view.load``."""

    cases: set[CaseId]
    names: set[Name]
    desk: DeskWanted


_read: Final = quick(Read)


def read(records: Sequence[Record], codec: Codec) -> list[Read]:
    """The records that are messages of ours. Foreign ones are told and left: they have no effect to lose."""
    found: list[Read] = []
    for record in records:
        try:
            message = from_record(record)
        except BadRecord as fault:
            unreadable(record, str(fault))
        else:
            facts = _facts(codec, record, message)
            found.append(
                _read(record=record, message=message, at=from_epoch_ms(record.timestamp_ms), facts=facts)
            )
    return found


def _facts(codec: Codec, record: Record, message: Message) -> Facts:
    """What is said on a case, in clear. A value that does not read here is judged by its headers alone: whoever gets
    it says what is wrong with it, and nothing that intake took is dropped.
    """
    if message.source == BROKER and message.type not in JOINED:
        return NO_FACTS
    try:
        return clear_facts_of(codec, message)
    except Corrupt as fault:
        UNREADABLE.labels("value").inc()
        _log.error("value_unreadable", position=str(record.position), reason=str(fault))
        return NO_FACTS


def unreadable(record: Record, reason: str) -> None:
    """A record that is none of ours has no effect to lose, but it never passes unnoticed."""
    UNREADABLE.labels("exchange").inc()
    _log.error("record_unreadable", position=str(record.position), reason=reason)


def wanted(reads: Iterable[Read]) -> Wanted:
    """The cases, message rows, dossiers and levers that judging these records needs."""
    cases: set[CaseId] = set()
    names: set[Name] = set()
    desk: set[Name] = set()
    lanes: set[Lane] = set()
    levers: set[PartnerId] = set()
    for each in reads:
        message = each.message
        if is_outcome(message):  # what became of a message is no matter of its case's state
            with contextlib.suppress(NoSubject):
                source, identity = acknowledged(message)
                names.add(name := (source, MessageId(identity)))
                if OUTCOMES[message.type] is not Outcome.DELIVERED:
                    desk.add(name)
            continue
        cases.add(message.case)
        if (part := split_part(message.case)) is not None:
            cases.add(part[0])
        if message.source != BROKER:
            names.add((message.source, message.id))
            if message.destination == BROKER and (about := each.facts.get("about_case")) is not None:
                cases.add(CaseId(str(about)))
            continue
        act = act_of(message)
        names.add((message.source, message.id))
        if act is not None:
            try:
                source, identity = acknowledged(message)
            except NoSubject:
                continue
            names.add(name := (source, MessageId(identity)))
            desk.add(name)
        if act is Act.REDRIVEN and is_partner(message.destination):
            lanes.add((as_partner(message.destination), message.case))
        if (partner := lever_of(message)) is not None:
            levers.add(partner)
    if not (desk or levers):
        return Wanted(cases=cases, names=names, desk=NOTHING_OF_THE_DESK)
    return Wanted(cases=cases, names=names, desk=DeskWanted(names=desk, lanes=lanes, levers=levers))
