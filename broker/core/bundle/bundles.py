"""Bundles (一件事) and joint cases (多地联办): the parts of one case, which are opened when, and their one answer.

A bundle's case is the *parent*; each part is a case of its own between the same opening partner and that part's
authority (``ids.part_case``). Everything here is a pure step from one :class:`BundleState` to the next; the
records that carry parts and answers are made by ``broker/exchange/parts.py``.

Guarantees, whatever order the parts' words come in: a part is opened once, and only when all that it comes after
was granted; a part ends once; the whole ends once, when every part has. Source: 国发〔2024〕3号 (一件事), 国办发〔2020〕35号
(多地联办), ADR 0015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from broker.core.bundle.bundle_answer import (
    ACCEPTED,
    DECIDED,
    ISSUED,
    REFUSED,
    RESULTS,
    STEP,
    WITHDRAWN,
    Saying,
    all_issued,
    answer,
    legal_basis,
    owed,
)
from broker.core.bundle.bundle_parts import expand, unfit
from broker.core.bundle.bundle_state import (
    ENDED,
    TAKEN_BACK,
    BundleState,
    Paper,
    PartState,
    PartStatus,
    each_part,
    from_facts,
    to_facts,
)
from broker.core.ids import MessageId, Party

__all__ = [
    "ACCEPTED",
    "DECIDED",
    "ENDED",
    "ISSUED",
    "NOTHING_SAID",
    "REFUSED",
    "RESULTS",
    "STEP",
    "WITHDRAWN",
    "BundleState",
    "Paper",
    "PartState",
    "PartStatus",
    "Said",
    "Saying",
    "Word",
    "all_issued",
    "answer",
    "begin",
    "ended",
    "expand",
    "from_facts",
    "heard",
    "legal_basis",
    "opened",
    "owed",
    "ready",
    "registered",
    "submission_name",
    "to_facts",
    "under_way",
    "unfit",
    "withdraw",
]

MOST_REASON: Final = 300
"""Characters that are kept of an authority's reason; all of it stands in its own message on the part's case."""

WITH_THE_WHOLE: Final = "已随整件撤回"


class Word(StrEnum):
    """What was heard on a part's own case, as far as the whole is concerned."""

    ACCEPTED = "accepted"
    GRANTED = "granted"
    DENIED = "denied"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    ISSUED = "issued"


_ENDS: Final[Mapping[Word, PartStatus]] = {
    Word.GRANTED: PartStatus.GRANTED,
    Word.DENIED: PartStatus.DENIED,
    Word.REFUSED: PartStatus.REFUSED,
    Word.WITHDRAWN: PartStatus.WITHDRAWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a part's message says that the whole's answer repeats. ``at``: the ledger's time of its record."""

    at: datetime | None = None
    reason: str = ""
    legal_basis: str = ""
    papers: tuple[Paper, ...] = ()
    courier_company: str = ""
    courier_number: str = ""
    licence_name: str = ""
    licence_number: str = ""


NOTHING_SAID: Final = Said()


def begin(bundle: BundleState) -> BundleState:
    """From now on parts are opened."""
    return bundle if bundle.begun else replace(bundle, begun=True)


def registered(bundle: BundleState, submission: str, partition: int, offset: int) -> BundleState:
    """What the parts will be copies of, and where on the ledger it stands."""
    return replace(bundle, submission=submission, partition=partition, offset=offset)


def submission_name(bundle: BundleState) -> tuple[Party, MessageId]:
    """Source and id of the parent's submission."""
    source, _, identity = bundle.submission.partition("/")
    return Party(source), MessageId(identity)


def ready(bundle: BundleState) -> tuple[PartState, ...]:
    """The parts to open now: held, and all that they come after granted. None before the bundle has begun."""
    if not bundle.begun:
        return ()
    granted = {each.name for each in bundle.parts if each.status is PartStatus.GRANTED}
    return tuple(
        each for each in bundle.parts if each.status is PartStatus.HELD and granted.issuperset(each.after)
    )


def opened(bundle: BundleState, parts: Sequence[PartState]) -> BundleState:
    """These parts are open: the records that open them are written with the same judgement."""
    names = {each.name for each in parts}
    return each_part(
        bundle, lambda part: replace(part, status=PartStatus.OPEN) if part.name in names else part
    )


def heard(bundle: BundleState, name: str, word: Word, said: Said = NOTHING_SAID) -> BundleState:
    """After something was said on the part ``name``. What cannot be (a second end, an unknown part) changes nothing."""
    part = bundle.part(name)
    if part is None:
        return bundle
    after = _after(part, word, said)
    if after is part:
        return bundle
    changed = each_part(bundle, lambda each: after if each is part else each)
    return _voided(changed) if after.ended and after.status is not PartStatus.GRANTED else changed


def withdraw(bundle: BundleState) -> tuple[BundleState, bool]:
    """The whole is withdrawn: open parts with it, held ones are void, ended ones stay. And whether that ends the parent.

    It does not where the broker answers and a part was granted: the answer is then joined of what there is.
    """
    if bundle.answered:  # the answer is on its way already
        return bundle, all(each.status in TAKEN_BACK for each in bundle.parts)
    after = each_part(bundle, _taken_back)
    if after.answer == "broker" and any(each.status is PartStatus.GRANTED for each in after.parts):
        return after, False
    # A case that has ended is told nothing more.
    told = each_part(after, lambda part: replace(part, told=True))
    return replace(told, answered=True, issued=True), True


def under_way(bundle: BundleState) -> tuple[str, ...]:
    """Names of the parts that have not ended."""
    return tuple(each.name for each in bundle.parts if not each.ended)


def ended(bundle: BundleState) -> bool:
    """Whether every part has ended."""
    return all(each.ended for each in bundle.parts)


def _after(part: PartState, word: Word, said: Said) -> PartState:
    if word is Word.ISSUED:
        return _issued(part, said) if part.status is PartStatus.GRANTED and not part.issued else part
    if part.status is not PartStatus.OPEN:
        return part
    if word is Word.ACCEPTED:
        return part if part.accepted else replace(part, accepted=True)
    status = _ENDS[word]
    if status is PartStatus.GRANTED:
        return replace(part, status=status, accepted=True)
    reason, basis = said.reason[:MOST_REASON], said.legal_basis[:MOST_REASON]
    accepted = part.accepted or status is PartStatus.DENIED
    return replace(part, status=status, accepted=accepted, reason=reason, legal_basis=basis)


def _issued(part: PartState, said: Said) -> PartState:
    return replace(
        part,
        issued_at=said.at,
        papers=said.papers,
        courier_company=said.courier_company,
        courier_number=said.courier_number,
        licence_name=said.licence_name,
        licence_number=said.licence_number,
    )


def _voided(bundle: BundleState) -> BundleState:
    """Held parts that can never open, because what they come after ended without a grant, are void; theirs too."""
    lost = {each.name for each in bundle.parts if each.ended and each.status is not PartStatus.GRANTED}
    while True:
        void = {
            each.name
            for each in bundle.parts
            if each.status is PartStatus.HELD and each.name not in lost and not lost.isdisjoint(each.after)
        }
        if not void:
            break
        lost |= void
    return each_part(
        bundle,
        lambda part: (
            replace(part, status=PartStatus.VOID)
            if part.status is PartStatus.HELD and part.name in lost
            else part
        ),
    )


def _taken_back(part: PartState) -> PartState:
    if part.status is PartStatus.HELD:
        return replace(part, status=PartStatus.VOID, reason=WITH_THE_WHOLE)
    return replace(part, status=PartStatus.WITHDRAWN) if part.status is PartStatus.OPEN else part
