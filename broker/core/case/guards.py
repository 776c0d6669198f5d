"""What a message must also satisfy, beyond the table: what it says, in which mode, after which facts.

Each guard answers None, or why not: a code of the catalogue and a sentence. A fact that was not read (an
older schema, a message judged by its headers alone) is not held against anybody; so what a guard says without any
facts, it says of the state alone, whatever the message (:func:`bars`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from broker.core.bundle import bundles
from broker.core.case.case_state import CaseState, Fee
from broker.core.message import Mode

Facts = Mapping[str, object]
"""The clear fields of a message's value, as Avro's types: never what is sealed."""
NO_FACTS: Final[Facts] = {}

EXTENSION_DAYS: Final = 10
"""Working days by which a limit may be extended with approval, in all (行政许可法 42)."""
JOINT_EXTENSION_DAYS: Final = 15
"""The same where several authorities handle a case together (行政许可法 42)."""
_CASH: Final = ("cash", "现金")


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a message does not stand: the problem's code, and a sentence without personal data."""

    code: str
    detail: str
    law: str | None = None


Guard = Callable[[CaseState, Facts], Objection | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRule:
    """One guard: the message types that it watches, what it demands (for the docs, in both languages), its test."""

    types: tuple[str, ...]
    demands: str
    demands_zh: str
    test: Guard


def agent_unauthorised(facts: Facts) -> Objection | None:
    """Who acts for another says on what authority; asked of ``case.submitted``, before there is a state.

    In ``acting``, or in the papers' ``agent``: intake sees them still open, and on the ledger, where they are
    sealed, nobody is held to what cannot be read.
    """
    if not facts.get("agent") or "acting" not in facts or facts["acting"] is not None:
        return None
    if "sealed" not in facts:
        return None
    papers = facts["sealed"]
    if isinstance(papers, Mapping) and papers.get("agent", papers.get("ciphertext")) is not None:
        return None
    detail = "somebody acts for the applicant (agent); neither acting nor the papers say on what authority"
    return Objection("agent-unauthorised", detail, "行政许可法第二十九条、民法典第一百六十五条")


def _in_time_to_accept(state: CaseState, _: Facts) -> Objection | None:
    if state.deemed:
        detail = (
            "nothing was said in time: the case counts as accepted since its receipt, and is to be decided"
        )
        return Objection("transition-illegal", detail)
    return None


def _extension_within_the_law(state: CaseState, facts: Facts) -> Objection | None:
    extra = facts.get("extra_days", 1)
    most = JOINT_EXTENSION_DAYS if state.mode == Mode.JOINT else EXTENSION_DAYS
    before = state.clock.extended if state.clock else 0
    if isinstance(extra, int) and not 0 < extra <= most - before:
        detail = f"{before} + {extra} working days of extension: expected 1 to {most} in all, with approval"
        return Objection("extension-too-long", detail)
    return None


def _parts_have_ended(state: CaseState, facts: Facts) -> Objection | None:
    if state.bundle is None or state.bundle.answer != "lead":
        return None
    still = bundles.under_way(state.bundle)
    if still:
        return Objection("parts-open", f"parts of the case have not ended: {', '.join(still)}")
    if facts.get("outcome") == "granted" and not bundles.answer(state.bundle)[0]:
        return Objection("parts-open", "a part of the case was not granted: the whole cannot be")
    return None


def _broker_joins(state: CaseState, _: Facts) -> Objection | None:
    if state.bundle is not None and state.bundle.answer == "broker":
        detail = f"the broker joins the answers of this bundle's parts; {state.responsible} does not say it"
        return Objection("transition-illegal", detail)
    return None


def _fee_is_paid(state: CaseState, _: Facts) -> Objection | None:
    if state.fee is Fee.REQUESTED:
        return Objection(
            "fee-unpaid", f"the fee of notice {state.fee_notice or state.fee_request} is not paid"
        )
    return None


def _fee_as_requested(state: CaseState, facts: Facts) -> Objection | None:
    channel = facts.get("channel")
    if isinstance(channel, str) and channel.strip().lower() in _CASH:
        return Objection(
            "cash-refused", "fees are paid into the treasury's account, never in cash at a window"
        )
    if state.fee_notice is None or "notice_number" not in facts:
        return None
    if facts["notice_number"] != state.fee_notice or facts.get("amount_fen") != state.fee_fen:
        detail = f"the payment is not that of notice {state.fee_notice} ({state.fee_fen} fen)"
        return Objection("fee-mismatch", detail)
    return None


def _courier_as_issued(state: CaseState, facts: Facts) -> Objection | None:
    told = facts.get("courier_number")
    if told is not None and state.courier is not None and told != state.courier:
        return Objection(
            "courier-mismatch", "the courier number is not the one that the result was issued with"
        )
    return None


def _called_back(_: CaseState, facts: Facts) -> Objection | None:
    if facts.get("called_back") is False:
        return Objection("callback-missing", "a correction is told to the rater: all are called back (回访)")
    return None


GUARDS: Final[tuple[GuardRule, ...]] = (
    GuardRule(
        types=("case.supplement-requested", "case.refused"),
        demands="within the time to accept: later the case counts as accepted since its receipt",
        demands_zh="须在受理期限内作出：逾期不告知的，自收到申请材料之日起即为受理",
        test=_in_time_to_accept,
    ),
    GuardRule(
        types=(
            *("case.accepted", "case.refused", "case.step-completed", "case.decided", "case.result-issued"),
            # Its authorities do, each on its own part; what is paid is paid to them.
            *("case.supplement-requested", "case.paused", "fee.requested"),
        ),
        demands="of a bundle whose answers the broker joins: not by the lead",
        demands_zh="由通办合并答复的一件事，牵头单位不自行作出",
        test=_broker_joins,
    ),
    GuardRule(
        types=("case.extended",),
        demands=f"at most {EXTENSION_DAYS} working days in all, {JOINT_EXTENSION_DAYS} for a joint case",
        demands_zh=f"累计不超过 {EXTENSION_DAYS} 个工作日，多地联办不超过 {JOINT_EXTENSION_DAYS} 个工作日",
        test=_extension_within_the_law,
    ),
    GuardRule(
        types=("case.decided",),
        demands="of a joint case: after all its parts have ended, granted only if all were",
        demands_zh="多地联办须各部分均已办结；有一部分不予的，不得整体准予",
        test=_parts_have_ended,
    ),
    GuardRule(
        types=("case.result-issued",),
        demands="after a fee that was requested has been paid",
        demands_zh="已通知缴费的，缴费后出件",
        test=_fee_is_paid,
    ),
    GuardRule(
        types=("fee.paid",),
        demands="number and amount of the notice; never cash",
        demands_zh="与缴费通知的单号、金额一致；窗口不收现金",
        test=_fee_as_requested,
    ),
    GuardRule(
        types=("case.delivered",),
        demands="the courier number of the result, where one is told",
        demands_zh="所报快递单号与出件一致",
        test=_courier_as_issued,
    ),
    GuardRule(
        types=("case.rectified",),
        demands="the rater was called back",
        demands_zh="须已回访评价人（回访率 100%）",
        test=_called_back,
    ),
)

BY_TYPE: Final[Mapping[str, tuple[Guard, ...]]] = {
    name: tuple(rule.test for rule in GUARDS if name in rule.types)
    for name in sorted({name for rule in GUARDS for name in rule.types})
}
"""The guards of each message type, in the table's order: the first that objects is heard."""


def bars(type_: str, state: CaseState) -> bool:
    """Whether a message of this type would be refused in this state whatever it said."""
    return any(guard(state, NO_FACTS) is not None for guard in BY_TYPE.get(type_, ()))
