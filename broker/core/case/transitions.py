"""The ONE table of the life cycle: every message type, who may say it, from which states, and to which.

Everything that knows a message type reads it here: :func:`broker.core.case.lifecycle.advance`, the docs' diagram
and table, the schemas' tests. Source: contract, "Message types"; 行政许可法 (2019) where a row names an article.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from broker.core.case.case_state import ENDS, Fee, Rating, Status
from broker.core.message import MessageClass


class Role(StrEnum):
    """Who speaks on a case. A treasury speaks for itself where the directory names it, else through the opening partner."""

    OPENING = "opening"
    RESPONSIBLE = "responsible"
    TREASURY = "treasury"
    BROKER = "broker"
    OPERATOR = "operator"


Statuses = frozenset[Status]

OPENING: Final = frozenset({Role.OPENING})
RESPONSIBLE: Final = frozenset({Role.RESPONSIBLE})
EITHER: Final = OPENING | RESPONSIBLE
OPENING_OR_TREASURY: Final = frozenset({Role.OPENING, Role.TREASURY})
BROKER_ALONE: Final = frozenset({Role.BROKER})
OPERATOR: Final = frozenset({Role.OPERATOR})

COMPLAINT: Final[Statuses] = frozenset({Status.FILED, Status.ANSWERED})
ANY: Final[Statuses] = frozenset(Status)
ANY_OF_A_CASE: Final[Statuses] = ANY - COMPLAINT
AFTER_DECISION: Final[Statuses] = frozenset({Status.DECIDED, Status.ISSUED, Status.DELIVERED})
BEFORE_DECISION: Final[Statuses] = ANY_OF_A_CASE - AFTER_DECISION - ENDS
UNDER_WAY: Final[Statuses] = ANY_OF_A_CASE - ENDS
OPEN_TO_CORRECTION: Final = frozenset({Rating.POOR, Rating.APPEALED})
JOINED: Final = frozenset(
    {
        *("case.accepted", "case.step-completed", "case.decided", "case.result-issued", "case.refused"),
        "case.withdrawn",  # when each part was withdrawn by itself
    }
)
"""What the broker says on the parent of a bundle, for all its parts together."""
TOLD_BY_STEPS: Final = frozenset({"case.accepted", "case.step-completed"})
"""What an authority says on its part and the opening side is not brought: the parent's own words tell how far it is.
Decisions and results are brought, for what their authority has sealed in them, only their recipient can read.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRule:
    """One row: ``says`` may say ``name`` in the statuses ``since`` (and fee and rating states); then ``to``.

    ``opens``: the first message of a case, and of no other. ``to`` None: the status stays the same.
    ``fee_since``, ``rating_since``: the fee or rating states that allow it, ``fee_to``, ``rating_to`` what
    they become; None: not concerned. ``classes``: the values of ``ce_class`` it may carry. ``law``: the
    article that the row follows; it is named in refusals.
    """

    name: str
    zh: str
    says: frozenset[Role]
    since: Statuses = frozenset()
    to: Status | None = None
    opens: bool = False
    fee_since: frozenset[Fee] | None = None
    fee_to: Fee | None = None
    rating_since: frozenset[Rating] | None = None
    rating_to: Rating | None = None
    classes: frozenset[MessageClass] = frozenset({MessageClass.INITIAL, MessageClass.RESPONSE})
    law: str | None = None

    @property
    def of_the_road(self) -> bool:
        """Said by the broker or an operator: it touches no case's status and needs no case to exist."""
        return not self.says & EITHER

    def fits(self, status: Status, fee: Fee, rating: Rating) -> bool:
        """Whether a case in this status, with this fee and rating, takes this message."""
        return (
            status in self.since
            and (self.fee_since is None or fee in self.fee_since)
            and (self.rating_since is None or rating in self.rating_since)
        )


def _of_broker(name: str, zh: str, message_class: MessageClass) -> TypeRule:
    return TypeRule(name=name, zh=zh, says=BROKER_ALONE, since=ANY, classes=frozenset({message_class}))


def _of_operator(name: str, zh: str) -> TypeRule:
    return TypeRule(name=name, zh=zh, says=OPERATOR, since=ANY)


