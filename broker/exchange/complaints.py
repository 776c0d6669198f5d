"""Complaints by one door: what is sent to the broker is brought to whoever is responsible for the case concerned.

The record of whom it went to is the copy, and it stands on the ledger: a rebuild reads it there and asks nobody again.
A sender that is no party to the case is not told whether there is one: what is about a number that the ledger does not
know goes to the place that the number names, whose people look and answer, by the same clock (ADR 0016).
Source: issue 5, 9; 国办发〔2020〕53号 (12345).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from broker.core.case.case_state import CaseState
from broker.core.case.opening import forwarded_id
from broker.core.case.routing import Refused
from broker.core.ids import CaseId, PartnerId, Party, derived_id, opening_partner
from broker.core.message import Message, to_headers
from broker.core.problems import Refusal
from broker.core.records import NewRecord, Record
from broker.exchange.outputs import notice_of_refusal
from broker.log.values.codec import Codec


def forwarded(
    codec: Codec,
    record: Record,
    message: Message,
    named: CaseId,
    about: CaseState | None,
    partners: Container[PartnerId],
) -> NewRecord:
    """The complaint as whoever is to answer it gets it, a record of the same case; or the notice that there is no case
    ``named``. The same bytes, whose seal is bound to the message that they came in. ``about``: that case, if the
    ledger has it.
    """
    to = _answerable(message, named, about, partners)
    if to is None:
        detail = "the ledger has no case that the complaint is about: name the responsible partner"
        refused = Refused(
            refusal=Refusal(code="case-unknown", detail=detail),
            notice_id=derived_id("n", message.name, "case-unknown", message.digest),
        )
        return notice_of_refusal(codec, record, message, refused)
    copy = replace(
        message,
        id=forwarded_id(message.name),
        destination=Party(to),
        item=(about.item or None) if about is not None else None,
        correlation=message.name,
        signature=None,
        signed=None,
        trusted_channel=False,
        source_position=record.position,
        part_of=message.name,
    )
    return NewRecord(
        topic=record.position.topic,
        key=message.case.encode(),
        value=record.value,
        headers=to_headers(copy),
        partition=record.position.partition,
    )


def _answerable(
    message: Message, named: CaseId, about: CaseState | None, partners: Container[PartnerId]
) -> PartnerId | None:
    """Who is to answer. None: the sender itself would have opened such a case, or no partner would."""
    if about is not None:
        return about.responsible
    place = opening_partner(named)
    return place if place in partners and message.source != Party(place) else None
