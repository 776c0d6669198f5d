"""The same message id twice, from both ends: an answer that got lost, and a sender that sends again."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.demo.checks import Check, Ledgers, flow_checks
from deploy.demo.hall import Wish
from deploy.demo.scenarios.base import FATHER, HENGSHAN, LAIBIN, supplemented
from deploy.demo.stage import Stage


class Repeated:
    """Repeats have no second effect, whoever repeats."""

    name = "repeated"
    zh = "重复报文号：应答丢失、原样重发，均只生效一次"
    en = "a repeated message id: one effect"
    place = "来宾 451300 → 衡山县 430423"
    happened = "网络中断，应答未到；发送方不知是否送达，原样重发。"
    shows = "同一报文号只生效一次：重发得到同样的收讫与回执，收件方账上无第二笔。"
    summary = "An answer gets lost and a sender repeats itself: one effect, the same receipt."
    disturbs = True
    cast = (LAIBIN, HENGSHAN)

    def __init__(self) -> None:
        self.case = ""

    @property
    def cases(self) -> Sequence[str]:
        return [self.case]

    async def act(self, stage: Stage) -> None:
        await stage.lose_answers(HENGSHAN, 1)
        wish = Wish(to=HENGSHAN, item="xinshenger-ruhu", mode="collected", applicant=FATHER)
        self.case = await stage.open_case(LAIBIN, wish)
        await stage.reach(lambda ledgers: bool(ledgers[HENGSHAN].heard(self.case, LAIBIN)))
        submitted = stage.ledgers()[LAIBIN].message(self.case, "case.submitted")
        if submitted is not None:
            await stage.repeat(LAIBIN, submitted.id)

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        submitted = ledgers[LAIBIN].message(self.case, "case.submitted")
        webhook_id = f"{LAIBIN}_{submitted.id}" if submitted else ""
        notes = [each.note for each in ledgers[HENGSHAN].attempts if each.webhook_id == webhook_id]
        effects = [each for each in ledgers[HENGSHAN].effects if each.webhook_id == webhook_id]
        return [
            Check(
                zh="来宾原样重发：仍是 202，标明 duplicate",
                en="来宾 sends it again unchanged: 202, duplicate",
                holds=submitted is not None and submitted.state == "accepted" and submitted.duplicate,
                found=str(submitted.duplicate).lower() if submitted else "-",
            ),
            Check(
                zh="衡山县应答丢失后再次收到同一报文号：只生效一次",
                en="衡山县's answer is lost and the id comes again: one effect",
                holds=len(effects) == 1 and notes[:1] == ["answer-lost"] and notes[1:2] == ["repeat"],
                found=", ".join(notes) or "-",
            ),
            *flow_checks(ledgers, supplemented(self.case)),
        ]
