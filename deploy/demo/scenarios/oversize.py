"""大件运输一件事: one lead, authorities along a route, promised days per class; one of them late at a step.

The same authority tests its bridges for class III: a special procedure, for which the clock stands still, and then an
extension. Source: 行政许可法 42, 45.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from deploy.demo.checks import Check, Ledgers, names, refused, stands
from deploy.demo.clock import now_text
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
_SPECIAL: Final = ("case.paused", "case.resumed", "case.extended")
_EXTRA: Final = 3
"""Working days of the extension."""


class OversizeTransport:
    """Joint handling along a route; a special procedure, an extension, and a late step with its two cards."""

    name = "oversize-transport"
    zh = "大件运输一件事：沿线三部门联办，桥梁检测停表、经批准延期，一个环节逾期先黄牌后红牌；各部分办结后牵头作出决定"
    en = (
        "an oversize transport, joint along a route: bridges are tested, the limit is extended, "
        "one step is late: yellow, then red; then the lead decides"
    )
    place = "萍乡 360300 → 衡阳 430400（沿线：湖南、萍乡、十堰交通）"
    happened = "衡阳“大件运输一件事”：环节 15 减为 5，承诺 20 个工作日减为 7 个，Ⅰ、Ⅱ类当日办结；已办 574 件，网办 74%。"
    shows = (
        "多地联办：牵头受理后按路线分派沿线部门，各办其段；承诺按类别（Ⅱ类当日，Ⅲ类 7 个工作日）；Ⅲ类沿线桥梁须检测的，"
        "检测期间停表，完毕续表，再经批准延期 3 个工作日，到期日前后可查；环节逾期自动发黄牌、红牌，双方都收到；"
        "各部分未办结前牵头不得作出决定。"
    )
    summary = (
        "Joint handling along a route with promised days per class. One authority tests its bridges, a special "
        "procedure for which the clock stands still, and then has its limit extended with approval. It is late at one "
        "step of another case: a yellow and then a red card reach both sides. The lead may decide only when every part "
        "has ended."
    )
    disturbs = False
    cast = (PINGXIANG, HENGYANG, *ROUTE)

    def __init__(self, *, operators: bool = True) -> None:
        self._operators = operators
        self._shown: dict[str, Mapping[str, object]] = {}
        self._days: list[Mapping[str, object]] = []
        self.same_day = ""
        self.seven_days = ""

    @property
    def cases(self) -> Sequence[str]:
        return [case for case in (self.same_day, self.seven_days) if case]

    async def act(self, stage: Stage) -> None:
        self.same_day = await self._begun(stage, "II")
        self.seven_days = await self._begun(stage, "III")
        await self._bridges_tested(stage, self.seven_days)
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
                self._shown[case] = await self._show(stage, case)

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        return [
            self._promised(ledgers, self.same_day, "Ⅱ", 0),
            self._promised(ledgers, self.seven_days, "Ⅲ", 7),
            *([self._due("Ⅱ", 0), self._due("Ⅲ", 7)] if self._operators else []),
            *self._special(ledgers),
            *([self._moved()] if self._operators else []),
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

    async def _bridges_tested(self, stage: Stage, case: str) -> None:
        """检测: the clock stands still until it is done; then the head of the government approves three days more."""
        part = _part(case)
        paused = {
            "paused_at": now_text(),
            "procedure": "testing",
            "reason": "沿线桥梁须经检测，所需时间已书面告知申请人",
            "expected_days": 3,
            "legal_basis": "行政许可法第四十五条",
        }
        await self._told(stage, part, "case.paused", paused)
        await self._noting(stage, part)
        resumed = {"resumed_at": now_text(), "result": "检测完毕，承载能力符合要求"}
        await self._told(stage, part, "case.resumed", resumed)
        await stage.say(LATE, "case.step-completed", part)
        await self._noting(stage, part)
        extended = {
            "extended_at": now_text(),
            "extra_days": _EXTRA,
            "approved_by": "萍乡市人民政府",
            "reason": "护送方案须按检测结果修改",
        }
        await self._told(stage, part, "case.extended", extended)
        await self._noting(stage, part)

    async def _told(self, stage: Stage, part: str, type_: str, fields: Mapping[str, object]) -> None:
        """The late authority says it, and its receipt is there: what comes next is of a case that has moved."""
        said = await stage.say(LATE, type_, part, fields)
        await stage.until_answered(LATE, said, _WAIT_S)

    async def _noting(self, stage: Stage, part: str) -> None:
        if self._operators:
            self._days.append(await self._show(stage, part))

    async def _show(self, stage: Stage, case: str) -> Mapping[str, object]:
        return next(iter((await stage.tongban("case", "show", case)).rows), {})

    async def _finish_part(self, stage: Stage, case: str) -> None:
        steps = ["case.step-completed"] if case != self.seven_days else []
        for type_ in (*steps, "case.decided", "case.result-issued"):
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

    def _special(self, ledgers: Ledgers) -> list[Check]:
        """Both sides' own ledgers: what arrived at the one, and what the other has receipts for."""
        part = _part(self.seven_days)
        heard = [each for each in ledgers[PINGXIANG].heard(part, LATE) if each in _SPECIAL]
        books = ledgers[LATE]
        said = [each for each in books.said(part) if each.type in _SPECIAL]
        receipts = [
            each.type for each in said if books.receipts(f"{LATE}/{each.id}") == ["receipt.delivered"]
        ]
        return [
            Check(
                zh="Ⅲ类沿线桥梁检测：特别程序开始、结束、延期，依序，各一次（申请方账上）",
                en=f"class Ⅲ, bridges tested: paused, resumed, extended, in order, once each, in the ledger of {PINGXIANG}",
                holds=heard == list(_SPECIAL),
                found=names(heard),
            ),
            Check(
                zh="Ⅲ类沿线桥梁检测：三件报文的送达回执各一份（责任方账上）",
                en=f"class Ⅲ, bridges tested: a receipt for each of the three, in the ledger of {LATE}",
                holds=receipts == list(_SPECIAL),
                found=names(receipts),
            ),
        ]

    def _moved(self) -> Check:
        """Due while the clock stood still, when it ran again, and extended; all on the day of the run."""
        standing = [_table(each.get("standing")) for each in self._days]
        due = [str(each.get("due_on", "")) for each in standing]
        left = [each.get("left") for each in standing if isinstance(each.get("left"), int)]
        moved = len(left) == 3 and left[2] == left[1] + _EXTRA and due[0] == due[1] < due[2]  # type: ignore[operator]
        return Check(
            zh=f"Ⅲ类：检测期间停表，延期 {_EXTRA} 个工作日，到期日随之后移",
            en=f"class Ⅲ: the clock stands still meanwhile, and {_EXTRA} working days more move the day on which it is due",
            holds=moved and [each.get("paused") for each in standing] == [True, False, False],
            found=" → ".join(due) or "-",
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
