"""来宾 → 衡山县: a father working in Guangxi registers his newborn in Hunan; the page comes by courier."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.demo.checks import Check, Ledgers, flow_checks, stands
from deploy.demo.hall import Wish
from deploy.demo.scenarios.base import FATHER, HENGSHAN, LAIBIN, sent_by_courier, supplemented
from deploy.demo.stage import Stage


class NewbornHukou:
    """Collected in one province, supplemented once, decided in another, delivered by courier."""

    name = "newborn-hukou"
    zh = "新生儿入户：来宾代收，衡山县补正一次后办结，快递寄达"
    en = "newborn's hukou, collected, one supplement, by courier"
    place = "来宾 451300 → 衡山县 430423"
    happened = "在广西务工的父亲为新生儿在湖南老家落户；两地政务服务中心协同办理，三天后户口页快递到家。"
    shows = "异地代收代办全程：来宾窗口形式审查、收件，衡山县补正一次、受理、审批、办结、寄送；收受分离，步步有回执。"
    summary = (
        "A father working in Guangxi registers his newborn in Hunan. Collected at 来宾, supplemented once, "
        "decided by 衡山县, delivered by courier: every step with a receipt, in both ledgers."
    )
    disturbs = False
    cast = (LAIBIN, HENGSHAN)

    def __init__(self) -> None:
        self.case = ""

    @property
    def cases(self) -> Sequence[str]:
        return [self.case]

    async def act(self, stage: Stage) -> None:
        wish = Wish(to=HENGSHAN, item="xinshenger-ruhu", mode="collected", applicant=FATHER)
        self.case = await stage.open_case(LAIBIN, wish)

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        return [
            *flow_checks(ledgers, supplemented(self.case)),
            stands(ledgers, self.case, {LAIBIN: "closed", HENGSHAN: "closed"}),
            sent_by_courier(
                ledgers,
                LAIBIN,
                self.case,
                "来宾账上有户口页的快递单号",
                "the courier number is in 来宾's ledger",
            ),
        ]
