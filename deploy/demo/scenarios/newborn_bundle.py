"""衡阳 新生儿出生一件事: one submission, six items at six authorities, one answer; once in part, once withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploy.demo.checks import Check, Ledgers, names, stands
from deploy.demo.forms import certificate
from deploy.demo.hall import Wish
from deploy.demo.procedures import PART
from deploy.demo.scenarios.base import FATHER, HENGYANG, LAIBIN, TONGBAN
from deploy.demo.stage import Stage

ITEM: Final = "xinshenger-yijianshi"
PARTS: Final = {
    "chusheng": "430400-weijian",
    "jiezhong": "430400-jikong",
    "luohu": "430400-gongan",
    "canbao": "430400-yibao",
    "jiaofei": "430400-shuiwu",
    "shebaoka": "430400-renshe",
}
"""The six parts and who decides each."""
AFTER: Final = {
    "jiezhong": "chusheng",
    "luohu": "chusheng",
    "canbao": "luohu",
    "jiaofei": "canbao",
    "shebaoka": "luohu",
}
"""What each part waits for."""
_WHOLE_ANSWER: Final = (
    "case.accepted",
    *["case.step-completed"] * len(PARTS),
    "case.decided",
    "case.result-issued",
)


class NewbornBundle:
    """Fan out, hold, join; partial refusal; withdrawal of the whole."""

    name = "newborn-bundle"
    zh = "新生儿出生一件事：一次申请，六部门六事项，一个结果；一次部分不予受理，一次整体撤回"
    en = "the newborn's bundle: one submission, six items, one answer; once partly refused, once withdrawn"
    place = "来宾 451300 → 衡阳 430400（卫健、疾控、公安、医保、税务、人社）"
    happened = "衡阳“新生儿出生一件事”：出生医学证明、预防接种证、落户登记、医保参保、医保缴费、社保卡申领，已办 30,977 件。"
    shows = (
        "一个办件号、一张表、一次申请，按先后关系分派六部门，前置未办结的先行暂存，全部办结后汇总为一个结果；"
        "有一项不予受理的，其后续项目不再分派，其余照办，结果写明；申请人可整体撤回。"
    )
    summary = (
        "One submission with six items and their dependencies, fanned out to six authorities and joined into one "
        "answer. A second one is refused in part; a third is withdrawn as a whole."
    )
    disturbs = False
    cast = (LAIBIN, HENGYANG, *PARTS.values())

    def __init__(self) -> None:
        self.granted = ""
        self.partly = ""
        self.withdrawn = ""

    @property
    def cases(self) -> Sequence[str]:
        return [case for case in (self.granted, self.partly, self.withdrawn) if case]

    async def act(self, stage: Stage) -> None:
        wish = Wish(to=HENGYANG, item=ITEM, mode="collected", applicant=FATHER)
        self.granted = await stage.open_case(LAIBIN, wish)
        await stage.reach(lambda ledgers: ledgers[LAIBIN].stage(self.granted) == "closed")

        await stage.handle(PARTS["canbao"], "yibao-canbao", "refuse")
        self.partly = await stage.open_case(LAIBIN, wish)
        await stage.reach(lambda ledgers: ledgers[LAIBIN].stage(self.partly) == "closed")

        await stage.handle(PARTS["chusheng"], "chusheng-zhengming", "by-hand")
        self.withdrawn = await stage.open_case(LAIBIN, wish)
        part = f"{self.withdrawn}{PART}chusheng"
        await stage.reach(lambda ledgers: bool(ledgers[PARTS["chusheng"]].heard(part, LAIBIN)))
        await stage.say(LAIBIN, "case.withdrawn", self.withdrawn)

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        return [
            *self._whole(ledgers),
            *self._in_part(ledgers),
            *self._taken_back(ledgers),
        ]

    def _whole(self, ledgers: Ledgers) -> list[Check]:
        heard = ledgers[LAIBIN].heard(self.granted, TONGBAN)
        said = [each for each in heard if each.startswith("case.")]
        opened = {
            part: ledgers[hall].heard(f"{self.granted}{PART}{part}", LAIBIN) for part, hall in PARTS.items()
        }
        return [
            Check(
                zh="六部门账上各有其一份申请，仅一份",
                en="each of the six authorities has its part once",
                holds=all(each == ["case.submitted"] for each in opened.values()),
                found=f"{sum(bool(each) for each in opened.values())}/6",
            ),
            self._in_order(ledgers),
            Check(
                zh="来宾只得到一个结果：一次受理、六个环节、一次办结、一次出件",
                en="来宾 gets one answer: accepted once, six steps, one decision, one result",
                holds=said == list(_WHOLE_ANSWER),
                found=names(said),
            ),
            self._sealed(ledgers),
            stands(ledgers, self.granted, {LAIBIN: "closed", HENGYANG: "rated"}),
        ]

    def _sealed(self, ledgers: Ledgers) -> Check:
        """The fields of each certificate, in the opening hall's own ledger as its authority wrote them."""
        whole = []
        for part, hall in PARTS.items():
            case = f"{self.granted}{PART}{part}"
            row = ledgers[hall].row(case)
            papers = ledgers[LAIBIN].data(case, "case.result-issued").get("sealed")
            written = certificate(case, row.item) if row else None
            whole.append(isinstance(papers, dict) and papers.get("form") == written)
        return Check(
            zh="六部门密封在各自结果里的证照信息，来宾账上都有，一字不差",
            en="what each of the six authorities sealed in its result stands in 来宾's own ledger, word for word",
            holds=all(whole),
            found=f"{sum(whole)}/{len(PARTS)}",
        )

    def _in_order(self, ledgers: Ledgers) -> Check:
        """By each authority's own clock, none began before what it comes after had been decided."""
        waits = []
        for part, first in AFTER.items():
            began = _moment(ledgers, PARTS[part], f"{self.granted}{PART}{part}", "case.submitted")
            decided = _said_at(ledgers, PARTS[first], f"{self.granted}{PART}{first}", "case.decided")
            waits.append(bool(began) and bool(decided) and decided <= began)
        return Check(
            zh="先后关系成立：前置办结之后，后续部门才收到",
            en="no authority got its part before what it depends on was decided",
            holds=all(waits),
            found=f"{sum(waits)}/{len(waits)}",
        )

    def _in_part(self, ledgers: Ledgers) -> list[Check]:
        decision = ledgers[LAIBIN].data(self.partly, "case.decided")
        never = ledgers[PARTS["jiaofei"]].heard(f"{self.partly}{PART}jiaofei", LAIBIN)
        return [
            Check(
                zh="部分不予受理：整体准予，结果写明哪一项不予受理",
                en="refused in part: granted as a whole, the reason names the part",
                holds=decision.get("outcome") == "granted" and "参保" in str(decision.get("reason")),
                found=str(decision.get("reason", "-")),
            ),
            Check(
                zh="不予受理之后的医保缴费没有分派",
                en="what depends on the refused part was never sent out",
                holds=bool(self.partly) and not never,
                found=str(len(never)),
            ),
            stands(ledgers, self.partly, {LAIBIN: "closed", HENGYANG: "rated"}),
        ]

    def _taken_back(self, ledgers: Ledgers) -> list[Check]:
        part = f"{self.withdrawn}{PART}chusheng"
        later = [
            hall
            for name, hall in PARTS.items()
            if ledgers[hall].heard(f"{self.withdrawn}{PART}{name}", LAIBIN)
        ]
        return [
            Check(
                zh="整体撤回：已分派的部门得知撤回，其余从未收到",
                en="withdrawn as a whole: the authority at work is told, the others never had it",
                holds=ledgers[PARTS["chusheng"]].stage(part) == "withdrawn" and later == [PARTS["chusheng"]],
                found=ledgers[PARTS["chusheng"]].stage(part),
            ),
            stands(ledgers, self.withdrawn, {LAIBIN: "withdrawn", HENGYANG: "withdrawn"}),
        ]


def _moment(ledgers: Ledgers, hall: str, case: str, type_: str) -> str:
    return next((each.at for each in ledgers[hall].effects if (each.case, each.type) == (case, type_)), "")


def _said_at(ledgers: Ledgers, hall: str, case: str, type_: str) -> str:
    message = ledgers[hall].message(case, type_)
    return message.queued_at if message else ""
