"""What became of a message, as a value: the outcome, and the facts that a receipt or notice states.

Source: contract, "Ids" (receipt) and "Message types"; AS4, reception awareness.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from broker.core.ids import MessageId, PartnerId, receipt_id
from broker.core.quick import quick


class Outcome(StrEnum):
    """How the delivery of one message to one recipient ended."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNDELIVERABLE = "undeliverable"


TYPES: Final = {
    Outcome.DELIVERED: "receipt.delivered",
    Outcome.REJECTED: "receipt.rejected",
    Outcome.EXPIRED: "receipt.expired",
    Outcome.UNDELIVERABLE: "notice.undeliverable",
}
"""The message type that states each outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The end of one delivery. ``acknowledged`` is ``<source>/<id>`` of the message, ``digest`` its digest.

    ``attempt`` is the one that settled it (0: none was made). ``answer_code`` is the recipient's code or the
    broker's cause, ``detail`` the reason in words (no personal data), ``reference`` the recipient's own
    number. ``dataschema`` is the schema that the recipient got. ``redrive`` is that of the message delivered.
    Times are aware.
    """

    acknowledged: str
    recipient: PartnerId
    outcome: Outcome
    digest: str
    dataschema: str
    attempt: int
    at: datetime
    accepted_at: datetime | None = None
    answer_code: str | None = None
    detail: str | None = None
    reference: str | None = None
    redrive: int = 0

    @property
    def type(self) -> str:
        return TYPES[self.outcome]

    @property
    def id(self) -> MessageId:
        """Deterministic: the same delivery ending the same way makes the same receipt."""
        return receipt_id(self.acknowledged, self.recipient, self.outcome, self.redrive)

    def to_datum(self) -> dict[str, object]:
        """The Avro datum of :attr:`type`."""
        return {
            "acknowledged": self.acknowledged,
            "recipient": self.recipient,
            "digest": self.digest,
            "dataschema": self.dataschema,
            "attempt": self.attempt,
            "at": self.at,
            "accepted_at": self.accepted_at,
            "answer_code": self.answer_code,
            "detail": self.detail,
            "reference": self.reference,
        }


make_receipt = quick(Receipt)
