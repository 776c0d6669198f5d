"""“办不成事”窗口: what could not be delivered becomes a dossier with owner, deadline, history and outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from deploy.demo.checks import Check, Flow, Ledgers, flow_checks, stands
from deploy.demo.clock import CHINA
from deploy.demo.hall import Wish
from deploy.demo.scenarios.base import ENDING, HOUSING_FUND, PATIENT, REVIEWED, WULING
from deploy.demo.stage import Stage, Told

OWNER: Final = "龚主任"
_BY: Final = "王建华"
_NOT_ASKED: Final = Told(exit=-1)


class StuckDesk:
    """One file for each matter (一事一档), a deadline (限时督办), a joint meeting (联席会商), an answer to every one."""

    name = "stuck-desk"
    zh = "办不成事：送不到的立档、限时、会商，修复后由具名人员重投，件件有回音"
    en = "the stuck desk: an undeliverable message becomes a dossier, retried by a named person after repair"
    place = "武陵 430702 → 衡阳公积金 430400-gongjijin"
    happened = "衡阳、武陵设“办不成事”窗口：一事一档、限时督办、联席会商、件件有答复。"
    shows = (
        "送不到的报文立为档案：原因、每次尝试、责任人、期限、经过；指派、会商记录、修复后重投，都由具名人员操作并留痕；"
        "对方明确拒收的，退回发送方并说明理由。"
    )
    summary = (
        "A message that cannot be delivered becomes a dossier with cause, attempts, owner, deadline and history. It "
        "is assigned, discussed, and after repair retried by a named person; a message that the recipient rejects is "
        "returned to its sender with the reason."
    )
    disturbs = False
    cast = (WULING, HOUSING_FUND)

    def __init__(self, *, operators: bool = True) -> None:
        self._operators = operators
        self.stuck = ""
        self.rejected = ""
        self._dossier = _NOT_ASKED
        self._after = _NOT_ASKED
        self._retry = _NOT_ASKED
        self._returned = _NOT_ASKED

    @property
    def cases(self) -> Sequence[str]:
        return [case for case in (self.stuck, self.rejected) if case]

    async def act(self, stage: Stage) -> None:
        await stage.outage(HOUSING_FUND, 3600)
        wish = Wish(to=HOUSING_FUND, item="gongjijin-goufang", mode="online", applicant=PATIENT)
        self.stuck = await stage.open_case(WULING, wish)
        await stage.reach(lambda ledgers: _outcome(ledgers, self.stuck) == "undeliverable")
        message = _name(stage.ledgers(), self.stuck)
        if self._operators:
            await self._see_to_it(stage, message)
        await stage.outage(HOUSING_FUND, 0)  # repaired
        if self._operators:
            self._retry = await stage.tongban(
                "desk", "retry", message, "--lane", "--by", _BY, "--reason", "对方系统已修复", "--wait", "20"
            )
            self._after = await stage.tongban("desk", "show", message)
        await stage.reach(lambda ledgers: ledgers[WULING].stage(self.stuck) == "closed")
        await self._be_rejected(stage)

    async def _see_to_it(self, stage: Stage, message: str) -> None:
        day = (datetime.now(CHINA) + timedelta(days=1)).date().isoformat()
        act = ("--by", _BY, "--reason", "办不成事窗口")
        await stage.tongban("desk", "assign", message, "--owner", OWNER, "--due-on", day, *act)
        await stage.tongban("desk", "note", message, "--note", "联席会商：对方今日修复接口", *act)
        self._dossier = await stage.tongban("desk", "show", message)

    async def _be_rejected(self, stage: Stage) -> None:
        """The recipient rejects what it does not handle; the desk closes the dossier, the sender has the reason."""
        wish = Wish(to=HOUSING_FUND, item="gongjijin-tuixiu", mode="online", applicant=PATIENT)
        self.rejected = await stage.open_case(WULING, wish)
        await stage.reach(lambda ledgers: _outcome(ledgers, self.rejected) == "rejected")
        if self._operators:
            message = _name(stage.ledgers(), self.rejected)
            act = ("--by", _BY, "--reason", "对方不办理此项，请改投当地公积金中心")
            self._returned = await stage.tongban("desk", "return", message, *act)

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        flow = Flow(
            case=self.stuck,
            opening=WULING,
            responsible=HOUSING_FUND,
            opening_says=("case.submitted", *ENDING),
            responsible_says=REVIEWED,
        )
        return [
            *flow_checks(ledgers, flow)[:2],
            stands(ledgers, self.stuck, {WULING: "closed", HOUSING_FUND: "closed"}),
            self._told_why(ledgers),
            *self._desk(),
        ]

    def _told_why(self, ledgers: Ledgers) -> Check:
        message = ledgers[WULING].message(self.rejected, "case.submitted")
        reason = (message.receipt_detail if message else None) or "-"
        return Check(
            zh="对方拒收的：退回发送方，理由在其账上，对方未立案",
            en="what the recipient rejects goes back to its sender with the reason",
            holds=message is not None
            and message.receipt in {"rejected", "undeliverable", "returned"}
            and reason != "-"
            and ledgers[HOUSING_FUND].stage(self.rejected) == "-",
            found=reason,
        )

    def _desk(self) -> list[Check]:
        if not self._operators:
            return []
        before, after = str(self._dossier.rows), str(self._after.rows)
        return [
            Check(
                zh="一事一档：原因、责任人、期限、经过俱全",
                en="the dossier has cause, owner, deadline and history",
                holds="schedule-used-up" in before and OWNER in before and "联席会商" in before,
                found=OWNER if OWNER in before else before[:120],
            ),
            Check(
                zh="修复后由具名人员重投，已送达，档案有结果",
                en="retried by a named person after repair, delivered, and the dossier says so",
                holds=self._retry.exit == 0 and _BY in after and "delivered" in after,
                found=f"exit {self._retry.exit}",
            ),
            Check(
                zh="拒收的档案由具名人员退回结案",
                en="the rejected one's dossier is closed by a named person",
                holds=self._returned.exit == 0,
                found=f"exit {self._returned.exit}",
            ),
        ]


def _name(ledgers: Ledgers, case: str) -> str:
    message = ledgers[WULING].message(case, "case.submitted")
    return f"{WULING}/{message.id}" if message else ""


def _outcome(ledgers: Ledgers, case: str) -> str:
    message = ledgers[WULING].message(case, "case.submitted")
    return (message.receipt if message else None) or "-"
