"""What intake says of a submission before the ledger has it: as the exchange will, by the view and what is to come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Final

from broker.core.case import agreements, lifecycle
from broker.core.case.forbidden import is_suspect
from broker.core.case.lifecycle import CaseState
from broker.core.case.routing import terms_of
from broker.core.catalogue.directory import Directory
from broker.core.message import Message
from broker.core.problems import Refusal
from broker.core.records import Position
from broker.intake.ports import DirectorySource, View
from broker.intake.submitting.ahead import Ahead
from broker.intake.submitting.events import Submission
from broker.intake.submitting.verdicts import Accepted, Verdict
from broker.log.admin.topics import LEDGER
from broker.store.view.ledger_view import Known

REUSED: Final = Refusal(code="message-id-reused", detail="this id was used before for other content")


OF_THE_CASE: Final = frozenset(
    {
        *("transition-illegal", "case-unknown", "case-exists", "party-not-involved", "parts-open"),
        *("callback-missing", "courier-mismatch", "extension-too-long", "fee-mismatch", "fee-unpaid"),
    }
)
"""Refusals that hang on the case's state: only a view that is not behind may give them."""


class Judge:
    """Judges submissions by the directory in force; on a case that is there, by the one that it was opened under
    (ADR 0016). ``remembered``: how many cases it knows ahead of the view.
    """

    def __init__(self, directory: DirectorySource, view: View, remembered: int) -> None:
        self._directory = directory
        self._view = view
        self._ahead = Ahead(remembered)
        self._book: Mapping[str, Directory] = {}

    async def prepare(self, states: Iterable[CaseState]) -> None:
        """Have at hand the directories under which these cases were opened. To be called before they are judged."""
        in_force = self._directory.current()
        versions = {state.directory for state in states} - {in_force.version}
        found = {version: await self._view.directory(version) for version in versions}
        self._book = {version: directory for version, directory in found.items() if directory is not None}

    def passed(self, state: CaseState | None) -> None:
        """A message was let pass, and its case will stand like this."""
        self._ahead.put(state)

    def ahead_of_view(
        self, submission: Submission, seen: CaseState | None, now: datetime, day: date
    ) -> lifecycle.Advanced | Refusal:
        """By the state that the view holds; by the one to come, where the view may only be behind."""
        verdict = self.of(submission, seen, now, day)
        if isinstance(verdict, Refusal) and verdict.code in OF_THE_CASE:
            ahead = self._ahead.of(submission.message.case, seen)
            if ahead is not None:
                later = self.of(submission, ahead, now, day)
                return later if isinstance(later, lifecycle.Advanced) else verdict
        return verdict

    def of(
        self, submission: Submission, state: CaseState | None, now: datetime, day: date
    ) -> lifecycle.Advanced | Refusal:
        """As the exchange will, if directory and state are then as they are now."""
        message, facts = submission.message, submission.examined.datum
        if message.expired(now):
            return Refusal(code="expired", detail="the message expired before it was written")
        directory = self._directory.current()
        refusal = agreements.check(directory, message, state, day, facts)
        if refusal is not None:
            return refusal
        under = self._book.get(state.directory, directory) if state is not None else directory
        return lifecycle.advance(state, message, now, facts, terms_of(message, state, under, facts))


def again(known: Known, message: Message) -> Verdict:
    """What a message is told that the view has under its name."""
    if known.digest != message.digest:
        return REUSED
    if known.code is not None and is_suspect(message.type, known.code):
        return Refusal(code=known.code, detail="refused before, and kept on the ledger")
    return Accepted(Position(LEDGER, known.ledger_partition, known.ledger_offset), duplicate=True)
