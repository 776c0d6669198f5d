"""衡阳 and the eight cities that it has signed with: a case with each, and what no agreement covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from deploy.demo.checks import Check, Flow, Ledgers, flow_checks, refused, stands
from deploy.demo.hall import Wish
from deploy.demo.scenarios.base import (
    ENDING,
    FATHER,
    GUILIN,
    HENGSHAN,
    HENGYANG,
    INSTANT,
    LAIBIN,
    NINGBO,
    PATIENT,
    PINGXIANG,
    RESIDENT,
    REVIEWED,
    SHIYAN,
    WULANCHABU,
    XIAMEN,
    YANBIAN,
)
from deploy.demo.stage import Stage

_ACCEPTED, _STEP, *_DECIDED = REVIEWED
_THREE_STEPS: Final = (_ACCEPTED, _STEP, _STEP, _STEP, *_DECIDED)
"""养老保险关系转移: three legs, each a step with a limit of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """One agreement, and the case that shows it: who opens, who decides, what each says."""

    opening: str
    responsible: str
    item: str
    mode: str
    says: tuple[str, ...] = REVIEWED
    supplemented: bool = False


SIGNED: Final = (
    Signed(opening=HENGYANG, responsible=YANBIAN, item="wufanzui-zhengming", mode="online"),
    Signed(opening=HENGYANG, responsible=GUILIN, item="shebaoka-shenling", mode="collected"),
    Signed(opening=LAIBIN, responsible=HENGYANG, item="huji-zhengming", mode="online"),
    Signed(opening=HENGYANG, responsible=PINGXIANG, item="yanglao-zhuanyi", mode="online", says=_THREE_STEPS),
    Signed(opening=HENGYANG, responsible=NINGBO, item="gongjijin-tuixiu", mode="online"),
    Signed(opening=HENGYANG, responsible=SHIYAN, item="shiyejin-qianyi", mode="collected"),
    Signed(opening=HENGYANG, responsible=XIAMEN, item="yidi-jiuyi-beian", mode="online", says=INSTANT),
    Signed(
        opening=HENGYANG,
        responsible=WULANCHABU,
        item="shenfenzheng-huanling",
        mode="collected",
        says=("case.supplement-requested", *REVIEWED),
        supplemented=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """A case that no agreement covers, and why."""

    to: str
    item: str
    mode: str
    zh: str
    en: str
    allowed: str = ""
    """What the sender is told that the two have agreed on; nothing where they have no agreement in force."""


OUTSIDE: Final = (
    Outside(
        to=XIAMEN, item="huji-zhengming", mode="online",
        zh="来宾与厦门之间没有协议", en="a pair without an agreement",
    ),
    Outside(
        to=HENGSHAN, item="wufanzui-zhengming", mode="collected",
        zh="来宾与衡山县的协议不含此事项", en="an item that the agreement does not list",
        allowed="新生儿入户 collected",
    ),
    Outside(
        to=HENGSHAN, item="xinshenger-ruhu", mode="online",
        zh="来宾与衡山县未约定全程网办", en="a mode that was not agreed on",
        allowed="新生儿入户 collected",
    ),
    Outside(
        to=GUILIN, item="huji-zhengming", mode="online",
        zh="来宾与桂林的协议已终止", en="an agreement that has ended",
    ),
)  # fmt: skip


class Agreements:
    """Pairwise agreements: items, modes, promised days, validity, contacts on both sides."""

    name = "agreements"
    zh = "协议：衡阳与八市州各办一件；协议之外，受理前即被拒绝，理由明确"
    en = "a case with each of the eight cities that 衡阳 has signed with; cases outside are refused at intake"
    place = "衡阳 430400 ↔ 延边 222400、桂林 450300、来宾 451300、萍乡 360300、宁波 330200、十堰 420300、厦门 350200、乌兰察布 150900"
    happened = "衡阳与八个市州签订“跨省通办”协议，双方各有专人联系。"
    shows = (
        "两两协议列明事项、模式、承诺时限、有效期与双方联系人；协议之内各办一件；协议之外（无协议、未列事项、"
        "未约模式、协议已终止）在收件时即拒绝，并告知可办什么；一月内到期的协议提前可见。"
    )
    summary = (
        "衡阳 has agreements with eight cities: items, modes, promised days, contacts on both sides. One case with "
        "each goes its way; cases outside are refused at intake with what would have been allowed; an agreement "
        "that ends within a month is seen."
    )
    disturbs = False
    cast = (
        LAIBIN, HENGSHAN, HENGYANG, XIAMEN, YANBIAN, GUILIN, PINGXIANG, NINGBO, SHIYAN, WULANCHABU,
    )  # fmt: skip

    def __init__(self, *, operators: bool = True) -> None:
        self._operators = operators
        self.signed: list[str] = []
        self.outside: list[str] = []
        self._expiring: tuple[str, ...] = ()

    @property
    def cases(self) -> Sequence[str]:
        return [*self.signed, *self.outside]

    async def act(self, stage: Stage) -> None:
        for each in SIGNED:
            person = RESIDENT if each.opening == LAIBIN else PATIENT
            wish = Wish(to=each.responsible, item=each.item, mode=each.mode, applicant=person)
            self.signed.append(await stage.open_case(each.opening, wish))
        for other in OUTSIDE:
            wish = Wish(to=other.to, item=other.item, mode=other.mode, applicant=FATHER)
            self.outside.append(await stage.open_case(LAIBIN, wish))
        if self._operators:
            told = await stage.tongban("directory", "expiring")
            self._expiring = tuple(str(row) for row in told.rows)

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        return [*self._inside(ledgers), *self._refused(ledgers), *self._seen_to_expire()]

    def _inside(self, ledgers: Ledgers) -> Iterator[Check]:
        for index, each in enumerate(SIGNED):
            case = self.signed[index] if index < len(self.signed) else ""
            supplement = ("case.supplemented",) if each.supplemented else ()
            flow = Flow(
                case=case,
                opening=each.opening,
                responsible=each.responsible,
                opening_says=("case.submitted", *supplement, *ENDING),
                responsible_says=each.says,
            )
            yield from flow_checks(ledgers, flow)
            yield stands(ledgers, case, {each.opening: "closed", each.responsible: "closed"})

    def _refused(self, ledgers: Ledgers) -> Iterator[Check]:
        for index, each in enumerate(OUTSIDE):
            case = self.outside[index] if index < len(self.outside) else ""
            yield refused(
                ledgers, LAIBIN, case, "case.submitted", "agreement-missing", what=(each.zh, each.en)
            )
            if each.allowed:
                message = ledgers[LAIBIN].message(case, "case.submitted")
                yield Check(
                    zh=f"{each.zh}：并告知可办什么",
                    en=f"{each.en}: and told what would have been allowed",
                    holds=message is not None and each.allowed in (message.detail or ""),
                    found=each.allowed,
                )
            reached = ledgers[each.to].heard(case, LAIBIN)
            yield Check(
                zh=f"{each.zh}：对方一无所知",
                en=f"{each.en}: the other side has heard nothing",
                holds=bool(case) and not reached,
                found=str(len(reached)),
                routine=True,
            )

    def _seen_to_expire(self) -> Iterator[Check]:
        if self._operators:
            yield Check(
                zh="一月内到期的协议（衡阳 ↔ 乌兰察布）可见",
                en="the agreement that ends within a month is seen (directory expiring)",
                holds=any(WULANCHABU in row for row in self._expiring),
                found=str(len(self._expiring)),
            )
