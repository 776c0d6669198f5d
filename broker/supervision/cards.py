"""Yellow and red cards as records of the ledger, the same to the byte whoever writes them.

Their ids follow from case, card and side, and the time in them is that at which the deadline fell. That each is
issued once is judged in log order (``exchange/cards.py``). Source: issue 5, 5.
"""

from __future__ import annotations

from typing import Final

from broker.core.case.case_state import CaseState
from broker.core.clocks.cards import NOTICE_DEADLINE
from broker.core.clocks.deadlines import Deadline, Kind, Light
from broker.core.ids import BROKER, Party, derived_id
from broker.core.message import Message, MessageClass, to_headers, value_digest
from broker.core.records import NewRecord
from broker.log.admin import topics
from broker.log.values.codec import Codec


def card_records(
    codec: Codec, state: CaseState, deadline: Deadline, *, ledger_partitions: int
) -> list[NewRecord]:
    """The card as records of its case, one to each side. The broker, where it answers for all parts, gets none."""
    value = codec.encode(NOTICE_DEADLINE, _said(deadline))
    sides = dict.fromkeys((Party(state.opening), Party(state.responsible)))
    return [
        NewRecord(
            topic=topics.LEDGER,
            key=topics.ledger_key(state.case),
            value=value,
            headers=to_headers(_notice(codec, state, deadline, side, value)),
            partition=topics.ledger_partition(state.case, ledger_partitions),
        )
        for side in sides
        if side != BROKER
    ]


def _notice(codec: Codec, state: CaseState, deadline: Deadline, side: Party, value: bytes) -> Message:
    return Message(
        id=derived_id("c", state.case, deadline.key, side),
        source=BROKER,
        type=NOTICE_DEADLINE,
        case=state.case,
        destination=side,
        time=deadline.falls_at,
        message_class=MessageClass.INITIAL,
        digest=value_digest(value),
        dataschema=codec.dataschema(NOTICE_DEADLINE),
        value=value,
        item=state.item or None,
        mode=state.mode or None,
    )


def _said(deadline: Deadline) -> dict[str, object]:
    return {
        "light": deadline.light.value,
        "at": deadline.falls_at,
        "due_on": deadline.due_on,
        "days_left": deadline.days_left,
        "step": deadline.step or None,
        "detail": sentence(deadline),
        "kind": deadline.kind.value,
        "turn": deadline.turn,
        "late": deadline.late,
    }


_LIMITS: Final = {
    Kind.ACCEPTANCE: "受理期限",
    Kind.SUPPLEMENT: "补正期限",
    Kind.DECISION: "承诺办结期限",
    Kind.STEP: "环节时限",
    Kind.ISSUE: "出件期限",
    Kind.RECTIFICATION: "差评整改期限",
    Kind.COMPLAINT: "投诉答复期限",
}
_PROVISIONAL: Final = "（该年节假日安排尚未公布，暂按周一至周五为工作日）"


def sentence(deadline: Deadline) -> str:
    """A card in one sentence, for the person who reads it."""
    said = _LIMITS[deadline.kind] + (f" {deadline.step}" if deadline.step else "")
    if deadline.light is Light.RED:
        said += f" 已于 {deadline.due_on} 届满"
        if deadline.kind is Kind.ACCEPTANCE:
            said += "，自收到申请材料之日起即为受理（行政许可法第三十二条）"
    else:
        left = f"剩余 {deadline.days_left} 个工作日" if deadline.days_left else "当日届满"
        said += f" 将于 {deadline.due_on} 届满，{left}"
    return said + (_PROVISIONAL if deadline.provisional else "")
