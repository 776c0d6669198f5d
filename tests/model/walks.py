"""Random walks: who says what next, and how long nothing happens before. Half of it leads on, half is anything.

A walk is a list of plain steps, so that it can be played again, and shortened when it shows a fault.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from tests.model.facts import good, hostile
from tests.model.naive import Case
from tests.model.office import OPENS, SAID_BY_PARTNERS, Office
from tests.model.place import (
    AUTHORITIES,
    BROKER,
    HALL,
    LEAD,
    NOBODY,
    ROADS,
    STRANGER,
    THINGS,
    TOWN,
    TREASURY,
    WHOLES,
    WITHIN,
)
from tests.model.sheet import Word

ONE: Final = f"{HALL}/BJ-1"
OTHER: Final = f"{HALL}/TS-1"
FOREIGN: Final = f"{STRANGER}/BJ-1"
NOT_A_PARTNERS: Final = (
    *("receipt.delivered", "receipt.expired", "notice.deadline", "notice.refused", "operator.noted"),
    *("operator.reconciled", "directory.applied", "case.invented"),
)
TYPES: Final = (*sorted(SAID_BY_PARTNERS), *NOT_A_PARTNERS)
KINDS: Final = ("acceptance", "supplement", "decision", "step", "issue", "rectification", "complaint")
WAITS: Final = (
    *[timedelta(0)] * 4,
    *(timedelta(milliseconds=1), timedelta(minutes=7), timedelta(minutes=31), timedelta(hours=3)),
    *(timedelta(hours=20), timedelta(days=1), timedelta(days=2, hours=5), timedelta(days=6)),
    *(timedelta(days=17), timedelta(days=70)),
)
# What leads on, and what tempts: a second supplement, a withdrawal of what was decided.
FORWARD: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "submitted": (("responsible", "case.accepted"),) * 3
    + (("responsible", "case.supplement-requested"),) * 2
    + (("responsible", "case.refused"),),
    "supplement_requested": (("opening", "case.supplemented"),),
    "supplemented": (("responsible", "case.accepted"), ("responsible", "case.supplement-requested")),
    "accepted": (
        ("responsible", "case.step-completed"),
        ("responsible", "case.decided"),
        ("responsible", "case.paused"),
        ("responsible", "case.extended"),
    ),
    "in_review": (
        ("responsible", "case.step-completed"),
        ("responsible", "case.decided"),
        ("responsible", "case.paused"),
        ("responsible", "case.extended"),
    ),
    "paused": (
        ("responsible", "case.resumed"),
        ("responsible", "case.resumed"),
        ("responsible", "case.extended"),
    ),
    "decided": (("responsible", "case.result-issued"), ("opening", "case.rated")),
    "issued": (
        ("opening", "case.withdrawn"),
        ("opening", "case.delivered"),
        ("responsible", "case.delivered"),
        ("opening", "case.rated"),
    ),
    "delivered": (("opening", "case.rated"), ("opening", "case.rated"), ("responsible", "case.rectified")),
    "filed": (("responsible", "complaint.answered"),),
}
BESIDE: Final = (
    *(("responsible", "fee.requested"), ("opening", "fee.paid"), ("treasury", "fee.paid")),
    *(("responsible", "case.rating-appealed"), ("responsible", "case.rectified"), ("opening", "case.urged")),
    ("opening", "case.withdrawn"),
)


@dataclass(frozen=True, kw_only=True)
class Card:
    """A record of a card that the broker writes by itself: late, too early, forged."""

    case: str
    kind: str
    step: str
    light: str
    turn: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """``wait`` passes, with cards falling if supervision is ``awake``; then this is said, all of it at once."""

    wait: timedelta = timedelta(0)
    awake: bool = True
    words: tuple[Word, ...] = ()
    card: Card | None = None
    edition: int | None = None

    def __str__(self) -> str:
        said = [
            f"{each.source}->{each.to} {each.type} on {each.case} (id {each.id}) {dict(each.facts)}"
            for each in self.words
        ]
        more = [*said, *([str(self.card)] if self.card else [])]
        more += [f"edition {self.edition}"] if self.edition is not None else []
        return f"+{self.wait}{'' if self.awake else ' (asleep)'}: {'; '.join(more) or '-'}"


def begin(rng: Random) -> datetime:
    """A moment of 2026 at which a walk starts."""
    minutes = rng.randrange(300 * 24 * 60)
    return datetime(2026, 1, 3, tzinfo=UTC) + timedelta(minutes=minutes, milliseconds=rng.randrange(1000))


class Chance:
    """Chooses the next step of one walk, by what the naive office holds. ``whole``: the item, if of several parts."""

    def __init__(self, rng: Random, whole: str | None = None) -> None:
        self._rng = rng
        self._whole = whole
        self._said: list[Word] = []
        plain = [code for code in THINGS if code not in WHOLES]
        self._item = whole or rng.choice(plain)
        self._mode = rng.choice(["online", "collected", "joint"]) if whole is None else "online"
        self._responsible = LEAD if whole else TOWN

    def next(self, office: Office, now: datetime) -> Step:
        """The next step; ``now`` is the time before it."""
        rng = self._rng
        wait = rng.choice(WAITS)
        at = now + wait
        case = self._some_case(office)
        if case is not None and rng.random() < 0.04:
            return Step(wait=wait, awake=rng.random() < 0.9, card=self._card(case))
        if rng.random() < 0.02:
            return Step(edition=1 - office.edition)
        words = [self._word(office, case, at)]
        while rng.random() < 0.2:
            words.append(self._word(office, self._some_case(office), at))
        return Step(wait=wait, awake=rng.random() < 0.8, words=tuple(words))

    def _some_case(self, office: Office) -> Case | None:
        rng, cases = self._rng, list(office.cases.values())
        alive = [
            each for each in cases if each.status not in ("refused", "withdrawn", "answered", "delivered")
        ]
        if not cases or (not alive and rng.random() < 0.3):
            return None
        return rng.choice(alive if alive and rng.random() < 0.9 else cases)

    def _word(self, office: Office, case: Case | None, at: datetime) -> Word:
        rng = self._rng
        if self._said and rng.random() < 0.06:
            word = replace(rng.choice(self._said), at=at)  # once more, or the id for something else
            if rng.random() < 0.4:
                word = replace(word, answers=f"{STRANGER}/x-{rng.randrange(9)}")
            return word
        if case is None and rng.random() < 0.8:
            word = self._opening(at)
        elif case is None or rng.random() < 0.1:
            word = self._anything(office, at)
        else:
            word = self._on(office, case, at)
        self._said.append(word)
        return word

    def _id(self) -> str:
        return f"m-{len(self._said)}"

    def _opening(self, at: datetime) -> Word:
        rng = self._rng
        type_ = "case.submitted" if rng.random() < 0.93 else "complaint.filed"
        facts = good(type_, None, at)
        if rng.random() < 0.5:
            facts = hostile(type_, facts, at, rng)
        to = self._responsible
        if type_ == "case.submitted":
            facts = facts | self._route()
        elif rng.random() < 0.3:  # by the one door, about what may be no case
            to, facts = BROKER, facts | {"about_case": rng.choice([FOREIGN, OTHER])}
        return Word(
            id=self._id(),
            type=type_,
            source=HALL,
            to=to,
            case=ONE,
            at=at,
            facts=facts,
            item=self._item,
            mode=self._mode,
        )

    def _route(self) -> dict[str, object]:
        if self._item != "yanxian":
            return {"mode": self._mode}
        route = self._rng.sample([*ROADS, AUTHORITIES[0], LEAD], self._rng.choice([1, 2, 2, 3]))
        if self._rng.random() < 0.1:
            route = self._rng.choice([[], [route[0], route[0]], [HALL], [NOBODY]])
        return {"mode": self._mode, "route": route}

    def _on(self, office: Office, case: Case, at: datetime) -> Word:
        """Somebody speaks on a case: mostly what leads on, said well."""
        rng = self._rng
        leads_on = FORWARD.get(case.status, ())
        chance = rng.random()
        if leads_on and chance < 0.6:
            role, type_ = rng.choice(leads_on)
        elif chance < 0.75:
            role, type_ = rng.choice(BESIDE)
        else:
            role, type_ = rng.choice(["opening", "responsible", "responsible", "treasury"]), rng.choice(TYPES)
        if type_ == "case.withdrawn" and rng.random() < 0.5:
            type_ = "case.urged"
        facts = good(type_, case, at)
        if rng.random() < 0.35:
            facts = hostile(type_, facts, at, rng)
        source = {"opening": case.opening, "responsible": case.responsible}.get(role, TREASURY)
        to = case.opening if role == "responsible" else case.responsible
        if rng.random() < 0.03:
            to = rng.choice([STRANGER, HALL, TOWN, LEAD, BROKER])
        fee = case.fee_name or None
        answers = rng.choice([None, fee, f"{TOWN}/m-0"]) if type_ == "fee.paid" else None
        word = Word(
            id=self._id(), type=type_, source=source, to=to, case=case.id, at=at, facts=facts, answers=answers
        )
        return self._opened_again(word) if type_ in OPENS else word

    def _anything(self, office: Office, at: datetime) -> Word:
        rng = self._rng
        type_ = rng.choice(TYPES)
        source = rng.choice([HALL, TOWN, STRANGER, TREASURY, WITHIN, NOBODY, LEAD, AUTHORITIES[0]])
        to = rng.choice([HALL, TOWN, STRANGER, LEAD, BROKER])
        case = rng.choice([ONE, OTHER, FOREIGN, *office.cases])
        facts = good(type_, office.cases.get(case), at)
        late = rng.choice([None, None, None, at, at - timedelta(milliseconds=1), at + timedelta(hours=1)])
        word = Word(
            id=self._id(), type=type_, source=source, to=to, case=case, at=at, facts=facts, expires=late
        )
        if type_ == "complaint.filed" and rng.random() < 0.6:
            word = replace(word, source=HALL, case=OTHER, to=rng.choice([TOWN, BROKER]))
            if word.to == BROKER and rng.random() < 0.6:
                word = replace(
                    word, facts={**facts, "about_case": rng.choice([ONE, OTHER, FOREIGN, *office.cases])}
                )
        return self._opened_again(word) if type_ in OPENS else word

    def _opened_again(self, word: Word) -> Word:
        """What opens a case names an item. The number of no part is a partner's to give (intake sees to it)."""
        rng = self._rng
        case = word.case if "~" not in word.case else ONE
        item = rng.choice([self._item, "putong", "meiyou", None])
        mode = rng.choice([self._mode, "online", None])
        facts = dict(word.facts)
        if word.type == "case.submitted" and item == "yanxian":
            facts |= self._route()
        return replace(word, case=case, item=item, mode=mode, facts=facts)

    def _card(self, case: Case) -> Card:
        rng = self._rng
        kind = rng.choice(KINDS)
        turn = case.promise.turn if case.promise and kind == "decision" else case.supplements
        turn = case.begun_again if kind == "step" else turn
        return Card(
            case=case.id,
            kind=kind,
            step=case.step if kind == "step" and rng.random() < 0.8 else rng.choice(["", "", "SC"]),
            light=rng.choice(["yellow", "red"]),
            turn=max(0, turn + rng.choice([0, 0, 0, -1, 1])),
        )
