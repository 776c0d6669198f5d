"""衡阳 answers 503 for a while; meanwhile 来宾 submits and urges. Then 衡阳 gets everything, in order per case."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.demo.checks import Check, Flow, Ledgers, flow_checks
from deploy.demo.hall import Wish
from deploy.demo.scenarios.base import ENDING, HENGYANG, LAIBIN, RESIDENT, REVIEWED
from deploy.demo.stage import Stage

CASES = 3


class Outage:
    """An outage, and what it costs: time, and nothing else."""

    name = "outage"
    zh = "停机：衡阳 503 一段时间，恢复后全部依序收到"
    en = "a city answers 503 for a while, then gets everything in order"
    place = "来宾 451300 → 衡阳 430400"
    happened = "一方系统停机维护，另一方照常收件、催办。"
    shows = "停机期间报文按排程重试，不丢、不乱、不重；恢复后每件依序送达，回执齐全。"
    summary = "A city is down while the other submits and urges; afterwards it gets everything, in order per case, once."
    disturbs = True
    cast = (LAIBIN, HENGYANG)
    outage_s = 4.0
    urges = 2

    def __init__(self) -> None:
        self.cases: list[str] = []

    async def act(self, stage: Stage) -> None:
        await stage.outage(HENGYANG, 3600)
        wish = Wish(to=HENGYANG, item="huji-zhengming", mode="online", applicant=RESIDENT)
        for _ in range(CASES):
            self.cases.append(await stage.open_case(LAIBIN, wish))
        for case in self.cases * self.urges:
            await stage.urge(case)
        await stage.reach(self._all_on_the_road)
        await stage.outage(HENGYANG, self.outage_s)

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        away = [attempt for attempt in ledgers[HENGYANG].attempts if attempt.note == "away"]
        met = Check(
            zh="停机期间确有投递被答以 503",
            en="deliveries did meet the outage",
            holds=bool(away),
            found=f"{len(away)} × 503",
        )
        all_opened = Check(
            zh=f"停机期间照常收件 {CASES} 件",
            en=f"{CASES} cases were taken in meanwhile",
            holds=len(self.cases) == CASES,
            found=str(len(self.cases)),
        )
        return [
            met,
            all_opened,
            *(each for case in self.cases for each in flow_checks(ledgers, self._flow(case))),
        ]

    def _flow(self, case: str) -> Flow:
        return Flow(
            case=case,
            opening=LAIBIN,
            responsible=HENGYANG,
            opening_says=("case.submitted", *["case.urged"] * self.urges, *ENDING),
            responsible_says=REVIEWED,
        )

    def _all_on_the_road(self, ledgers: Ledgers) -> bool:
        """Everything is accepted, and the city was tried in vain: only then may it come back."""
        said = [message for case in self.cases for message in ledgers[LAIBIN].said(case)]
        met = {attempt.webhook_id for attempt in ledgers[HENGYANG].attempts if attempt.note == "away"}
        return all(message.state == "accepted" for message in said) and bool(met)
