"""A case's timeline as its halls' own ledgers tell it: when, which case, who, what, in whose words, to what end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from deploy.demo.checks import Ledgers
from deploy.demo.events import BROKER
from deploy.demo.procedures import PART
from deploy.demo.records import Effect, Sent
from deploy.demo.roster import name_of

TYPES: Final[Mapping[str, str]] = {
    "case.submitted": "申办",
    "case.supplement-requested": "补正告知",
    "case.supplemented": "补正",
    "case.accepted": "受理",
    "case.refused": "不予受理",
    "case.step-completed": "审批环节",
    "case.paused": "特别程序开始",
    "case.resumed": "特别程序结束",
    "case.extended": "延期",
    "case.decided": "办结",
    "case.result-issued": "出件",
    "case.delivered": "送达",
    "case.withdrawn": "撤回",
    "case.rated": "评价",
    "case.rectified": "整改",
    "case.rating-appealed": "评价申诉",
    "case.urged": "催办",
    "fee.requested": "缴费通知",
    "fee.paid": "缴费",
    "complaint.filed": "投诉",
    "complaint.answered": "投诉答复",
    "notice.deadline": "时限",
    "notice.refused": "不予处理",
    "notice.undeliverable": "无法送达",
    "receipt.rejected": "拒收",
}
PROCEDURES: Final[Mapping[str, str]] = {
    "hearing": "听证",
    "tender": "招标",
    "auction": "拍卖",
    "inspection": "检验",
    "testing": "检测",
    "quarantine": "检疫",
    "appraisal": "鉴定",
    "expert_review": "专家评审",
    "other": "其他",
}
"""行政许可法第四十五条."""
_LIGHTS: Final = {"yellow": "黄牌", "red": "红牌"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of a timeline. ``state`` is what became of it, or where the case then stood with the hearer."""

    at: str
    case: str
    who: str
    said: str
    state: str

    def to_json(self) -> dict[str, str]:
        return {"at": self.at, "case": self.case, "who": self.who, "said": self.said, "state": self.state}


def timeline(ledgers: Ledgers, halls: Iterable[str], cases: Sequence[str]) -> list[Moment]:
    """Everything said on the cases and on their parts, in the order of the halls' clocks."""
    wanted = frozenset(cases)
    moments: list[Moment] = []
    halls = tuple(halls)
    told = {
        (each.source, each.id): _more(each)
        for hall in halls
        for each in ledgers[hall].effects
        if each.type in _TELLING and _whole(each.case) in wanted
    }
    for hall in halls:
        books = ledgers[hall]
        codes = {(step.number, step.type): step.code for step in books.steps if step.said}
        numbers = {row.case: row.number for row in books.cases}
        for sent in books.sent:
            if _whole(sent.case) in wanted:
                code = codes.get((numbers.get(sent.case, ""), sent.type), "")
                moments.append(_said(hall, sent, code, told.get((hall, sent.id), "")))
        moments.extend(
            _heard(hall, each)
            for each in books.effects
            if each.source == BROKER and _whole(each.case) in wanted and each.type != "receipt.delivered"
        )
    return sorted(moments, key=lambda moment: moment.at)


def _whole(case: str) -> str:
    return case.partition(PART)[0]


_TELLING: Final = ("case.paused", "case.resumed", "case.extended")


def _more(effect: Effect) -> str:
    """What a special procedure or an extension says, as it arrived on the other side."""
    data = orjson.loads(effect.event).get("data") or {}
    match effect.type:
        case "case.paused":
            days = f"，预计 {data['expected_days']} 个工作日" if data.get("expected_days") else ""
            return f"：{PROCEDURES.get(str(data.get('procedure')), '其他')}{days}，停表"
        case "case.resumed":
            return f"：{data.get('result') or '完毕'}，续表"
        case _:
            return f"：{data.get('extra_days')} 个工作日，{data.get('approved_by')}批准"


def _said(hall: str, sent: Sent, code: str, more: str) -> Moment:
    own = f"（{code}）" if code and code != "0" else ""
    state = {"accepted": "已收讫", "queued": "待发"}.get(sent.state, f"被拒 {sent.code}: {sent.detail}")
    if sent.receipt is not None:
        state = {"delivered": "已送达", "rejected": f"对方拒收：{sent.receipt_detail}"}.get(
            sent.receipt, f"{sent.receipt}：{sent.receipt_detail}"
        )
    return Moment(
        at=sent.accepted_at or sent.queued_at,
        case=sent.case,
        who=name_of(hall),
        said=TYPES.get(sent.type, sent.type) + own + more,
        state=state,
    )


def _heard(hall: str, effect: Effect) -> Moment:
    said = TYPES.get(effect.type, effect.type)
    data = orjson.loads(effect.event).get("data") or {}
    if effect.type == "notice.deadline":
        step = f"，环节 {data['step']}" if data.get("step") else ""
        said = f"{_LIGHTS.get(str(data.get('light')), '')}{step}"
    elif effect.type == "case.step-completed":
        said = f"{said} {data.get('step_name')}：{data.get('result')}"
    elif effect.type == "notice.refused":
        said = f"{said} {data.get('code')}"
    return Moment(at=effect.at, case=effect.case, who="通办", said=said, state=f"→ {name_of(hall)}")
