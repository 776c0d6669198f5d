"""大件运输一件事: one lead, authorities along a route, promised days per class; one of them late at a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from deploy.demo.checks import Check, Ledgers, refused, stands
from deploy.demo.hall import Wish
from deploy.demo.procedures import PART
from deploy.demo.scenarios.base import (
    HENGYANG,
    PATIENT,
    PINGXIANG,
    ROAD_HUNAN,
    ROAD_PINGXIANG,
    ROAD_SHIYAN,
    TONGBAN,
)
from deploy.demo.stage import Stage

ROUTE: Final = (ROAD_HUNAN, ROAD_PINGXIANG, ROAD_SHIYAN)
LATE: Final = ROAD_PINGXIANG
STEP: Final = "LXKY"
_WAIT_S: Final = 60.0


class OversizeTransport:
    """Joint handling along a route; the late authority's step gets a yellow card, then a red one."""

    name = "oversize-transport"
    zh = "大件运输一件事：沿线三部门联办，一个环节逾期，先黄牌后红牌；各部分办结后牵头作出决定"
    en = "an oversize transport, joint along a route; one step late: yellow, then red; then the lead decides"
    place = "萍乡 360300 → 衡阳 430400（沿线：湖南、萍乡、十堰交通）"
    happened = "衡阳“大件运输一件事”：环节 15 减为 5，承诺 20 个工作日减为 7 个，Ⅰ、Ⅱ类当日办结；已办 574 件，网办 74%。"
    shows = (
        "多地联办：牵头受理后按路线分派沿线部门，各办其段；承诺按类别（Ⅱ类当日，Ⅲ类 7 个工作日）；环节逾期自动发黄牌、"
        "红牌，双方都收到；各部分未办结前牵头不得作出决定。"
    )
    summary = (
        "Joint handling along a route with promised days per class. One authority is late at one step: a yellow and "
        "then a red card reach both sides. The lead may decide only when every part has ended."
    )
    disturbs = False
    cast = (PINGXIANG, HENGYANG, *ROUTE)

    def __init__(self, *, operators: bool = True) -> None:
        self._operators = operators
        self._shown: dict[str, Mapping[str, object]] = {}
        self.same_day = ""
        self.seven_days = ""

    @property
    def cases(self) -> Sequence[str]:
        return [case for case in (self.same_day, self.seven_days) if case]

    async def act(self, stage: Stage) -> None:
        self.same_day = await self._begun(stage, "II")
        self.seven_days = await self._begun(stage, "III")
        await self._finish_part(stage, self.seven_days)
        await self._decided_by_lead(stage, self.seven_days)

        too_early = await stage.say(HENGYANG, "case.decided", self.same_day)
        await stage.until_answered(HENGYANG, too_early)
        part = _part(self.same_day)
        await stage.reach(
            lambda ledgers: "red" in ledgers[PINGXIANG].cards(part) and "red" in ledgers[LATE].cards(part),
            _WAIT_S,
        )
        await self._finish_part(stage, self.same_day)
        await self._decided_by_lead(stage, self.same_day)
        if self._operators:
            for case in (self.same_day, self.seven_days):
                self._shown[case] = next(iter((await stage.tongban("case", "show", case)).rows), {})

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        return [
            self._promised(ledgers, self.same_day, "Ⅱ", 0),
            self._promised(ledgers, self.seven_days, "Ⅲ", 7),
            *([self._due("Ⅱ", 0), self._due("Ⅲ", 7)] if self._operators else []),
            *self._carded(ledgers),
            refused(
                ledgers, HENGYANG, self.same_day, "case.decided", "parts-open",
                what=("各部分未办结，牵头即作决定", "the lead decides before its parts have ended"),
            ),
            *(self._one_answer(ledgers, case, zh) for case, zh in ((self.same_day, "Ⅱ"), (self.seven_days, "Ⅲ"))),
            *(
                stands(ledgers, case, {PINGXIANG: "closed", HENGYANG: "rated"})
                for case in (self.same_day, self.seven_days)
            ),
        ]  # fmt: skip

    async def _begun(self, stage: Stage, item_class: str) -> str:
        """Submitted, accepted by the lead, and at work along the route; the late authority has only accepted."""
        fields = {"route": list(ROUTE)}
        wish = Wish(
            to=HENGYANG,
            item="dajian-yunshu",
            mode="joint",
            applicant=PATIENT,
            item_class=item_class,
            fields=fields,
        )
        case = await stage.open_case(PINGXIANG, wish)
        await stage.reach(lambda ledgers: bool(ledgers[HENGYANG].heard(case, PINGXIANG)))
        await stage.say(HENGYANG, "case.accepted", case)
        await stage.reach(lambda ledgers: bool(ledgers[LATE].heard(_part(case), PINGXIANG)))
        await stage.say(LATE, "case.accepted", _part(case))
        return case

    async def _finish_part(self, stage: Stage, case: str) -> None:
        for type_ in ("case.step-completed", "case.decided", "case.result-issued"):
            await stage.say(LATE, type_, _part(case))

    async def _decided_by_lead(self, stage: Stage, case: str) -> None:
        steps = ["case.step-completed"] * len(ROUTE)
        await stage.reach(
            lambda ledgers: [t for t in ledgers[HENGYANG].heard(case, TONGBAN) if t in steps] == steps,
            _WAIT_S,
        )
        await stage.say(HENGYANG, "case.decided", case)
        await stage.say(HENGYANG, "case.result-issued", case)

    def _promised(self, ledgers: Ledgers, case: str, zh: str, days: int) -> Check:
        promised = [ledgers[PINGXIANG].data(case, "case.accepted").get("promised_days")]
        said = [ledgers[hall].message(f"{case}{PART}{hall}", "case.accepted") for hall in ROUTE]
        promise = f"{days} 个工作日" if days else "当日"
        return Check(
            zh=f"{zh}类：牵头承诺{promise}办结，沿线三部门均已受理",
            en=f"class {zh}: {days} working days promised, all three authorities have accepted",
            holds=promised == [days] and all(each is not None for each in said),
            found=str(promised[0]),
        )

    def _due(self, zh: str, days: int) -> Check:
        """The clock as the exchange keeps it, by its operators' own command."""
        shown = self._shown.get(self.seven_days if days else self.same_day, {})
        clock, standing = (_table(shown.get(name)) for name in ("clock", "standing"))
        started, due = str(clock.get("started_on", "")), str(standing.get("due_on", ""))
        in_time = clock.get("days") == days and (started < due if days else started == due)
        return Check(
            zh=f"{zh}类：时钟自受理起，{f'{days} 个工作日' if days else '当日'}到期，整件未超时",
            en=f"class {zh}: the clock runs from acceptance, due after {days} working days; the case is not late",
            holds=in_time and standing.get("late") is False,
            found=f"{started} → {due}",
        )

    def _carded(self, ledgers: Ledgers) -> list[Check]:
        part = _part(self.same_day)
        checks = []
        for hall in (PINGXIANG, LATE):
            books = ledgers[hall]
            data = books.data(part, "notice.deadline")
            cards = books.cards(part)
            checks.append(
                Check(
                    zh=f"环节逾期：先黄牌后红牌，各一次（{'申请方' if hall == PINGXIANG else '责任方'}账上）",
                    en=f"the late step: yellow, then red, once each, in the ledger of {hall}",
                    holds=cards[:2] == ["yellow", "red"] and len(cards) == 2 and data.get("step") == STEP,
                    found=" → ".join(cards) or "-",
                )
            )
        return checks

    def _one_answer(self, ledgers: Ledgers, case: str, zh: str) -> Check:
        ends = [
            each.type for each in ledgers[PINGXIANG].effects
            if each.case == case and each.source in {HENGYANG, TONGBAN} and each.type.startswith("case.")
        ]  # fmt: skip
        expected = [
            "case.accepted",
            *["case.step-completed"] * len(ROUTE),
            "case.decided",
            "case.result-issued",
        ]
        return Check(
            zh=f"{zh}类：申请方得到一个结果：受理、三段、办结、出件",
            en=f"class {zh}: one answer at the opening side",
            holds=ends == expected,
            found=str(len(ends)),
        )


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _part(case: str) -> str:
    """The late authority's part of a case; a part along a route is named after its authority."""
    return f"{case}{PART}{LATE}"
