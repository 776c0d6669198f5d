"""The naive exchange: who may open what, what was said before, and services of several parts, told by hand.

It holds cases by id and a queue of what is still to be judged, as the ledger does: what the broker says because of
a word comes behind the words that are there already.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import cast

from tests.model.naive import OF_THE_OPENING, OF_THE_RESPONSIBLE, Case, complaint_due
from tests.model.place import BROKER, PARTNERS, ROADS, THINGS, TREASURY, WHOLES, agreed
from tests.model.sheet import Word
from tests.model.wholes import Bundle, Part, Wholes

OPENS = ("case.submitted", "complaint.filed")
ROAD = ("receipt", "notice", "operator", "directory")
SAID_BY_PARTNERS = {*OPENS, *OF_THE_OPENING, *OF_THE_RESPONSIBLE}
TOLD_BY_THE_WHOLE = ("case.accepted", "case.step-completed")
"""How far an authority is with its part, the hall hears of the whole; its answers it gets itself."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a word: ``why`` it may be refused (none: it stands), or that it was said before; who gets it."""

    word: Word
    why: frozenset[str] = frozenset()
    repeated: bool = False
    told: tuple[str, ...] = ()


@dataclass
class Office(Wholes):
    """All cases. ``strict`` False: only the life cycle is asked, not the road (repeats, expiry, directory)."""

    strict: bool = True
    edition: int = 0
    said: dict[str, str] = field(default_factory=dict)

    def take(self, words: Iterable[Word]) -> list[Verdict]:
        """Judge these words and all that follows from them, in order."""
        self.queue.extend(words)
        verdicts = []
        while self.queue:
            verdicts.append(self._judge(self.queue.popleft()))
        return verdicts

    def _judge(self, word: Word) -> Verdict:
        name = f"{word.source}/{word.id}"
        if self.strict and name in self.said:
            same = self.said[name] == word.content
            return Verdict(
                word=word, repeated=same, why=frozenset() if same else frozenset({"message-id-reused"})
            )
        self.said[name] = word.content
        if word.type == "notice.deadline" and word.source == BROKER:
            return Verdict(word=word, told=tuple(self._card(word)))
        if word.source == BROKER or word.id.startswith("~"):
            return Verdict(word=word, told=tuple(self._derived(word)))
        why = self._road(word) if self.strict else set()
        if word.type not in SAID_BY_PARTNERS and word.type.partition(".")[0] not in ROAD:
            why.add("type-unknown")
        elif word.type in OPENS:
            why |= self._objections_to_opening(word)
        else:
            why |= self._objections(word)
        if why:
            return Verdict(word=word, why=frozenset(why))
        return Verdict(word=word, told=tuple(self._stands(word)))

    # The road.

    def _road(self, word: Word) -> set[str]:
        why = set()
        if word.expires is not None and word.expires <= word.at:
            why.add("expired")
        if word.source not in PARTNERS or word.to not in (*PARTNERS, BROKER):
            why.add("partner-unknown")
        if word.type in OPENS and word.case not in self.cases:
            if (word.item is None and word.type == "case.submitted") or (
                word.item is not None and word.item not in THINGS
            ):
                why.add("item-unknown")
            elif word.type == "case.submitted" and not agreed(
                self.edition, word.source, word.to, str(word.item), word.mode
            ):
                why.add("agreement-missing")
            whole = WHOLES.get(word.item or "")
            if word.type == "case.submitted" and whole is not None and whole.along:
                route = cast("list[str]", word.facts.get("route") or [])
                elsewhere = [each for each in route if each[:6] != whole.lead[:6] and each in PARTNERS]
                if set(elsewhere) - set(ROADS):
                    why.add("agreement-missing")
        return why

    # What opens.

    def _objections_to_opening(self, word: Word) -> set[str]:
        if word.source != word.case.partition("/")[0]:
            return {"party-not-involved"}
        if word.case in self.cases:
            return {"case-exists"}
        if word.type == "complaint.filed" and word.to == BROKER:
            about = word.facts.get("about_case")
            if not about:
                return {"complaint-unaddressed"}
            nobody = not self._who_answers(word)
            return {"case-unknown"} if nobody else set()
        why = set()
        if word.to in (word.source, BROKER):
            why.add("party-not-involved")
        whole = WHOLES.get(word.item or "")
        if whole is not None and word.type == "case.submitted":
            if word.to != whole.lead:
                why.add("party-not-involved")
            route = cast("list[str]", word.facts.get("route") or [])
            if whole.along and (not route or len(set(route)) < len(route) or word.source in route):
                why.add("event-invalid")
            if whole.along and any(each not in PARTNERS for each in route):
                why.add("partner-unknown")
        return why

    def _open(self, word: Word) -> list[str]:
        if word.type == "complaint.filed" and word.to == BROKER:
            about = self.cases.get(str(word.facts["about_case"]))
            item = (about.item or None) if about else None
            self.queue.append(replace(word, id=f"~{word.id}", to=self._who_answers(word), item=item))
            return []
        case = Case(
            id=word.case,
            opening=word.source,
            responsible=word.to,
            item=word.item or "",
            mode=word.mode or "",
            klass=str(word.facts.get("item_class") or ""),
            edition=self.edition,
            opened_at=word.at,
        )
        if word.type == "complaint.filed":
            case.status, case.answer_by = "filed", complaint_due(word)
        elif word.item in WHOLES:
            self._begin_whole(word, case)
        self.cases[word.case] = case
        if case.id in self.bundles and case.by_broker:
            self._open_parts(case, word)
        return [word.to]

    def _who_answers(self, word: Word) -> str:
        """Of a complaint by the one door: whoever has the case, or whoever would have opened one of that number.

        One of its own numbers the sender knows itself: of that it is told when there is none.
        """
        about = str(word.facts["about_case"])
        if about in self.cases:
            return self.cases[about].responsible
        place = about.partition("/")[0]
        return place if place in PARTNERS and place != word.source else ""

    def _begin_whole(self, word: Word, case: Case) -> None:
        whole = WHOLES[str(word.item)]
        parts = [Part(name, item, authority, before) for name, item, authority, before in whole.parts]
        if whole.along:
            route = cast("list[str]", word.facts["route"])
            parts = [Part(each, whole.along, each, ()) for each in route]
        case.by_broker = whole.answers == "broker"
        self.bundles[case.id] = Bundle(whole.answers, parts, begun=case.by_broker)

    # What is said on a case that is there.

    def _objections(self, word: Word) -> set[str]:
        case = self.cases.get(word.case)
        if case is None:
            own = word.source == word.case.partition("/")[0]
            return {"case-unknown"} if own else {"party-not-involved"}
        part = self._part(word.case)
        if part is not None and part.status == "withdrawn":
            case = replace(case, status="withdrawn")  # from the moment at which the whole was
        why = case.objections(word)
        bundle = self.bundles.get(case.id)
        if bundle and bundle.answers == "lead" and word.type == "case.decided":
            granted = all(each.status == "granted" for each in bundle.parts)
            if not bundle.ended or (word.facts["outcome"] == "granted" and not granted):
                why |= {"parts-open"} if why != {"party-not-involved"} else set()
        return why

    def _stands(self, word: Word) -> list[str]:
        if word.type in OPENS:
            return self._open(word)
        case, part = self.cases[word.case], self._part(word.case)
        told = [case.opening if word.source == case.responsible else case.responsible]
        if word.source == TREASURY and case.role_of(TREASURY) == "treasury":
            told = [case.opening, case.responsible]
        if part is not None:
            if part.status == "withdrawn":  # the record that says so may still be on its way
                case.hear(word)
                return told
            if word.source == case.responsible and word.type in TOLD_BY_THE_WHOLE:
                told = []
            case.hear(word)
            self._part_heard(part, word)
            self._whole_goes_on(word)
            return told
        bundle = self.bundles.get(case.id)
        if bundle is not None and word.type == "case.withdrawn":
            self._whole_withdrawn(case, bundle, word)
            return told
        case.hear(word)
        if bundle is not None and bundle.answers == "lead" and word.type == "case.accepted":
            bundle.begun = True
            self._open_parts(case, word)
        return told

    def _derived(self, word: Word) -> list[str]:
        """What the broker says for a whole: parts that open and go, and its one answer."""
        case, parent = self.cases.get(word.case), word.case.partition("~")[0]
        if word.type == "complaint.filed":
            return self._open(word) if case is None and word.to != word.source else []
        part = self._part(word.case)
        if part is not None and word.type == "case.submitted":
            whole = self.cases[parent]
            if case is None:
                self.cases[word.case] = Case(
                    id=word.case,
                    opening=whole.opening,
                    responsible=part.authority,
                    item=part.item,
                    mode=whole.mode,
                    klass=whole.klass,
                    edition=whole.edition,
                    opened_at=word.at,
                )
            return [word.to]
        if part is not None:
            assert case is not None
            case.status, case.ended_at = "withdrawn", word.at
            return [word.to]
        return [word.to] if case is not None and self._joined(case, word) else []

    # Cards.

    def _card(self, word: Word) -> list[str]:
        case = self.cases.get(word.case)
        kind, light = str(word.facts["kind"]), str(word.facts["light"])
        step, turn = str(word.facts.get("step") or ""), cast("int", word.facts["turn"])
        if case is None or not case.may_be_carded(kind, step, light, turn):
            return []
        case.carded(kind, step, light, turn, word.at)
        whole = self.cases.get(word.case.partition("~")[0])
        if case.deemed and whole is not None and whole is not case and whole.by_broker:
            self._counts_with_its_part(whole, case)
        return [word.to] if word.to in PARTNERS else []

    @staticmethod
    def _counts_with_its_part(whole: Case, part: Case) -> None:
        """The first part that is accepted is the acceptance of the whole, also where it only counts as accepted."""
        if whole.promise is None and whole.status == "submitted" and part.promise is not None:
            whole.deemed = True
            whole.start(part.promise.started_at, part.promise.started_on, None)
