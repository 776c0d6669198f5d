"""衡阳 → 厦门: an online case that rules decide within seconds (秒批), by way of 厦门's mailbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from deploy.demo.checks import Check, Flow, Ledgers, flow_checks, stands
from deploy.demo.hall import Wish
from deploy.demo.scenarios.base import ENDING, HENGYANG, INSTANT, PATIENT, XIAMEN
from deploy.demo.stage import Stage

INSTANT_S: Final = 20.0
"""秒批: from the window to the result, in seconds; alone on a machine it takes one or two."""


class Instant:
    """An instant case through a mailbox that its partner pulls."""

    name = "instant"
    zh = "秒批：衡阳线上申办，厦门拉取信箱，数秒办结"
    en = "an online case answered in seconds, pulled from a mailbox"
    place = "衡阳 430400 → 厦门 350200"
    happened = "衡阳参保人线上办理异地就医结算备案；厦门的系统在单向防火墙之内，只能向外拨。"
    shows = "厦门拉取信箱，规则自动审批，数秒出件；每件报文先入账、后回执。"
    summary = (
        "An online filing answered within seconds by a partner that can only call out and pulls its mailbox."
    )
    disturbs = False
    cast = (HENGYANG, XIAMEN)

    def __init__(self) -> None:
        self.case = ""

    @property
    def cases(self) -> Sequence[str]:
        return [self.case]

    async def act(self, stage: Stage) -> None:
        wish = Wish(to=XIAMEN, item="yidi-jiuyi-beian", mode="online", applicant=PATIENT)
        self.case = await stage.open_case(HENGYANG, wish)

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        flow = Flow(
            case=self.case,
            opening=HENGYANG,
            responsible=XIAMEN,
            opening_says=("case.submitted", *ENDING),
            responsible_says=INSTANT,
        )
        return [
            *flow_checks(ledgers, flow),
            stands(ledgers, self.case, {HENGYANG: "closed", XIAMEN: "closed"}),
            in_seconds(ledgers, HENGYANG, self.case),
        ]


def in_seconds(ledgers: Ledgers, hall: str, case: str) -> Check:
    """From application to result within :data:`INSTANT_S`, by the opening hall's own clock."""
    took_s = _seconds_to_result(ledgers, hall, case)
    return Check(
        zh=f"从申办到出件不超过 {INSTANT_S:.0f} 秒",
        en=f"at most {INSTANT_S:.0f} s from application to result",
        holds=took_s is not None and took_s <= INSTANT_S,
        found="-" if took_s is None else f"{took_s:.1f} s",
    )


def _seconds_to_result(ledgers: Ledgers, hall: str, case: str) -> float | None:
    submitted = ledgers[hall].message(case, "case.submitted")
    issued = [e for e in ledgers[hall].effects if e.case == case and e.type == "case.result-issued"]
    if submitted is None or not issued:
        return None
    moments = datetime.fromisoformat(issued[0].at), datetime.fromisoformat(submitted.queued_at)
    return (moments[0] - moments[1]).total_seconds()
