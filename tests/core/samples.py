"""Facts that the core's tests share: two partners, one case, messages of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from broker.core.case.case_state import CaseState
from broker.core.case.lifecycle import NO_FACTS, NO_TERMS, Advanced, Terms, advance
from broker.core.ids import CaseId, MessageId, Party
from broker.core.message import Message, MessageClass, Mode

LAIBIN = "451300"
HENGSHAN = "430423"
CASE = CaseId("451300/20260302-0001")
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def said(
    type_: str,
    source: str,
    destination: str,
    *,
    id_: str = "m-1",
    case: str = CASE,
    item: str | None = "newborn-hukou",
    mode: Mode | None = Mode.COLLECTED,
    correlation: str | None = None,
) -> Message:
    return Message(
        id=MessageId(id_),
        source=Party(source),
        type=type_,
        case=CaseId(case),
        destination=Party(destination),
        time=NOON,
        message_class=MessageClass.INITIAL,
        digest="sha-256:" + "0" * 64,
        dataschema="/schemas/ids/1",
        value=b"",
        item=item,
        mode=mode,
        correlation=correlation,
    )


def by_opening(type_: str, *, id_: str = "m-1", correlation: str | None = None) -> Message:
    return said(type_, LAIBIN, HENGSHAN, id_=id_, correlation=correlation)


def by_responsible(type_: str, *, id_: str = "m-1", correlation: str | None = None) -> Message:
    return said(type_, HENGSHAN, LAIBIN, id_=id_, correlation=correlation)


def by_broker(type_: str, destination: str = LAIBIN) -> Message:
    return said(type_, "tongban", destination)


def after(*messages: Message | tuple[Message, Mapping[str, object]], terms: Terms = NO_TERMS) -> CaseState:
    """The case's state after these messages, an hour apart from noon on. All of them must be allowed.

    A message may come with the clear facts of its value.
    """
    state: CaseState | None = None
    for hour, each in enumerate(messages):
        message, facts = each if isinstance(each, tuple) else (each, NO_FACTS)
        answer = advance(state, message, NOON + timedelta(hours=hour), facts, terms)
        assert isinstance(answer, Advanced), f"{message.type}: {answer}"
        state = answer.state
    assert state is not None
    return state
