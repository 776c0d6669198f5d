"""The scenarios of the play. Each acts at the windows and then says what the ledgers must hold.

To add one: a class with a title, ``act`` and ``checks``, and a place in :func:`all_scenarios`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from deploy.demo.checks import Check, Flow, Ledgers, flow_checks
from deploy.demo.forms import Applicant, courier_number
from deploy.demo.stage import Stage

LAIBIN: Final = "451300"
HENGYANG: Final = "430400"
HENGSHAN: Final = "430423"
XIAMEN: Final = "350200"

# Nobody's: born on 1 January 1900, with correct check digits; the telephone number is not in use.
FATHER: Final = Applicant(name="李建国", id_number="430423190001010013", phone="13000000000")
PATIENT: Final = Applicant(name="周秀英", id_number="430400190001010027", phone="13000000000")
RESIDENT: Final = Applicant(name="韦志强", id_number="451300190001010034", phone="13000000000")

_REVIEWED: Final = ("case.accepted", "case.step-completed", "case.decided", "case.result-issued")
_ENDING: Final = ("case.delivered", "case.rated")
_INSTANT_S: Final = 20.0
"""秒批: from the window to the result, in seconds; alone on a machine it takes one or two."""
_STEP_PATIENCE_S: Final = 60.0


class Scenario(Protocol):
    """One scenario: ``act`` does it once; ``checks`` asks the ledgers, any number of times, also before ``act``."""

    zh: str
    en: str

    async def act(self, stage: Stage) -> None: ...

    def checks(self, ledgers: Ledgers) -> Sequence[Check]: ...


def all_scenarios() -> list[Scenario]:
    """The play, in its order."""
    return [Newborn(), Instant(), OutsideAgreement(), Outage(), Repeated()]


class Newborn:
    """来宾 → 衡山县: a father working in Guangxi registers his newborn in Hunan; the page comes by courier."""

    zh = "新生儿入户：来宾代收，衡山县补正一次后办结，快递寄达"
    en = "newborn's hukou, collected, one supplement, by courier"

    def __init__(self) -> None:
        self.case = ""

    async def act(self, stage: Stage) -> None:
        self.case = await stage.open_case(
            LAIBIN, to=HENGSHAN, item="xinshenger-ruhu", mode="collected", applicant=FATHER
        )

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        courier = courier_number_in(ledgers, LAIBIN, self.case)
        sent_by_courier = Check(
            zh="来宾账上有户口页的快递单号",
            en="the courier number is in 来宾's ledger",
            holds=bool(courier),
            found=courier,
        )
        return [*flow_checks(ledgers, _supplemented(self.case)), sent_by_courier]


class Instant:
    """衡阳 → 厦门: an online case that rules decide within seconds (秒批), by way of 厦门's mailbox."""

    zh = "秒批：衡阳线上申办，厦门拉取信箱，数秒办结"
    en = "an online case answered in seconds, pulled from a mailbox"

    def __init__(self) -> None:
        self.case = ""

    async def act(self, stage: Stage) -> None:
        self.case = await stage.open_case(
            HENGYANG, to=XIAMEN, item="yidi-jiuyi-beian", mode="online", applicant=PATIENT
        )

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        flow = Flow(
            case=self.case,
            opening=HENGYANG,
            responsible=XIAMEN,
            opening_says=("case.submitted", *_ENDING),
            responsible_says=("case.accepted", "case.decided", "case.result-issued"),
        )
        took_s = _seconds_to_result(ledgers, HENGYANG, self.case)
        return [
            *flow_checks(ledgers, flow),
            Check(
                zh=f"从申办到出件不超过 {_INSTANT_S:.0f} 秒",
                en=f"at most {_INSTANT_S:.0f} s from application to result",
                holds=took_s is not None and took_s <= _INSTANT_S,
                found="-" if took_s is None else f"{took_s:.1f} s",
            ),
        ]


