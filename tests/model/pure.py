"""The life cycle alone, without the exchange: ``advance`` and ``cards.issue`` as the road calls them.

It takes the same words as :class:`tests.model.road.Road`; the road's own reasons (repeats, expiry, the directory) are
not asked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from broker.core.case.lifecycle import Advanced, CaseState, Route, advance
from broker.core.case.routing import terms_of
from broker.core.case.terms import terms_of_case
from broker.core.clocks.cards import issue
from broker.core.clocks.deadlines import Deadline
from broker.core.ids import CaseId, PartnerId
from broker.core.message import Message
from tests.model.place import BROKER, EDITIONS
from tests.model.road import BOOK, CODEC, Notice, message_of
from tests.model.sheet import Word


@dataclass(kw_only=True)
class Pure:
    """Cases by id, each moved by one function."""

    size: int = 1
    directory: object = EDITIONS[0]
    cases: dict[CaseId, CaseState] = field(default_factory=dict)
    arrived: list[tuple[str, str, str, str]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def take(self, words: Sequence[Word], now: datetime) -> None:
        """Each word by itself. What the broker forwards is not followed here."""
        self.arrived.clear()
        self.notices.clear()
        for word in words:
            message = message_of(word)
            facts = CODEC.decode(message.value).datum
            state = self.cases.get(message.case)
            under = EDITIONS[0] if state is None else BOOK[state.directory]
            answer = advance(state, message, now, facts, terms_of(message, state, under, facts))
            if not isinstance(answer, Advanced):
                self.notices.append(Notice(name=message.name, code=answer.code, to=message.source))
                continue
            if answer.state is not None:
                self.cases[message.case] = answer.state
            for command in answer.commands:
                if isinstance(command, Route):
                    self.arrived.append((message.type, message.case, message.source, command.to))

    def card(self, state: CaseState, deadline: Deadline, now: datetime) -> list[Message]:
        """The card on its case at once; as one record, to the opening side."""
        self.arrived.clear()
        self.notices.clear()
        at = deadline
        after = issue(
            state,
            at.kind,
            at.step,
            at.light,
            at.turn,
            now=now,
            terms=terms_of_case(state, BOOK[state.directory]),
        )
        message = message_of(
            Word(
                id=f"c-{at.key.replace(':', '_').replace('/', '_')}",
                type="notice.deadline",
                source=BROKER,
                to=state.opening,
                case=state.case,
                at=now,
                facts={},
            )
        )
        if after is not None:
            self.cases[state.case] = after
            self.arrived.append((message.type, message.case, BROKER, PartnerId(state.opening)))
        return [message]
