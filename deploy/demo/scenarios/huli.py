"""湖里区: marriage registration for the whole province in seconds, by envelope; bad ratings corrected or appealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from deploy.demo.checks import Check, Flow, Ledgers, flow_checks, names, stands
from deploy.demo.hall import Wish
from deploy.demo.scenarios.base import ENDING, FUZHOU, HULI, INSTANT, RESIDENT, figures, sent_by_courier
from deploy.demo.scenarios.instant import in_seconds
from deploy.demo.stage import Stage

_ENVELOPE: Final = {"company": "中国邮政速递", "number": "EMS1190001010013"}


class Huli:
    """秒批秒办, 免跑腿信封, 评立改; figures for outside evaluation."""

    name = "huli"
    zh = "湖里：婚姻登记全省通办秒批，免跑腿信封；差评即改、回访，误评申诉；统计供第三方评估"
    en = "huli: instant marriage registration, courier envelope, a bad rating corrected, another appealed, figures"
    place = "福州 350100 → 湖里区 350206"
    happened = "湖里区：婚姻登记全省通办、秒批秒办、免跑腿信封、评立改、第三方评估；14 个一件事套餐，18 个部门 513 个事项。"
    shows = (
        "秒批事项数秒办结；材料装免跑腿信封寄送，单号在案；差评（1、2 分）自动立案整改，限期、必回访；误评可申诉；"
        "统计可导出给第三方评估，不含个人信息。"
    )
    summary = (
        "Instant marriage registration, papers by courier envelope. A rating of 2 opens a correction that ends with a "
        "call-back; another is appealed. Figures are exported for outside evaluation, without personal data."
    )
    disturbs = False
    cast = (FUZHOU, HULI)

    def __init__(self, *, operators: bool = True) -> None:
        self._operators = operators
        self.good = ""
        self.bad = ""
        self.wrong = ""
        self._exported: Sequence[Mapping[str, str]] = ()

    @property
    def cases(self) -> Sequence[str]:
        return [case for case in (self.good, self.bad, self.wrong) if case]

    async def act(self, stage: Stage) -> None:
        self.good = await stage.open_case(FUZHOU, _wish(score=5, fields={"envelope": _ENVELOPE}))
        self.bad = await stage.open_case(FUZHOU, _wish(score=2))
        self.wrong = await stage.open_case(FUZHOU, _wish(score=1))
        await stage.reach(
            lambda ledgers: all(
                "case.rated" in ledgers[HULI].heard(case, FUZHOU) for case in (self.bad, self.wrong)
            )
        )
        await stage.say(HULI, "case.rectified", self.bad)
        await stage.say(HULI, "case.rating-appealed", self.wrong)
        await stage.reach(lambda ledgers: bool(ledgers[FUZHOU].data(self.wrong, "case.rating-appealed")))
        if self._operators:
            self._exported = await figures(stage, "figures-huli")

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        flows = [
            flow_checks(ledgers, _flow(case, *after))
            for case, after in (
                (self.good, ()),
                (self.bad, ("case.rectified",)),
                (self.wrong, ("case.rating-appealed",)),
            )
        ]
        return [
            *(check for flow in flows for check in flow),
            in_seconds(ledgers, FUZHOU, self.good),
            *(
                stands(ledgers, case, {FUZHOU: "closed", HULI: "closed"})
                for case in (self.good, self.bad, self.wrong)
            ),
            Check(
                zh="免跑腿信封的单号在湖里账上",
                en="the envelope's number is in 湖里's ledger",
                holds=ledgers[HULI].data(self.good, "case.submitted").get("envelope") == _ENVELOPE,
                found=_ENVELOPE["number"],
            ),
            sent_by_courier(
                ledgers, FUZHOU, self.good, "结婚证的快递单号在福州账上", "the result's courier number"
            ),
            self._corrected(ledgers),
            *self._for_evaluation(),
        ]

    def _corrected(self, ledgers: Ledgers) -> Check:
        correction = ledgers[FUZHOU].data(self.bad, "case.rectified")
        return Check(
            zh="差评 2 分：已整改并回访，福州账上有据",
            en="the rating of 2 was corrected with a call-back, and 福州 knows it",
            holds=correction.get("called_back") is True,
            found=names(ledgers[FUZHOU].heard(self.bad, HULI)),
        )

    def _for_evaluation(self) -> list[Check]:
        if not self._operators:
            return []
        text = str(self._exported)
        return [
            Check(
                zh="统计已导出（CSV、Parquet、数据字典），供第三方评估，无个人信息",
                en="the figures are exported for outside evaluation, and name nobody",
                holds=bool(self._exported) and HULI in text and RESIDENT.name not in text,
                found=f"{len(self._exported)} 行",
            )
        ]


def _wish(score: int, fields: dict[str, object] | None = None) -> Wish:
    return Wish(
        to=HULI, item="hunyin-dengji", mode="online", applicant=RESIDENT, score=score, fields=fields or {}
    )


def _flow(case: str, *after: str) -> Flow:
    return Flow(
        case=case,
        opening=FUZHOU,
        responsible=HULI,
        opening_says=("case.submitted", *ENDING),
        responsible_says=(*INSTANT, *after),
    )
