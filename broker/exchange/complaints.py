"""Complaints by one door: what is sent to the broker is brought to whoever is responsible for the case concerned.

The record of whom it went to is the copy, and it stands on the ledger: a rebuild reads it there and asks nobody again.
Source: issue 5, 9; 国办发〔2020〕53号 (12345).
"""

from __future__ import annotations

from dataclasses import replace

from broker.core.case.case_state import CaseState
from broker.core.case.routing import Refused
from broker.core.ids import Party, derived_id
from broker.core.message import Message, to_headers
from broker.core.problems import Refusal
from broker.core.records import NewRecord, Record
from broker.exchange.outputs import notice_of_refusal
from broker.log.codec import Codec


def forwarded(codec: Codec, record: Record, message: Message, about: CaseState | None) -> NewRecord:
    """The complaint as the responsible partner is to get it, a record of the same case; or the notice that there is
    no such case. The same bytes, whose seal is bound to the message that they came in.
    """
    if about is None:
        detail = "the ledger has no case that the complaint is about: name the responsible partner"
        refused = Refused(
            refusal=Refusal(code="case-unknown", detail=detail),
            notice_id=derived_id("n", message.name, "case-unknown", message.digest),
        )
        return notice_of_refusal(codec, record, message, refused)
    copy = replace(
        message,
        id=derived_id("q", message.name),
        destination=Party(about.responsible),
        item=about.item or None,
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
