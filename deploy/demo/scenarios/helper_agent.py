"""帮代办: a hall's helper applies for somebody; on whose behalf and on what authority stands in the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploy.demo.checks import Check, Flow, Ledgers, flow_checks, refused, stands
from deploy.demo.hall import Wish
from deploy.demo.scenarios.base import ENDING, HENGYANG, NINGBO, PATIENT, REVIEWED
from deploy.demo.stage import Stage

OFFICE: Final = "衡阳市政务服务中心帮代办窗口"
_ACTING: Final = {"authority": "hall_helper", "office": OFFICE}
_HELPER: Final = {"name": "王帮办", "id_number": "430400190001010043", "authority": f"{OFFICE}，授权委托书"}


class HelperAgent:
    """Who acted for whom, on what authority: clear for both sides, the helper's name in the papers."""

    name = "helper-agent"
    zh = "帮代办：帮办员替行动不便的老人申请，代办依据记录在案，两边可见；无依据的不收"
    en = "a hall's helper applies for someone: the authority is in the record; without one it is refused"
    place = "衡阳 430400（帮代办窗口）→ 宁波 330200"
    happened = "武陵、衡阳设帮代办：工作人员替群众跑腿，谁替谁办、凭什么办，都要记录在案。"
    shows = "申办写明有人代办、依据（监护、近亲属、委托书、帮办员……）与所属单位；姓名证件在密封材料里；写明代办而无依据的，收件时即拒绝。"
    summary = (
        "A hall's helper applies for somebody. The authority and the office stand in the record at both sides, the "
        "helper's name in the sealed papers; a submission by an agent without authority is refused."
    )
    disturbs = False
    cast = (HENGYANG, NINGBO)

    def __init__(self) -> None:
        self.helped = ""
        self.unfounded = ""

    @property
    def cases(self) -> Sequence[str]:
        return [case for case in (self.helped, self.unfounded) if case]

    async def act(self, stage: Stage) -> None:
        fields = {"agent": True, "acting": _ACTING, "sealed": {"agent": _HELPER}}
        self.helped = await stage.open_case(HENGYANG, _wish(fields))
        self.unfounded = await stage.open_case(HENGYANG, _wish({"agent": True, "acting": None}))

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        flow = Flow(
            case=self.helped,
            opening=HENGYANG,
            responsible=NINGBO,
            opening_says=("case.submitted", *ENDING),
            responsible_says=REVIEWED,
        )
        data = ledgers[NINGBO].data(self.helped, "case.submitted")
        acting, papers = data.get("acting"), data.get("sealed")
        agent = papers.get("agent") if isinstance(papers, dict) else None
        return [
            *flow_checks(ledgers, flow),
            stands(ledgers, self.helped, {HENGYANG: "closed", NINGBO: "closed"}),
            Check(
                zh="宁波账上写明：帮办员代办，所属单位；姓名在密封材料里",
                en="宁波's ledger says who acted, for which office; the name is in the papers",
                holds=data.get("agent") is True and acting == _ACTING and agent == _HELPER,
                found=str(acting),
            ),
            refused(
                ledgers, HENGYANG, self.unfounded, "case.submitted", "agent-unauthorised",
                what=("写明代办而无依据", "an agent without authority"),
            ),
            Check(
                zh="无依据的，宁波一无所知",
                en="of the one without authority 宁波 has heard nothing",
                holds=bool(self.unfounded) and not ledgers[NINGBO].heard(self.unfounded, HENGYANG),
                found="-",
            ),
        ]  # fmt: skip


def _wish(fields: dict[str, object]) -> Wish:
    return Wish(to=NINGBO, item="gongjijin-tuixiu", mode="online", applicant=PATIENT, fields=fields)
