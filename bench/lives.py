"""Lives of cases, message by message, for measuring ``advance``: every message stands where it is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from broker.core.case.case_state import CaseState
from broker.core.case.lifecycle import Advanced, advance
from broker.core.case.terms import Terms
from broker.core.case.transitions import MESSAGE_TYPES, Role
from broker.core.catalogue.items import Item, Step
from broker.core.ids import CaseId, MessageId, Party
from broker.core.message import Message, MessageClass, Mode

_NOON: Final = datetime(2024, 3, 4, 4, tzinfo=UTC)
_OPENING, _RESPONSIBLE = "451300", "430423"
TERMS: Final = Terms(
    item=Item(
        code="newborn-hukou",
        name="新生儿入户",
        promised_days=20,
        steps=(Step(code="check", name="审查", days=5), Step(code="decide", name="决定", days=5)),
    ),
    promised_days=20,
)
Said = tuple[str, Mapping[str, object]]
LIVES: Final[tuple[tuple[Said, ...], ...]] = (
    (
        ("case.submitted", {"agent": None, "acting": None}),
        ("case.supplement-requested", {"deadline": date(2024, 3, 15)}),
        ("case.supplemented", {}),
        ("case.accepted", {"promised_days": 20, "accepted_on": date(2024, 3, 4), "responsible_number": "1"}),
        ("case.step-completed", {"step": "check"}),
        ("case.paused", {}),
        ("case.resumed", {}),
        ("case.extended", {"extra_days": 5}),
        ("case.urged", {}),
        ("case.consulted", {}),
        ("case.answered", {}),
        ("fee.requested", {"notice_number": "N1", "amount_fen": 1000}),
        ("fee.paid", {"notice_number": "N1", "amount_fen": 1000, "channel": "bank"}),
        ("case.decided", {"outcome": "granted"}),
        ("case.result-issued", {"courier_number": "SF1"}),
        ("case.delivered", {"courier_number": "SF1"}),
        ("case.rated", {"score": 1}),
        ("case.rectified", {"called_back": True}),
    ),
    (
        ("case.submitted", {}),
        ("case.accepted", {}),
        ("case.decided", {"outcome": "denied"}),
        ("case.rated", {"score": 1}),
        ("case.rating-appealed", {}),
    ),
    (("case.submitted", {}), ("case.refused", {})),
    (("case.submitted", {}), ("case.withdrawn", {})),
    (("complaint.filed", {"about_case": "451300/1"}), ("complaint.answered", {})),
)
"""Each message type in a case that takes it; what follows later in one is judged on what came before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What :func:`broker.core.case.lifecycle.advance` is asked, by its own names."""

    state: CaseState | None
    message: Message
    now: datetime
    facts: Mapping[str, object]
    terms: Terms


def moments(lives: Iterable[Iterable[Said]] = LIVES, terms: Terms = TERMS) -> Iterator[Moment]:
    """One for each message type in ``lives``, as it comes first, an hour apart."""
    seen: set[str] = set()
    for life in lives:
        state: CaseState | None = None
        for hour, (name, facts) in enumerate(life):
            moment = Moment(
                state=state,
                message=_message(name),
                now=_NOON + timedelta(hours=hour),
                facts=facts,
                terms=terms,
            )
            answer = advance(state, moment.message, moment.now, facts, terms)
            assert isinstance(answer, Advanced), f"{name}: {answer}"
            state = answer.state
            if name not in seen:
                seen.add(name)
                yield moment


def _message(name: str) -> Message:
    ends = [_OPENING, _RESPONSIBLE]
    if Role.OPENING not in MESSAGE_TYPES[name].says:
        ends.reverse()
    return Message(
        id=MessageId(name.replace(".", "-")),
        source=Party(ends[0]),
        type=name,
        case=CaseId(f"{_OPENING}/1"),
        destination=Party(ends[1]),
        time=_NOON,
        message_class=MessageClass.INITIAL,
        digest="sha-256:" + "0" * 64,
        dataschema="/schemas/ids/1",
        value=b"",
        item="newborn-hukou",
        mode=Mode.ONLINE,
    )
