"""营商环境投诉窗口, 12345: complaints come in by one door and are brought to whoever is responsible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from deploy.demo.checks import Check, Ledgers, names, stands
from deploy.demo.hall import Ticket, Wish
from deploy.demo.scenarios.base import COMPLAINTS, FATHER, HENGSHAN, HENGYANG, HOTLINE, LAIBIN, RESIDENT
from deploy.demo.stage import Stage

_ROAD: Final = ((HOTLINE, HENGYANG), (COMPLAINTS, HENGSHAN))
"""Who takes each complaint in, and who is responsible for the case that it is about."""


class Complaints:
    """One door, routed by the case that the complaint is about, with a clock of its own."""

    name = "complaint-12345"
    zh = "投诉与 12345 工单：一个口子进，按所涉办件转责任市，限时答复"
    en = "complaints and 12345 tickets enter by one door and reach the responsible city"
    place = "衡阳 12345、营商环境投诉窗口 → 衡阳 430400、衡山县 430423"
    happened = "衡阳 38 条热线并入 12345；营商环境投诉窗口统一受理、按责转办。"
    shows = (
        "投诉只报所涉办件号，不必知道该谁办：通办按总账转给责任市，答复另有时限（默认 15 个工作日）；"
        "答复原路返回；总账上没有的办件号，转号上所写的地方核实答复；与办件无关的，不告诉他有没有这一件。"
    )
    summary = (
        "A complaint names only the case that it is about; the exchange brings it to the responsible city, whose "
        "answer has a clock of its own and comes back by the same road. A number that the ledger does not know goes to the "
        "place that it names; whether there is such a case, only its parties are told."
    )
    disturbs = False
    cast = (LAIBIN, HENGYANG, HENGSHAN, HOTLINE, COMPLAINTS)

    def __init__(self, *, operators: bool = True) -> None:
        self._operators = operators
        self._shown: list[Mapping[str, object]] = []
        self.about: list[str] = []
        self.filed: list[str] = []
        self.nowhere = ""

    @property
    def cases(self) -> Sequence[str]:
        return [*self.about, *self.filed, *([self.nowhere] if self.nowhere else [])]

    async def act(self, stage: Stage) -> None:
        wishes = (
            Wish(to=HENGYANG, item="huji-zhengming", mode="online", applicant=RESIDENT),
            Wish(to=HENGSHAN, item="xinshenger-ruhu", mode="collected", applicant=FATHER),
        )
        for wish in wishes:
            self.about.append(await stage.open_case(LAIBIN, wish))
        await stage.reach(lambda ledgers: all(ledgers[LAIBIN].stage(case) == "closed" for case in self.about))
        for (door, _), about, subject in zip(
            _ROAD, self.about, ("户籍证明迟迟未开具", "落户材料反复"), strict=True
        ):
            channel = "hotline" if door == HOTLINE else "window"
            ticket = Ticket(subject=subject, channel=channel, about=about)
            self.filed.append(await stage.complain(door, ticket))
        unknown = Ticket(subject="查无此件", channel="hotline", about=f"{LAIBIN}/no-such-case")
        self.nowhere = await stage.complain(HOTLINE, unknown)
        await stage.reach(lambda ledgers: ledgers[HOTLINE].stage(self.nowhere) == "answered")
        if self._operators:
            await stage.reach(
                lambda ledgers: all(
                    ledgers[door].stage(case) == "answered"
                    for (door, _), case in zip(_ROAD, self.filed, strict=True)
                )
            )
            for case in self.filed:
                self._shown.extend((await stage.tongban("case", "show", case)).rows)

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        return [
            *(each for index in range(len(_ROAD)) for each in self._answered(ledgers, index)),
            self._told(ledgers),
            *([self._in_time()] if self._operators else []),
        ]

    def _in_time(self) -> Check:
        """By the exchange's own record: each was answered by the day that was due."""
        days = [(str(each.get("answer_by")), str(each.get("ended_at"))[:10]) for each in self._shown]
        return Check(
            zh="两件投诉均在各自时限内答复",
            en="both were answered within their own clock",
            holds=len(days) == len(_ROAD) and all(by != "None" and ended <= by for by, ended in days),
            found="，".join(f"限 {by}，{ended} 答复" for by, ended in days) or "-",
        )

    def _answered(self, ledgers: Ledgers, index: int) -> list[Check]:
        door, responsible = _ROAD[index]
        case = self.filed[index] if index < len(self.filed) else ""
        asked, answer = ledgers[responsible].heard(case, door), ledgers[door].heard(case, responsible)
        about = ledgers[responsible].data(case, "complaint.filed").get("about_case")
        return [
            Check(
                zh=f"{'12345 工单' if door == HOTLINE else '投诉窗口的投诉'}未写去处，到了责任方账上，写明所涉办件",
                en=f"a complaint taken in by {door} without a destination reached {responsible}",
                holds=asked == ["complaint.filed"] and about == self.about[index],
                found=str(about or "-"),
            ),
            Check(
                zh="责任方已答复，答复回到受理投诉的一方账上",
                en="its answer is in the ledger of whoever took the complaint in",
                holds=answer == ["complaint.answered"],
                found=str(ledgers[door].data(case, "complaint.answered").get("answer", "-")),
            ),
            stands(ledgers, case, {door: "answered", responsible: "answered"}),
        ]

    def _told(self, ledgers: Ledgers) -> Check:
        """The hotline is no party to any such case: it hears nothing of it but the answer of people who looked."""
        message = ledgers[HOTLINE].message(self.nowhere, "complaint.filed")
        heard = [each.type for each in ledgers[HOTLINE].effects if each.case == self.nowhere]
        return Check(
            zh="所涉办件号总账上没有：不泄露有无，由号上所写的地方核实答复，不是石沉大海",
            en="a complaint about a number that nobody has is not told so by the exchange; the place it names answers",
            holds=message is not None and message.receipt is None and heard == ["complaint.answered"],
            found=names(heard),
        )
