"""What a message must also satisfy, beyond the table: what it says, in which mode, after which facts.

Each guard answers None, or why not: a code of the catalogue and a sentence. A fact that was not read (an
older schema, a message judged by its headers alone) is not held against anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from broker.core.bundle import bundles
from broker.core.case.case_state import CaseState, Fee
from broker.core.case.terms import Terms
from broker.core.ids import Party
from broker.core.message import Message, Mode

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


class Said(NamedTuple):
    """One message on one case: what guards and effects are given. ``now``: the ledger's time of its record."""

    state: CaseState
    message: Message
    facts: Facts
    terms: Terms
    now: datetime


Guard = Callable[[Said], Objection | None]


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
    return Objection("agent-unauthorised", detail, "民法典第一百六十五条")


def _in_time_to_accept(said: Said) -> Objection | None:
    if said.state.deemed:
        detail = (
            "nothing was said in time: the case counts as accepted since its receipt, and is to be decided"
        )
        return Objection("transition-illegal", detail)
    return None


def _extension_within_the_law(said: Said) -> Objection | None:
    extra = said.facts.get("extra_days")
    most = JOINT_EXTENSION_DAYS if said.state.mode == Mode.JOINT else EXTENSION_DAYS
    before = said.state.clock.extended if said.state.clock else 0
    if isinstance(extra, int) and not 0 < extra <= most - before:
        detail = f"{before} + {extra} working days of extension: expected 1 to {most} in all, with approval"
        return Objection("extension-too-long", detail)
    return None


def _parts_have_ended(said: Said) -> Objection | None:
    if said.state.bundle is None or said.state.bundle.answer != "lead":
        return None
    still = bundles.under_way(said.state.bundle)
    if still:
        return Objection("parts-open", f"parts of the case have not ended: {', '.join(still)}")
    if said.facts.get("outcome") == "granted" and not bundles.answer(said.state.bundle)[0]:
        return Objection("parts-open", "a part of the case was not granted: the whole cannot be")
    return None


def _broker_joins(said: Said) -> Objection | None:
    bundle, lead = said.state.bundle, said.state.responsible
    if bundle is not None and bundle.answer == "broker" and said.message.source == Party(lead):
        detail = f"the broker joins the answers of this bundle's parts; {lead} does not say it"
        return Objection("transition-illegal", detail)
    return None


def _fee_is_paid(said: Said) -> Objection | None:
    if said.state.fee is Fee.REQUESTED:
        return Objection(
            "fee-unpaid", f"the fee of notice {said.state.fee_notice or said.state.fee_request} is not paid"
        )
    return None


def _fee_as_requested(said: Said) -> Objection | None:
    channel = said.facts.get("channel")
    if isinstance(channel, str) and channel.strip().lower() in _CASH:
        return Objection(
            "cash-refused", "fees are paid into the treasury's account, never in cash at a window"
        )
    if said.state.fee_notice is None or "notice_number" not in said.facts:
        return None
    if (
        said.facts["notice_number"] != said.state.fee_notice
        or said.facts.get("amount_fen") != said.state.fee_fen
    ):
        detail = f"the payment is not that of notice {said.state.fee_notice} ({said.state.fee_fen} fen)"
        return Objection("fee-mismatch", detail)
    return None


def _courier_as_issued(said: Said) -> Objection | None:
    told = said.facts.get("courier_number")
    if told is not None and said.state.courier is not None and told != said.state.courier:
        return Objection(
            "courier-mismatch", "the courier number is not the one that the result was issued with"
        )
    return None


def _called_back(said: Said) -> Objection | None:
    if said.facts.get("called_back") is False:
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
