"""Facts that the core's tests share: two partners, one case, messages of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from broker.core.case_state import CaseState
from broker.core.ids import CaseId, MessageId, Party
from broker.core.lifecycle import Advanced, advance
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


def after(*messages: Message) -> CaseState:
    """The case's state after these messages, an hour apart from noon on. All of them must be allowed."""
    state: CaseState | None = None
    for hour, message in enumerate(messages):
        answer = advance(state, message, NOON + timedelta(hours=hour))
        assert isinstance(answer, Advanced), f"{message.type}: {answer}"
        state = answer.state
    assert state is not None
    return state
