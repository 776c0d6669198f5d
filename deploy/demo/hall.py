"""The hall: where events and the window's acts meet the office and the ledger, each in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from deploy.demo.clock import now_text
from deploy.demo.events import BROKER, Event
from deploy.demo.forms import Applicant, Form, application, complaint, form
from deploy.demo.ledger import Ledger
from deploy.demo.letters import Letter, message_id
from deploy.demo.office import Office, Procedure, Reaction, Rejection
from deploy.demo.procedures import PART
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an applicant wants at the window. ``fields`` go into the submission beside the form's own.

    ``manner`` ``by-hand``: staff will say what is to be said; ``score``: what the applicant will say of it.
    """

    to: str
    item: str
    mode: str
    applicant: Applicant
    item_class: str = ""
    manner: str = "usual"
    score: int = 5
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A complaint as it comes in at the one door. ``to`` None: about a case, whose city the exchange will find."""

    subject: str
    channel: str
    about: str | None = None
    to: str | None = None
    item: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Something that staff say on a case. ``to`` and ``item`` are needed where the case is not ours."""

    type: str
    case: str
    fields: Mapping[str, object] = field(default_factory=dict)
    to: str | None = None
    item: str = ""


class Hall:
    """One city's hall. ``numbering`` opens its case numbers; ``wake`` tells the sender that letters are queued."""

    def __init__(self, office: Office, ledger: Ledger, *, numbering: str, wake: Callable[[], None]) -> None:
        self._office = office
        self._ledger = ledger
        self._numbering = numbering
        self._wake = wake

    def handle(self, item: str, procedure: Procedure) -> None:
        """From now on, this hall handles an item so."""
        self._office = replace(self._office, procedures={**self._office.procedures, item: procedure})

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

    def open_case(self, wish: Wish) -> str:
        """The window takes an application in and queues its submission. Returns our number for the case.

        Raises ValueError for an item that the hall has no leaflet for.
        """
        with self._ledger.transaction():
            at = now_text()
            case = self._office.open(
                number=self._next_number(), to=wish.to, item=wish.item, mode=wish.mode, at=at,
                item_class=wish.item_class, manner=wish.manner, score=wish.score,
            )  # fmt: skip
            self._ledger.put_case(case)
            self._say(case, "case.submitted", application(case, at, wish.applicant, wish.fields), at)
        self._wake()
        return case.number

    def complain(self, ticket: Ticket) -> str:
        """The window or the hotline takes a complaint in. Returns our number for it."""
        with self._ledger.transaction():
            at = now_text()
            case = self._office.open(
                number=self._next_number(), to=ticket.to or BROKER, item=ticket.item or "", mode="", at=at,
                type_="complaint.filed",
            )  # fmt: skip
            self._ledger.put_case(case)
            data = complaint(at, subject=ticket.subject, channel=ticket.channel, about=ticket.about)
            self._say(case, "complaint.filed", data, at)
        self._wake()
        return case.number

    def say(self, *words: Word) -> list[str]:
        """Staff say something, right or wrong: the exchange will tell. Returns the messages' ids.

        Several words go out together. Raises ValueError for a case that is not ours when nobody is named.
        """
        with self._ledger.transaction():
            said = [self._say_word(word, now_text()) for word in words]
        self._wake()
        return said

    def _say_word(self, word: Word, at: str) -> str:
        row = self._ledger.case(word.case)
        if row is None and word.to is None:
            raise ValueError("to: expected a partner, the case is not ours")
        known = row or _elsewhere(word.case, word.item, at)
        nth = self._ledger.said(word.case, word.type)
        data = form(word.type, known, at, nth=nth, fields=word.fields)
        addressed = replace(known, counterpart=word.to or known.counterpart)
        identity = self._say(addressed, word.type, data, at, ours=row is not None)
        if row is not None:
            self._ledger.put_case(self._office.said(row, word.type, at))
        return identity

    def urge(self, number: str) -> bool:
        """The window urges the other city on (催办). False: we have no such case."""
        case = self._ledger.case_numbered(number)
        if case is not None:
            self.say(Word(type="case.urged", case=case.case))
        return case is not None

    def _hear(self, event: Event, at: str) -> Taken | Rejection:
        known = self._ledger.case(event.case)
        whole, part, _ = event.case.partition(PART)
        parent = self._ledger.case(whole) if part and known is None else None
        reaction = self._office.hear(known, event, number=self._next_number(), at=at, parent=parent)
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
            nth = self._ledger.said(case.case, type_)
            data = form(type_, case, at, nth=nth, fields=reaction.fields.get(type_))
            self._say(case, type_, data, at, answers=event.name)

    def _note(self, event: Event, at: str) -> Taken:
        """A receipt or notice about a message of ours: noted beside it."""
        partner, _, acknowledged = (event.correlation or "").partition("/")
        if partner == self._office.city:
            said = (event.data.get(name) for name in ("detail", "reason", "answer_code"))
            reason = next((each for each in said if each), None)
            self._ledger.note_receipt(
                acknowledged,
                outcome=event.type.rpartition(".")[2],
                detail=str(reason) if reason else None,
                at=at,
            )
        case = self._ledger.case(event.case)
        return Taken(reference=case.number if case else None)

    def _say(
        self, case: CaseRow, type_: str, data: Form, at: str, answers: str | None = None, *, ours: bool = True
    ) -> str:
        letter = Letter(
            id=message_id(case.number.replace(PART, "-"), type_, self._ledger.said(case.case, type_)),
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
        if ours:
            code = self._office.code(type_)
            self._ledger.add_step(number=case.number, type_=type_, code=code, said=True, at=at)
        return letter.id

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


def _elsewhere(case: str, item: str, at: str) -> CaseRow:
    """A case of other halls, as far as a letter about it needs it."""
    number = "".join(each if each.isalnum() and each.isascii() else "-" for each in case.partition("/")[2])
    return CaseRow(
        number=number, case=case, role="-", counterpart="", item=item, mode="", stage="-", code="0",
        opened_at=at, updated_at=at,
    )  # fmt: skip
