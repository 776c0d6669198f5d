"""The hall: where events and the window's acts meet the office and the ledger, each in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deploy.demo.clock import now_text
from deploy.demo.events import Event
from deploy.demo.forms import Applicant, Form, application, form
from deploy.demo.ledger import Ledger
from deploy.demo.letters import Letter, message_id
from deploy.demo.office import Office, Reaction, Rejection
from deploy.demo.records import CaseRow, Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The first time: the effect is in the ledger. ``reference`` is our number for the case, if it has one here."""

    reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """Had it before: nothing was done. ``reference`` as answered the first time."""

    reference: str | None


Outcome = Taken | Repeated | Rejection


class Hall:
    """One city's hall. ``numbering`` opens its case numbers; ``wake`` tells the sender that letters are queued."""

    def __init__(self, office: Office, ledger: Ledger, *, numbering: str, wake: Callable[[], None]) -> None:
        self._office = office
        self._ledger = ledger
        self._numbering = numbering
        self._wake = wake

    def take(self, event: Event, *, webhook_id: str, attempt: int) -> Outcome:
        """Take an event in, once, however often it comes under its ``webhook_id``."""
        with self._ledger.transaction():
            earlier = self._ledger.effect(webhook_id)
            if earlier is not None:
                return Repeated(reference=earlier.reference)
            at = now_text()
            outcome = self._note(event, at) if event.is_about_ours else self._hear(event, at)
            if isinstance(outcome, Taken):
                self._record(event, webhook_id, attempt, outcome, at)
        self._wake()
        return outcome

    def open_case(self, *, to: str, item: str, mode: str, applicant: Applicant) -> str:
        """The window takes an application in and queues its submission. Returns our number for the case."""
        with self._ledger.transaction():
            at = now_text()
            case = self._office.open(number=self._next_number(), to=to, item=item, mode=mode, at=at)
            self._ledger.put_case(case)
            self._say(case, "case.submitted", application(case, at, applicant), at)
        self._wake()
        return case.number

    def urge(self, number: str) -> bool:
        """The window urges the other city on (催办). False: we have no such case."""
        with self._ledger.transaction():
            case = self._ledger.case_numbered(number)
            if case is None:
                return False
            at = now_text()
            self._say(case, "case.urged", form("case.urged", case, at), at)
        self._wake()
        return True

    def _hear(self, event: Event, at: str) -> Taken | Rejection:
        known = self._ledger.case(event.case)
        reaction = self._office.hear(known, event, number=self._next_number(), at=at)
        if isinstance(reaction, Rejection):
            return reaction
        self._file(reaction, event, at)
        return Taken(reference=reaction.case.number)

    def _file(self, reaction: Reaction, event: Event, at: str) -> None:
        case = reaction.case
        self._ledger.put_case(case)
        self._ledger.add_step(
            number=case.number, type_=event.type, code=reaction.heard_code, said=False, at=at
        )
        for type_ in reaction.says:
            self._say(case, type_, form(type_, case, at), at, answers=event.name)

    def _note(self, event: Event, at: str) -> Taken:
        """A receipt or notice about a message of ours: noted beside it."""
        partner, _, acknowledged = (event.correlation or "").partition("/")
        if partner == self._office.city:
            reason = event.data.get("detail") or event.data.get("answer_code")
            self._ledger.note_receipt(
                acknowledged,
                outcome=event.type.rpartition(".")[2],
                detail=str(reason) if reason else None,
                at=at,
            )
        case = self._ledger.case(event.case)
        return Taken(reference=case.number if case else None)

    def _say(self, case: CaseRow, type_: str, data: Form, at: str, answers: str | None = None) -> None:
        letter = Letter(
            id=message_id(case.number, type_, self._ledger.said(case.case, type_)),
            type=type_,
            case=case.case,
            destination=case.counterpart,
            time=at,
            item=case.item,
            mode=case.mode,
            answers=answers,
            data=data,
        )
        self._ledger.queue(message_id=letter.id, type_=type_, case=case.case, letter=letter.to_bytes(), at=at)
        self._ledger.add_step(
            number=case.number, type_=type_, code=self._office.code(type_), said=True, at=at
        )

    def _record(self, event: Event, webhook_id: str, attempt: int, outcome: Taken, at: str) -> None:
        self._ledger.record_effect(
            Effect(
                webhook_id=webhook_id,
                source=event.source,
                id=event.id,
                type=event.type,
                case=event.case,
                correlation=event.correlation,
                digest=event.digest,
                attempt=attempt,
                reference=outcome.reference,
                event=event.verbatim,
                at=at,
            )
        )

    def _next_number(self) -> str:
        return f"{self._numbering}-{self._ledger.next_serial():04d}"
