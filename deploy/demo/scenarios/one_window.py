"""武陵区: one window. One number from application to result, several review steps; figures per city and item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from deploy.demo.checks import Check, Flow, Ledgers, flow_checks, stands
from deploy.demo.hall import Wish
from deploy.demo.leaflets import sheet
from deploy.demo.scenarios.base import ENDING, PATIENT, WULING, WULING_MARKET, figures
from deploy.demo.stage import Stage

CASES: Final = 10
"""Of each of the two items: as many as a row of the figures must have to be shown."""
_STEPS: Final = {"qiye-sheli": 2, "shipin-jingying": 3}
"""The two items, and how many review steps each has."""
_RESULT: Final = ("case.decided", "case.result-issued")


class OneWindow:
    """一号申请, 一窗受理, 内部流转, 后台审批, 统一出件."""

    name = "one-window"
    zh = "一窗受理：一号申请、一窗受理、内部流转、后台审批、统一出件；按市按事项看按时率与满意度"
    en = "one window: one number from application to result, review steps behind it, on-time rate and rating"
    place = "武陵区 430702（区市场监管局后台审批）"
    happened = "武陵区政务服务中心：87 类、200 余项进一窗，年办件 30,060 件，按时办结率 100%。"
    shows = (
        "一个办件号从申请用到出件；后台逐环节审批，环节各有时限；按责任方、事项、月份统计按时率与满意度，"
        "小样本不予公布。"
    )
    summary = (
        "One case number from application to result, with several review steps behind the window; the on-time rate "
        "and the rating per city, item and month come from the same ledger."
    )
    disturbs = False
    cast = (WULING, WULING_MARKET)

    def __init__(self, *, operators: bool = True) -> None:
        self._operators = operators
        self.opened: dict[str, list[str]] = {item: [] for item in _STEPS}
        self._figures: Sequence[Mapping[str, str]] = ()

    @property
    def cases(self) -> Sequence[str]:
        return [case for opened in self.opened.values() for case in opened[:1]]

    async def act(self, stage: Stage) -> None:
        for item, opened in self.opened.items():
            wish = Wish(to=WULING_MARKET, item=item, mode="online", applicant=PATIENT)
            for _ in range(CASES):
                opened.append(await stage.open_case(WULING, wish))
        await stage.reach(lambda ledgers: all(self._closed(ledgers)))
        if self._operators:
            self._figures = await figures(stage, "figures-one-window")

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        closed = self._closed(ledgers)
        first = [
            (opened[0] if opened else "", steps)
            for opened, steps in zip(self.opened.values(), _STEPS.values(), strict=True)
        ]
        return [
            *(check for case, steps in first for check in flow_checks(ledgers, _flow(case, steps=steps))),
            *(stands(ledgers, case, {WULING: "closed", WULING_MARKET: "closed"}) for case, _ in first),
            Check(
                zh=f"{CASES * len(_STEPS)} 件全部统一出件，一件一号到底",
                en=f"all {CASES * len(_STEPS)} cases ended under the number that they began with",
                holds=len(closed) == CASES * len(_STEPS) and all(closed),
                found=f"{sum(closed)}/{CASES * len(_STEPS)}",
            ),
            *self._rates(),
        ]

    def _rates(self) -> list[Check]:
        return [self._rate(self._figures, item) for item in _STEPS] if self._operators else []

    def _rate(self, figures: Sequence[Mapping[str, str]], item: str) -> Check:
        wanted = (WULING_MARKET, item, "pair")
        row = next(
            (each for each in figures if (each["responsible"], each["item"], each["level"]) == wanted), {}
        )
        on_time, rating = row.get("on_time_rate") or "-", row.get("rating_mean") or "-"
        name = sheet(item).name
        return Check(
            zh=f"{name}：按时办结率 100%，平均评价 5 分",
            en=f"figures per responsible partner, item and month: {item} all on time, rated 5",
            holds=on_time != "-" and float(on_time) == 1 and rating != "-" and float(rating) == 5,
            found=f"办结 {row.get('decided', '-')}，按时率 {on_time}，评价 {rating}",
        )

    def _closed(self, ledgers: Ledgers) -> list[bool]:
        cases = [case for opened in self.opened.values() for case in opened]
        return [
            ledgers[WULING].stage(case) == ledgers[WULING_MARKET].stage(case) == "closed" for case in cases
        ]


def _flow(case: str, *, steps: int) -> Flow:
    return Flow(
        case=case,
        opening=WULING,
        responsible=WULING_MARKET,
        opening_says=("case.submitted", *ENDING),
        responsible_says=("case.accepted", *["case.step-completed"] * steps, *_RESULT),
    )