class OutsideAgreement:
    """A pair of cities without an agreement, and an item that an agreement does not list: both refused at the door."""

    zh = "协议之外：受理前即被拒绝，理由明确"
    en = "cases outside any agreement, refused at intake with the reason"

    def __init__(self) -> None:
        self.strangers = ""
        self.unlisted = ""

    async def act(self, stage: Stage) -> None:
        self.strangers = await stage.open_case(
            LAIBIN, to=XIAMEN, item="huji-zhengming", mode="online", applicant=RESIDENT
        )
        self.unlisted = await stage.open_case(
            LAIBIN, to=HENGSHAN, item="wufanzui-zhengming", mode="online", applicant=FATHER
        )

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        return [
            self._refused(ledgers, self.strangers, XIAMEN, "来宾与厦门之间没有协议", "no agreement"),
            self._refused(
                ledgers, self.unlisted, HENGSHAN, "来宾与衡山县的协议不含此事项", "an item not agreed on"
            ),
        ]

    @staticmethod
    def _refused(ledgers: Ledgers, case: str, destination: str, zh: str, en: str) -> Check:
        message = ledgers[LAIBIN].message(case, "case.submitted")
        refused = message is not None and (message.state, message.code) == ("refused", "agreement-missing")
        reached = ledgers[destination].heard(case, LAIBIN)
        found = f"{message.status} {message.code}: {message.detail}" if message and message.status else "-"
        return Check(
            zh=f"{zh}：拒绝，且 {destination} 一无所知",
            en=f"{en}: refused, and nothing of it at {destination}",
            holds=refused and bool(message and message.detail) and not reached,
            found=found,
        )


class Outage:
    """衡阳 answers 503 for a while; meanwhile 来宾 submits and urges. Then 衡阳 gets everything, in order per case."""

    zh = "停机：衡阳 503 一段时间，恢复后全部依序收到"
    en = "a city answers 503 for a while, then gets everything in order"
    outage_s = 4.0
    urges = 2

    def __init__(self) -> None:
        self.cases: list[str] = []

    async def act(self, stage: Stage) -> None:
        await stage.outage(HENGYANG, 3600)
        for _ in range(3):
            self.cases.append(
                await stage.open_case(
                    LAIBIN, to=HENGYANG, item="huji-zhengming", mode="online", applicant=RESIDENT
                )
            )
        for case in self.cases * self.urges:
            await stage.urge(case)
        await stage.until(self._all_on_the_road, _STEP_PATIENCE_S)
        await stage.outage(HENGYANG, self.outage_s)

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        away = [attempt for attempt in ledgers[HENGYANG].attempts if attempt.note == "away"]
        met = Check(
            zh="停机期间确有投递被答以 503",
            en="deliveries did meet the outage",
            holds=bool(away),
            found=f"{len(away)} × 503",
        )
        flows = [check for case in self.cases for check in flow_checks(ledgers, self._flow(case))]
        return [met, *flows] if len(self.cases) == 3 else [met]

    def _flow(self, case: str) -> Flow:
        return Flow(
            case=case,
            opening=LAIBIN,
            responsible=HENGYANG,
            opening_says=("case.submitted", *["case.urged"] * self.urges, *_ENDING),
            responsible_says=_REVIEWED,
        )

    def _all_on_the_road(self, ledgers: Ledgers) -> bool:
        """Everything is accepted, and the city was tried in vain: only then may it come back."""
        said = [message for case in self.cases for message in ledgers[LAIBIN].said(case)]
        met = {attempt.webhook_id for attempt in ledgers[HENGYANG].attempts if attempt.note == "away"}
        return all(message.state == "accepted" for message in said) and bool(met)


class Repeated:
    """The same message id twice, from both ends: an answer that got lost, and a sender that sends again."""

    zh = "重复报文号：应答丢失、原样重发，均只生效一次"
    en = "a repeated message id: one effect"

    def __init__(self) -> None:
        self.case = ""

    async def act(self, stage: Stage) -> None:
        await stage.lose_answers(HENGSHAN, 1)
        self.case = await stage.open_case(
            LAIBIN, to=HENGSHAN, item="xinshenger-ruhu", mode="collected", applicant=FATHER
        )
        await stage.until(lambda ledgers: bool(ledgers[HENGSHAN].heard(self.case, LAIBIN)), _STEP_PATIENCE_S)
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
            *flow_checks(ledgers, _supplemented(self.case)),
        ]


def courier_number_in(ledgers: Ledgers, city: str, case: str) -> str:
    """The courier number of a result that reached a city, or nothing."""
    issued = (e for e in ledgers[city].effects if e.case == case and e.type == "case.result-issued")
    return next((number for effect in issued if (number := courier_number(effect.event))), "")


def _supplemented(case: str) -> Flow:
    return Flow(
        case=case,
        opening=LAIBIN,
        responsible=HENGSHAN,
        opening_says=("case.submitted", "case.supplemented", *_ENDING),
        responsible_says=("case.supplement-requested", *_REVIEWED),
    )


def _seconds_to_result(ledgers: Ledgers, city: str, case: str) -> float | None:
    submitted = ledgers[city].message(case, "case.submitted")
    issued = [e for e in ledgers[city].effects if e.case == case and e.type == "case.result-issued"]
    if submitted is None or not issued:
        return None
    return (
        datetime.fromisoformat(issued[0].at) - datetime.fromisoformat(submitted.queued_at)
    ).total_seconds()
