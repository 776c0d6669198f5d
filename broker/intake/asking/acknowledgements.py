"""The body of an acknowledgement: ``{receipts: [{source, id, outcome, code, reason, reference, at}]}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from broker.core.ids import InvalidId, Party, message_id, partner_id, party_from_path
from broker.core.message import parse_time
from broker.core.problems import FieldError, Refusal
from broker.core.receipts import Outcome
from broker.intake.options import IntakeOptions
from broker.intake.ports import Name
from broker.intake.submitting.strict_json import NotStrict, read

T = TypeVar("T")

MOST_TEXT: Final = 1000
"""Characters of a reason or reference: they travel in the receipt."""

_MEMBERS: Final = frozenset({"source", "id", "outcome", "code", "reason", "reference", "at"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What a partner says of one message that it got."""

    name: Name
    outcome: Outcome
    code: str | None
    reason: str | None
    reference: str | None
    at: datetime | None


def read_acknowledgements(
    body: bytes, options: IntakeOptions
) -> Sequence[Acknowledgement | Refusal] | Refusal:
    """What a request acknowledges, in its order, each read or refused by itself; or why all of it is refused."""
    try:
        document = read(body, depth=options.json_depth)
    except NotStrict as fault:
        return Refusal(code="json-invalid", detail="the body is not strict JSON", errors=(fault.error,))
    receipts = document.get("receipts") if isinstance(document, dict) else None
    if not isinstance(receipts, list) or not receipts:
        wrong = FieldError(pointer="/receipts", expected="an array of at least one receipt")
        return Refusal(code="event-invalid", detail="the body holds no receipts", errors=(wrong,))
    if len(receipts) > options.batch_messages:
        return Refusal(code="too-large", detail=f"at most {options.batch_messages} receipts at once")
    return [_one(index, each) for index, each in enumerate(receipts)]


def _one(index: int, receipt: object) -> Acknowledgement | Refusal:
    if not isinstance(receipt, dict):
        return _faulty([FieldError(pointer=f"/receipts/{index}", expected="a JSON object")])
    reading = _Reading(receipt, f"/receipts/{index}")
    source = reading.text("source", _party, "/partners/<partner id>")
    identity = reading.text("id", message_id, "1 to 64 of [A-Za-z0-9_-]")
    outcome = reading.text("outcome", _outcome, "delivered or rejected")
    at = reading.text("at", _time, "RFC 3339 with an offset", required=False)
    code = reading.text("code", _words(64), "1 to 64 visible characters", required=False)
    reason = reading.text("reason", _words(MOST_TEXT), f"at most {MOST_TEXT} characters", required=False)
    reference = reading.text(
        "reference", _words(MOST_TEXT), f"at most {MOST_TEXT} characters", required=False
    )
    if not receipt.keys() <= _MEMBERS:
        reading.errors.append(
            FieldError(pointer=f"/receipts/{index}", expected=f"only {', '.join(sorted(_MEMBERS))}")
        )
    if source is None or identity is None or outcome is None or reading.errors:
        return _faulty(reading.errors)
    return Acknowledgement(
        name=(source, identity), outcome=outcome, code=code, reason=reason, reference=reference, at=at
    )


class _Reading:
    """One receipt being read; each fault is noted."""

    def __init__(self, members: Mapping[str, object], at: str) -> None:
        self._members = members
        self._at = at
        self.errors: list[FieldError] = []

    def text(
        self, name: str, read_text: Callable[[str], T], expected: str, *, required: bool = True
    ) -> T | None:
        found = self._members.get(name)
        if found is None and not required:
            return None
        try:
            if isinstance(found, str):
                return read_text(found)
        except (InvalidId, ValueError):
            pass
        self.errors.append(FieldError(pointer=f"{self._at}/{name}", expected=expected))
        return None


def _faulty(errors: Sequence[FieldError]) -> Refusal:
    return Refusal(code="event-invalid", detail="a receipt has faults; see errors", errors=tuple(errors))


def _party(text: str) -> Party:
    return party_from_path(text) if text.startswith("/") else Party(partner_id(text))


def _outcome(text: str) -> Outcome:
    outcome = Outcome(text)
    if outcome not in {Outcome.DELIVERED, Outcome.REJECTED}:
        raise ValueError("a partner delivers or rejects; the rest is the broker's to say")
    return outcome


def _time(text: str) -> datetime:
    moment = parse_time(text)
    if not 1970 <= moment.year < 9999:
        raise ValueError("beyond the calendar")
    return moment


def _words(most: int) -> Callable[[str], str]:
    def read_words(text: str) -> str:
        if not 0 < len(text) <= most or not text.isprintable():
            raise ValueError("not of its length")
        return text

    return read_words
