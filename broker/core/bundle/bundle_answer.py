"""The one answer of a bundle: what the broker is to say on the parent, and when. See :mod:`broker.core.bundle.bundles`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from broker.core.bundle.bundle_state import TAKEN_BACK, BundleState, PartState, PartStatus, each_part

ACCEPTED: Final = "case.accepted"
STEP: Final = "case.step-completed"
DECIDED: Final = "case.decided"
REFUSED: Final = "case.refused"
WITHDRAWN: Final = "case.withdrawn"
ISSUED: Final = "case.result-issued"


MOST_ANSWER: Final = 2000


RESULTS: Final[Mapping[PartStatus, str]] = {
    PartStatus.GRANTED: "准予",
    PartStatus.DENIED: "不予",
    PartStatus.REFUSED: "不予受理",
    PartStatus.WITHDRAWN: "已撤回",
    PartStatus.VOID: "前置未通过",
}
"""How a part ended, as the applicant reads it."""


class Saying(NamedTuple):
    """A message type that the broker is to say on the parent, and the part that it is about; None: about all."""

    type: str
    part: PartState | None


def owed(bundle: BundleState) -> tuple[tuple[Saying, ...], BundleState]:
    """What the broker is to say on the parent now, in this order; and the bundle once it is said.

    Where the lead answers, only which parts have ended. Else also that the whole is accepted (with the first part
    accepted; what ends before that is told after it), its answer (when all have ended: ``case.decided``; where none was
    accepted, ``case.refused``; where all were withdrawn, ``case.withdrawn``), and its result (when it was decided and all
    granted parts have issued theirs).
    """
    says: list[Saying] = []
    joins = bundle.answer == "broker"
    first = next((each for each in bundle.parts if each.accepted), None)
    if joins and first is not None and not bundle.accepted:
        says.append(Saying(ACCEPTED, first))
        bundle = replace(bundle, accepted=True)
    if bundle.accepted or not joins:
        says += [Saying(STEP, each) for each in bundle.parts if each.ended and not each.told]
        bundle = each_part(bundle, lambda part: replace(part, told=True) if part.ended else part)
    if joins and not bundle.answered and all(each.ended for each in bundle.parts):
        says.append(Saying(_answering(bundle), None))
        bundle = replace(bundle, answered=True)
    if (
        joins
        and bundle.answered
        and not bundle.issued
        and _answering(bundle) == DECIDED
        and all_issued(bundle)
    ):
        says.append(Saying(ISSUED, None))
        bundle = replace(each_part(bundle, lambda part: replace(part, papers=())), issued=True)
    return tuple(says), bundle


def _answering(bundle: BundleState) -> str:
    if all(each.status in TAKEN_BACK for each in bundle.parts):
        return WITHDRAWN
    return DECIDED if bundle.accepted else REFUSED


def answer(bundle: BundleState, names: Mapping[str, str] | None = None) -> tuple[bool, str | None]:
    """The answer of the parts together: granted or not, and what was not granted, why; None: all was.

    Where the broker answers, it is granted if any part was; where the lead does, it can be only if all were.
    ``names``: the items' names by code, for the applicant to read. At most :data:`MOST_ANSWER` characters.
    """
    names = names or {}
    short = [each for each in bundle.parts if each.status is not PartStatus.GRANTED]
    granted = not short if bundle.answer == "lead" else len(short) < len(bundle.parts)
    if not short:
        return granted, None
    text = "；".join(_sentence(each, names) for each in short)
    return granted, text if len(text) <= MOST_ANSWER else f"{text[: MOST_ANSWER - 1]}…"


def legal_basis(bundle: BundleState, most: int) -> str | None:
    """The provisions that the parts' denials and refusals rest on, each once."""
    found = list(dict.fromkeys(each.legal_basis for each in bundle.parts if each.legal_basis))
    return "；".join(found)[:most] or None


def all_issued(bundle: BundleState) -> bool:
    """Whether every part that was granted has issued its result. Where none was, the decision is all there is to issue:
    who was denied everything has an answer that is delivered too, and the case an end.
    """
    return all(each.issued for each in bundle.parts if each.status is PartStatus.GRANTED)


def _sentence(part: PartState, names: Mapping[str, str]) -> str:
    result = RESULTS.get(part.status, "办理中")
    named = f"{names.get(part.item, part.item)}：{result}"
    return f"{named}（{part.reason}）" if part.reason else named
