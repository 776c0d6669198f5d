"""How an office works: the tables of both roles. Standing here and hearing this, it says that and stands there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from deploy.demo.records import CaseRow


class Role(StrEnum):
    """Which side of a case a city is on."""

    OPENING = "opening"
    """收件地: took the application in."""
    RESPONSIBLE = "responsible"
    """业务属地: decides."""


class Procedure(StrEnum):
    """How a responsible office handles an item."""

    SUPPLEMENT = "supplement"
    """Asks once for what is missing (一次性告知), then decides."""
    REVIEW = "review"
    """Accepts, reviews step by step, decides."""
    INSTANT = "instant"
    """秒批: rules decide within seconds."""
    FEE = "fee"
    """Accepts, reviews, asks for the fee and decides; the result goes out when the fee is paid."""
    REFUSE = "refuse"
    """Does not accept (不予受理), with the reason."""
    DENY = "deny"
    """Accepts and denies (不予), with the reason."""
    BY_HAND = "by-hand"
    """Files what comes; staff at the window say what is to be said."""


Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rule:
    """What the office says when it hears something, and where the case then stands.

    ``fields``: by message type, what it says otherwise than the form of that type.
    """

    then: str
    says: tuple[str, ...] = ()
    fields: Mapping[str, Fields] = field(default_factory=dict)


NEW: Final = "new"
BY_HAND: Final = "by-hand"
"""The manner of a case on which staff speak."""
PART: Final = "~"
"""What stands between a case and the name of a part of it (一件事)."""
OPENS: Final = frozenset({"case.submitted", "complaint.filed"})
_RESULT = ("case.step-completed", "case.decided", "case.result-issued")
_ENDED = ("case.delivered", "case.rated")
_NOT_ACCEPTED: Final = {
    "case.refused": {"reason": "申请事项依法不属于本机关职权范围", "legal_basis": "行政许可法第三十二条"}
}
_NOT_GRANTED: Final = {
    "case.decided": {
        "outcome": "denied",
        "reason": "不符合法定条件",
        "legal_basis": "行政许可法第三十八条",
    }
}

_OPENING: Final[Mapping[tuple[str, str], Rule]] = {
    ("submitted", "case.supplement-requested"): Rule("supplemented", ("case.supplemented",)),
    **{
        (stage, type_): Rule(then)
        for stage in ("submitted", "supplemented")
        for type_, then in (("case.accepted", "accepted"), ("case.refused", "refused"))
    },
    **{
        ("accepted", type_): Rule("accepted")
        for type_ in ("case.accepted", "case.step-completed", "case.extended", "fee.requested", "fee.paid")
    },
    ("accepted", "case.paused"): Rule("paused"),
    ("paused", "case.resumed"): Rule("accepted"),
    ("accepted", "case.decided"): Rule("decided"),
    ("decided", "case.result-issued"): Rule("closed", _ENDED),
    ("closed", "case.rectified"): Rule("closed"),
    ("closed", "case.rating-appealed"): Rule("closed"),
    ("withdrawn", "case.step-completed"): Rule("withdrawn"),
    ("withdrawn", "case.decided"): Rule("decided"),
    ("filed", "complaint.answered"): Rule("answered"),
}

_ON_A_PART: Final[Mapping[str, Rule]] = {
    "case.decided": Rule("decided"),
    "case.refused": Rule("refused"),
    "case.result-issued": Rule("issued"),
    "case.paused": Rule("paused"),
    "case.resumed": Rule("accepted"),
    "case.extended": Rule("accepted"),
}
"""What an authority says on its part is filed, in whatever order; delivered and rated is the whole."""

_RESPONSIBLE: Final[Mapping[Procedure, Mapping[tuple[str, str], Rule]]] = {
    Procedure.SUPPLEMENT: {
        (NEW, "case.submitted"): Rule("supplement-requested", ("case.supplement-requested",)),
        ("supplement-requested", "case.supplemented"): Rule("issued", ("case.accepted", *_RESULT)),
    },
    Procedure.REVIEW: {
        (NEW, "case.submitted"): Rule("issued", ("case.accepted", *_RESULT)),
    },
    Procedure.INSTANT: {
        (NEW, "case.submitted"): Rule("issued", ("case.accepted", "case.decided", "case.result-issued")),
    },
    Procedure.FEE: {
        (NEW, "case.submitted"): Rule(
            "to-pay", ("case.accepted", "case.step-completed", "fee.requested", "case.decided")
        ),
        ("to-pay", "fee.paid"): Rule("issued", ("case.result-issued",)),
    },
    Procedure.REFUSE: {
        (NEW, "case.submitted"): Rule("refused", ("case.refused",), _NOT_ACCEPTED),
    },
    Procedure.DENY: {
        (NEW, "case.submitted"): Rule("decided", ("case.accepted", "case.decided"), _NOT_GRANTED),
    },
    Procedure.BY_HAND: {},
}

_AFTERWARDS: Final[Mapping[tuple[str, str], Rule]] = {
    ("issued", "case.delivered"): Rule("delivered"),
    ("delivered", "case.rated"): Rule("closed"),
    (NEW, "complaint.filed"): Rule("answered", ("complaint.answered",)),
}

_ANY_STAGE: Final = frozenset({"case.urged", "fee.paid"})
"""What may be heard at any stage of an open case and moves nothing."""


def rule_of(case: CaseRow, type_: str, procedure: Procedure | None) -> Rule | None:
    """The rule for hearing a message of this type on this case; None: the office cannot take it."""
    if case.manner == BY_HAND:
        return Rule(type_.rpartition(".")[2])
    if case.role == Role.OPENING:
        part = _ON_A_PART.get(type_) if PART in case.case else None
        rule = part or _OPENING.get((case.stage, type_))
    elif type_ == "case.withdrawn":
        rule = Rule("withdrawn")
    else:
        own = _RESPONSIBLE[procedure] if procedure is not None else {}
        if procedure is None and type_ != "complaint.filed" and case.item:
            return None
        rule = own.get((case.stage, type_)) or _AFTERWARDS.get((case.stage, type_))
    if rule is None and type_ in _ANY_STAGE and case.stage != NEW:
        return Rule(case.stage)
    return rule