TRANSITIONS: Final[tuple[TypeRule, ...]] = (
    TypeRule(
        name="case.submitted",
        zh="申办",
        says=OPENING,
        opens=True,
        to=Status.SUBMITTED,
        law="国办发〔2020〕35号",
    ),
    TypeRule(
        name="case.supplement-requested",
        zh="补正告知",
        says=RESPONSIBLE,
        since=frozenset({Status.SUBMITTED}),  # not from supplemented: everything is asked once
        to=Status.SUPPLEMENT_REQUESTED,
        law="行政许可法第三十二条",
    ),
    TypeRule(
        name="case.supplemented",
        zh="补正",
        says=OPENING,
        since=frozenset({Status.SUPPLEMENT_REQUESTED}),
        to=Status.SUPPLEMENTED,
        law="行政许可法第三十二条",
    ),
    TypeRule(
        name="case.accepted",
        zh="受理",
        says=RESPONSIBLE,
        since=frozenset({Status.SUBMITTED, Status.SUPPLEMENTED}),
        to=Status.ACCEPTED,
        law="行政许可法第三十二条",
    ),
    TypeRule(
        name="case.refused",
        zh="不予受理",
        says=RESPONSIBLE,
        since=frozenset({Status.SUBMITTED, Status.SUPPLEMENTED}),
        to=Status.REFUSED,
        law="行政许可法第三十二条",
    ),
    TypeRule(
        name="case.step-completed",
        zh="审批环节",
        says=RESPONSIBLE,
        since=frozenset({Status.ACCEPTED, Status.IN_REVIEW}),
        to=Status.IN_REVIEW,
        law="行政许可法第四十二条",
    ),
    TypeRule(
        name="case.paused",
        zh="特别程序",
        says=RESPONSIBLE,
        since=frozenset({Status.ACCEPTED, Status.IN_REVIEW}),
        to=Status.PAUSED,
        law="行政许可法第四十五条",
    ),
    TypeRule(
        name="case.resumed",
        zh="特别程序结束",
        says=RESPONSIBLE,
        since=frozenset({Status.PAUSED}),
        to=Status.IN_REVIEW,
        law="行政许可法第四十五条",
    ),
    TypeRule(
        name="case.extended",
        zh="延期",
        says=RESPONSIBLE,
        since=frozenset({Status.ACCEPTED, Status.IN_REVIEW, Status.PAUSED}),
        law="行政许可法第四十二条",
    ),
    TypeRule(
        name="case.decided",
        zh="办结",
        says=RESPONSIBLE,
        since=frozenset({Status.ACCEPTED, Status.IN_REVIEW}),
        to=Status.DECIDED,
        law="行政许可法第四十二条",
    ),
    TypeRule(
        name="case.result-issued",
        zh="出件",
        says=RESPONSIBLE,
        since=frozenset({Status.DECIDED}),
        to=Status.ISSUED,
        law="行政许可法第四十四条",
    ),
    TypeRule(
        name="case.delivered",
        zh="送达",
        says=EITHER,
        since=frozenset({Status.ISSUED}),
        to=Status.DELIVERED,
        law="行政许可法第四十四条",
    ),
    TypeRule(
        name="case.withdrawn",
        zh="撤回",
        says=OPENING,
        since=BEFORE_DECISION,
        to=Status.WITHDRAWN,
        law="国办发〔2020〕35号",
    ),
    TypeRule(
        name="case.rated",
        zh="评价",
        says=OPENING,
        since=AFTER_DECISION,
        rating_since=frozenset({Rating.NONE}),
        rating_to=Rating.RATED,  # 1 and 2: poor (core/case/effects.py)
        law="国办发〔2019〕51号",
    ),
    TypeRule(
        name="case.rectified",
        zh="整改",
        says=RESPONSIBLE,
        since=AFTER_DECISION,
        rating_since=OPEN_TO_CORRECTION,
        rating_to=Rating.RECTIFIED,
        law="国办发〔2019〕51号",
    ),
    TypeRule(
        name="case.rating-appealed",
        zh="评价申诉",
        says=RESPONSIBLE,
        since=AFTER_DECISION,
        rating_since=frozenset({Rating.POOR}),
        rating_to=Rating.APPEALED,
        law="国办发〔2019〕51号",
    ),
    TypeRule(name="case.urged", zh="催办", says=EITHER, since=ANY, law="国办发〔2020〕35号"),
    TypeRule(name="case.consulted", zh="咨询", says=EITHER, since=ANY, law="国办发〔2020〕35号"),
    TypeRule(name="case.answered", zh="咨询答复", says=EITHER, since=ANY, law="国办发〔2020〕35号"),
    TypeRule(
        name="fee.requested",
        zh="缴费通知",
        says=RESPONSIBLE,
        since=UNDER_WAY,
        fee_since=frozenset({Fee.NONE}),  # one case is charged once (两头收费)
        fee_to=Fee.REQUESTED,
        law="行政许可法第五十九条",
    ),
    TypeRule(
        name="fee.paid",
        zh="缴费结果",
        says=OPENING_OR_TREASURY,
        since=ANY_OF_A_CASE,  # what a bank has taken is told, even when the case has ended meanwhile
        fee_since=frozenset({Fee.REQUESTED}),
        fee_to=Fee.PAID,
        law="行政许可法第五十九条",
    ),
    TypeRule(
        name="complaint.filed", zh="投诉", says=OPENING, opens=True, to=Status.FILED, law="国办发〔2020〕53号"
    ),
    TypeRule(
        name="complaint.answered",
        zh="投诉答复",
        says=RESPONSIBLE,
        since=frozenset({Status.FILED}),
        to=Status.ANSWERED,
        law="国办发〔2020〕53号",
    ),
    _of_broker("receipt.delivered", "回执：送达", MessageClass.RECEIPT),
    _of_broker("receipt.rejected", "回执：拒收", MessageClass.RECEIPT),
    _of_broker("receipt.expired", "回执：过期", MessageClass.RECEIPT),
    _of_broker("notice.refused", "通知：报文不予处理", MessageClass.ERROR),
    _of_broker("notice.undeliverable", "通知：无法送达", MessageClass.ERROR),
    _of_broker("notice.deadline", "通知：时限（黄牌、红牌）", MessageClass.INITIAL),
    _of_operator("operator.paused", "运维：暂停"),
    _of_operator("operator.resumed", "运维：恢复"),
    _of_operator("operator.limited", "运维：限流"),
    _of_operator("operator.probed", "运维：探测"),
    _of_operator("operator.redriven", "运维：重投"),
    _of_operator("operator.returned", "运维：退回"),
    _of_operator("operator.skipped", "运维：跳过"),
    _of_operator("operator.assigned", "运维：指派"),
    _of_operator("operator.noted", "运维：备注"),
    _of_operator("operator.unmasked", "运维：查看明文"),
    _of_operator("operator.reconciled", "运维：对账清单"),
    _of_operator("directory.applied", "名录生效"),
)

MESSAGE_TYPES: Final[Mapping[str, TypeRule]] = MappingProxyType({rule.name: rule for rule in TRANSITIONS})
"""Every message type by its name without the prefix ``cn.tongban.``."""
