"""A county hall: 收支两条线, and the forbidden, which the ledger finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from deploy.demo.checks import Check, Ledgers, names, refused, stands
from deploy.demo.clock import CHINA
from deploy.demo.forms import notice_number
from deploy.demo.hall import Wish, Word
from deploy.demo.leaflets import sheet
from deploy.demo.scenarios.base import FATHER, HENGSHAN, LAIBIN, TREASURY
from deploy.demo.stage import Stage

_ITEM: Final = "budongchan-diya"
_BY_HAND: Final = "gongchang-xuke"
_UNKNOWN: Final = "HS-体外-0001"
_FINDINGS: Final = {
    "decided-before-accepted": ("未受理先办结", "decided before it was accepted"),
    "collected-and-decided": ("收受不分：收件方作决定", "collected and decided by the same hand"),
    "charged-twice": ("两头收费：同一办件第二次收费", "a second charge for the same case"),
    "paid-outside-the-exchange": ("窗口收现金", "a fee taken in cash"),
    "outside-the-exchange": (
        "体外循环：清单上有总账不知道的办件",
        "a case on a hall's list that the ledger does not know",
    ),
}
"""What `tongban audit findings` must list, by kind."""


class FeesAndFindings:
    """Notice, payment into the treasury, result after payment; what is forbidden is refused and found."""

    name = "fees-and-findings"
    zh = "收支两条线：缴费通知、国库到账、缴费后出件，窗口不收现金；禁止之事当场拒绝，审计逐条列出"
    en = "a fee by notice and treasury, never cash; forbidden things are refused and found by the audit"
    place = "来宾 451300 → 衡山县 430423（县财政 430423-caizheng）"
    happened = "某县政务大厅（43 个单位、399 个事项）：缴费凭通知单到银行，直入国库，窗口不收现金；严禁明进暗不进、双轨运行、体外循环、两头办理两头收费。"
    shows = (
        "缴费通知由责任方开具，到账由国库一方确认；现金、重复收费、未缴费出件当场拒绝；未受理先办结、收件方作决定、"
        "第二次收费、窗口收现金、清单中总账不知道的办件，均由 tongban audit findings 逐条列出并附记录。"
    )
    summary = (
        "A fee is asked for by notice and confirmed by the treasury; cash, a second charge and a result before payment "
        "are refused. What is forbidden (decided before accepted, decided by the collector, charged twice, paid in cash, "
        "decided outside the exchange) is listed by the audit with the records that prove it."
    )
    disturbs = False
    cast = (LAIBIN, HENGSHAN, TREASURY)

    def __init__(self, *, operators: bool = True) -> None:
        self._operators = operators
        self.paid = ""
        self.forbidden = ""
        self._findings: Sequence[Mapping[str, object]] = ()

    @property
    def cases(self) -> Sequence[str]:
        return [case for case in (self.paid, self.forbidden) if case]

    async def act(self, stage: Stage) -> None:
        wish = Wish(to=HENGSHAN, item=_ITEM, mode="collected", applicant=FATHER)
        self.paid = await stage.open_case(LAIBIN, wish)
        await stage.reach(lambda ledgers: "case.decided" in ledgers[LAIBIN].heard(self.paid, HENGSHAN))
        await self._try(stage, LAIBIN, "fee.paid", self.paid, self._payment("现金"))
        await self._try(stage, HENGSHAN, "fee.requested", self.paid, {"notice_number": "JF-2"})
        await stage.until_answered(HENGSHAN, await stage.say(HENGSHAN, "case.result-issued", self.paid))
        payment = Word(
            type="fee.paid", case=self.paid, fields=self._payment("银行转账"), to=HENGSHAN, item=_ITEM
        )
        await stage.say_together(TREASURY, payment)

        by_hand = Wish(to=HENGSHAN, item=_BY_HAND, mode="collected", applicant=FATHER, manner="by-hand")
        self.forbidden = await stage.open_case(LAIBIN, by_hand)
        await stage.reach(lambda ledgers: bool(ledgers[HENGSHAN].heard(self.forbidden, LAIBIN)))
        await self._try(stage, HENGSHAN, "case.decided", self.forbidden)
        await self._try(stage, LAIBIN, "case.decided", self.forbidden)
        for type_ in ("case.accepted", "case.decided", "case.result-issued"):
            await stage.say(HENGSHAN, type_, self.forbidden)
        if self._operators:
            await self._audit(stage)

    async def _try(
        self, stage: Stage, hall: str, type_: str, case: str, fields: Mapping[str, object] | None = None
    ) -> None:
        """Say what is forbidden, in one batch behind an urge: so it is the ledger that judges it, and keeps it."""
        urge, forbidden = Word(type="case.urged", case=case), Word(type=type_, case=case, fields=fields or {})
        said = await stage.say_together(hall, urge, forbidden)
        await stage.until_answered(hall, said[-1])

    def _payment(self, channel: str) -> dict[str, object]:
        return {
            "notice_number": notice_number(self.paid),
            "amount_fen": sheet(_ITEM).fee_fen,
            "channel": channel,
            "treasury_reference": "GK1900010100130",
        }

    async def _audit(self, stage: Stage) -> None:
        listed = stage.prepared.folder / "reconciliation.csv"
        today = datetime.now(CHINA).date().isoformat()
        listed.write_text(
            f"number,item,decided_on,fee_fen\n{_UNKNOWN},{_BY_HAND},{today},\n", encoding="utf-8"
        )
        await stage.tongban(
            "audit", "reconcile", str(listed), "--partner", HENGSHAN, "--by", "王建华", "--reason", "月度对账"
        )
        self._findings = (await stage.tongban("audit", "findings")).rows

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        return [
            *self._fee(ledgers),
            refused(
                ledgers, LAIBIN, self.paid, "fee.paid", "cash-refused",
                what=("窗口收现金", "cash at the window"),
            ),
            refused(
                ledgers, HENGSHAN, self.paid, "fee.requested", "charged-twice",
                what=("同一办件第二次收费", "a second charge for the same case"),
            ),
            refused(
                ledgers, HENGSHAN, self.paid, "case.result-issued", "fee-unpaid",
                what=("未缴费先出件", "a result before the payment"),
            ),
            refused(
                ledgers, HENGSHAN, self.forbidden, "case.decided", "transition-illegal",
                what=("未受理先办结", "decided before accepted"),
            ),
            refused(
                ledgers, LAIBIN, self.forbidden, "case.decided", "collector-decides",
                what=("收件方作决定", "the collecting side decides"),
            ),
            stands(ledgers, self.paid, {LAIBIN: "closed", HENGSHAN: "closed"}),
            stands(ledgers, self.forbidden, {LAIBIN: "result-issued", HENGSHAN: "result-issued"}),
            *self._found(),
        ]  # fmt: skip

    def _fee(self, ledgers: Ledgers) -> Iterator[Check]:
        notice = ledgers[LAIBIN].data(self.paid, "fee.requested")
        yield Check(
            zh="缴费通知单在来宾账上：单号、金额、依据、收款人",
            en="the fee notice is in 来宾's ledger: number, amount, basis, payee",
            holds=notice.get("amount_fen") == sheet(_ITEM).fee_fen and bool(notice.get("payee")),
            found=f"{notice.get('notice_number', '-')} {notice.get('amount_fen', '-')} 分",
        )
        heard = ledgers[HENGSHAN].heard(self.paid, TREASURY)
        yield Check(
            zh="到账由国库一方确认，衡山县账上有据",
            en="the treasury's confirmation is in 衡山县's ledger",
            holds=heard == ["fee.paid"],
            found=names(heard),
        )
        said = [each.type for each in ledgers[HENGSHAN].said(self.paid) if each.state == "accepted"]
        paid_at = next(
            (e.at for e in ledgers[HENGSHAN].effects if (e.case, e.type) == (self.paid, "fee.paid")), ""
        )
        issued = [
            e
            for e in ledgers[HENGSHAN].said(self.paid)
            if e.type == "case.result-issued" and e.state == "accepted"
        ]
        yield Check(
            zh="到账之后才出件",
            en="the result went out only after the payment",
            holds=bool(paid_at) and len(issued) == 1 and paid_at <= issued[0].queued_at,
            found=names(said),
        )

    def _found(self) -> Iterator[Check]:
        if not self._operators:
            return
        for kind, (zh, en) in _FINDINGS.items():
            rows = [row for row in self._findings if row.get("kind") == kind]
            yield Check(
                zh=f"审计列出：{zh}，并附总账记录",
                en=f"the audit lists with its records: {en}",
                holds=bool(rows) and all(row.get("records") for row in rows),
                found=str(rows[0].get("detail")) if rows else "-",
            )
