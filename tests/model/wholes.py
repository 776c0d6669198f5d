"""Services of several parts, told by hand: which part opens when, and what the broker says for all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import cast

from tests.model.naive import Case
from tests.model.place import BROKER, THINGS
from tests.model.sheet import Word


@dataclass
class Part:
    """One part of a whole."""

    name: str
    item: str
    authority: str
    before: tuple[str, ...]
    status: str = "held"
    accepted: bool = False
    issued_at: datetime | None = None
    courier: str | None = None
    told: bool = False

    @property
    def issued(self) -> bool:
        return self.issued_at is not None


@dataclass
class Bundle:
    """The parts of one case, and what the broker has said for them."""

    answers: str
    parts: list[Part]
    begun: bool = False
    accepted: bool = False
    answered: bool = False
    issued: bool = False

    @property
    def ended(self) -> bool:
        return all(each.status not in ("held", "open") for each in self.parts)

    @property
    def any_granted(self) -> bool:
        return any(each.status == "granted" for each in self.parts)


@dataclass
class Wholes:
    """Cases and bundles by id, and a queue of what is still to be judged.

    What the broker says because of a word comes behind the words that are there already, as on the ledger.
    """

    cases: dict[str, Case] = field(default_factory=dict)
    bundles: dict[str, Bundle] = field(default_factory=dict)
    queue: deque[Word] = field(default_factory=deque)

    def _part(self, case: str) -> Part | None:
        parent, mark, name = case.partition("~")
        if not mark or parent not in self.bundles:
            return None
        return next(each for each in self.bundles[parent].parts if each.name == name)

    def _open_parts(self, parent: Case, word: Word) -> None:
        bundle = self.bundles[parent.id]
        granted = {each.name for each in bundle.parts if each.status == "granted"}
        for part in bundle.parts:
            if bundle.begun and part.status == "held" and set(part.before) <= granted:
                part.status = "open"
                self._say(word, "case.submitted", f"{parent.id}~{part.name}", part.authority)

    def _part_heard(self, part: Part, word: Word) -> None:
        if word.type == "case.result-issued" and part.status == "granted":
            part.issued_at = part.issued_at or word.at
            part.courier = cast("str | None", word.facts.get("courier_number"))
        if part.status != "open":
            return
        if word.type in ("case.accepted", "case.decided"):
            part.accepted = True
        if word.type == "case.decided":
            part.status = "granted" if word.facts["outcome"] == "granted" else "denied"
        elif word.type in ("case.refused", "case.withdrawn"):
            part.status = word.type.partition(".")[2]
        if part.status in ("denied", "refused", "withdrawn"):
            self._void_after(self.bundles[word.case.partition("~")[0]], {part.name})

    def _void_after(self, bundle: Bundle, lost: set[str]) -> None:
        for part in bundle.parts:
            if part.status == "held" and lost & set(part.before):
                part.status = "void"
                self._void_after(bundle, {part.name})

    def _whole_withdrawn(self, case: Case, bundle: Bundle, word: Word) -> None:
        """Open parts go with it; of what was granted the answer is still given, where the broker gives it."""
        if bundle.answered:
            return  # the answer is on its way
        for part in bundle.parts:
            if part.status == "open":
                part.status = "withdrawn"
                self._say(word, "case.withdrawn", f"{case.id}~{part.name}", part.authority)
            elif part.status == "held":
                part.status = "void"
        if bundle.answers == "broker" and bundle.any_granted:
            self._whole_goes_on(replace(word, case=f"{case.id}~"))
            return
        bundle.answered = True
        case.status, case.ended_at = "withdrawn", word.at

    def _whole_goes_on(self, word: Word) -> None:
        """What the broker says on the parent after something was said on a part."""
        parent = self.cases[word.case.partition("~")[0]]
        bundle = self.bundles[parent.id]
        self._open_parts(parent, word)
        joins = bundle.answers == "broker"
        to = (parent.opening,) if joins else (parent.opening, parent.responsible)
        if joins and not bundle.accepted and any(each.accepted for each in bundle.parts):
            bundle.accepted = True
            self._say(word, "case.accepted", parent.id, *to)
        for part in bundle.parts:
            silent = joins and not bundle.accepted
            if part.status not in ("held", "open") and not part.told and not silent and not bundle.answered:
                part.told = True
                self._say(word, "case.step-completed", parent.id, *to, about=part.name)
        if not joins:
            return
        if bundle.ended and not bundle.answered:
            bundle.answered = True
            taken_back = all(each.status in ("withdrawn", "void") for each in bundle.parts)
            answer = "case.decided" if bundle.accepted else "case.refused"
            self._say(word, "case.withdrawn" if taken_back else answer, parent.id, *to)
        granted = [each for each in bundle.parts if each.status == "granted"]
        result = bundle.answered and bundle.accepted and all(each.issued for each in granted)
        if result and not bundle.issued and not self._all_taken_back(bundle):
            bundle.issued = True
            self._say(word, "case.result-issued", parent.id, *to)

    @staticmethod
    def _all_taken_back(bundle: Bundle) -> bool:
        return all(each.status in ("withdrawn", "void") for each in bundle.parts)

    def _say(self, word: Word, type_: str, case: str, *to: str, about: str = "") -> None:
        for each in to:
            id_ = f"~{word.source}:{word.id}:{type_}:{case}:{about}:{each}"
            part = "~" in case
            facts: Mapping[str, object] = {"step": about, "accepted_on": word.facts.get("accepted_on")}
            source = case.partition("/")[0] if part else BROKER
            self.queue.append(
                Word(id=id_, type=type_, source=source, to=each, case=case, at=word.at, facts=facts)
            )

    def _joined(self, case: Case, word: Word) -> bool:
        if not case.takes(word.type):
            return False
        bundle = self.bundles[case.id]
        facts = dict(word.facts)
        facts["outcome"] = "granted" if bundle.any_granted else "denied"
        sent = [
            (each.issued_at, each.courier)
            for each in bundle.parts
            if each.issued_at is not None and each.courier
        ]
        last = max((at for at, _ in sent), default=None)
        facts["courier_number"] = next((courier for at, courier in reversed(sent) if at == last), None)
        facts["promised_days"] = THINGS[case.item].days
        facts["accepted_on"] = facts.get("accepted_on") or date.max
        case.hear(replace(word, facts=facts))
        return True
