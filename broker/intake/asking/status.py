"""Where one message is, as its sender and its recipient see it. Source: contract, ``GET /v1/messages/…``."""

from __future__ import annotations

from enum import StrEnum

from broker.core.ids import party_path
from broker.core.message import from_epoch_ms, rfc3339
from broker.core.operating.desk import Dossier, Standing
from broker.core.records import Position
from broker.intake.ports import Name, Whereabouts
from broker.log.admin.topics import LEDGER
from broker.store.rows import MessageRow


class Stage(StrEnum):
    """The states that a message can be in. From ``delivered`` on they are ends, unless operations take it up again."""

    ACCEPTED = "accepted"
    ROUTED = "routed"
    DELIVERING = "delivering"
    PARKED = "parked"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    EXPIRED = "expired"
    ON_THE_DESK = "on-the-desk"
    RETURNED = "returned"
    SKIPPED = "skipped"


_DECIDED = {Standing.RETURNED: Stage.RETURNED, Standing.SKIPPED: Stage.SKIPPED}
_OUTCOMES = {
    "delivered": Stage.DELIVERED,
    "rejected": Stage.REJECTED,
    "expired": Stage.EXPIRED,
    "undeliverable": Stage.ON_THE_DESK,
}


def stage(found: Whereabouts) -> Stage:
    """The state of a message, derived from all that the store holds of it: what settles it first."""
    row = found.row
    if row.outcome == "undeliverable" and found.dossier is not None:
        return _DECIDED.get(found.dossier.status, Stage.ON_THE_DESK)
    if row.outcome is not None:
        return _OUTCOMES[row.outcome]
    if row.verdict == "refused":
        return Stage.EXPIRED if row.code == "expired" else Stage.REJECTED
    if found.parked:
        return Stage.PARKED
    if found.in_mailbox or found.awaited or found.attempts:
        return Stage.DELIVERING
    return Stage.ROUTED


def accepted_only(name: Name, digest: str, position: Position) -> dict[str, object]:
    """The status of a message that is on the ledger and not yet in the view."""
    return {
        "source": party_path(name[0]),
        "id": name[1],
        "state": Stage.ACCEPTED.value,
        "digest": digest,
        "position": _place(position),
        "attempts": [],
        "receipts": [],
    }


def status_of(found: Whereabouts) -> dict[str, object]:
    """The whole status: state, place, attempts that failed, receipts."""
    row = found.row
    return {
        **message_facts(row),
        "state": stage(found).value,
        "attempts": [
            {
                "attempt": each.attempt,
                "at": rfc3339(from_epoch_ms(each.started_at)),
                "duration_ms": each.duration_ms,
                "result": each.result,
                "detail": each.detail,
                **({"redrive": each.redrive} if each.redrive else {}),
                **({"next_at": rfc3339(from_epoch_ms(each.next_at))} if each.next_at else {}),
            }
            for each in found.attempts
        ],
        "receipts": _receipts(row),
        **_desk(found.dossier, found.redrives),
    }


def message_facts(row: MessageRow) -> dict[str, object]:
    """What both sides may know of one message: no payload, ever."""
    facts: dict[str, object] = {
        "source": party_path(row.source),
        "id": row.id,
        "type": f"cn.tongban.{row.type}",
        "case": row.case_id,
        "destination": party_path(row.destination),
        "class": row.message_class,
        "digest": row.digest,
        "position": _place(Position(LEDGER, row.ledger_partition, row.ledger_offset)),
        "time": rfc3339(from_epoch_ms(row.said_at)),
        "accepted_at": rfc3339(from_epoch_ms(row.accepted_at)),
        "verdict": row.verdict,
    }
    optional = {
        "item": row.item,
        "mode": row.mode,
        "correlationid": row.correlation,
        "code": row.code,
        "detail": row.detail,
        "outcome": row.outcome,
        "expirytime": None if row.expires_at is None else rfc3339(from_epoch_ms(row.expires_at)),
        "outcome_at": None if row.outcome_at is None else rfc3339(from_epoch_ms(row.outcome_at)),
    }
    facts.update((key, fact) for key, fact in optional.items() if fact is not None)
    return facts


def _desk(dossier: Dossier | None, redrives: int) -> dict[str, object]:
    """That it is, or was, on the desk, and since when. Who sees to it, and by when, is the house's own affair."""
    if dossier is None:
        return {}
    desk: dict[str, object] = {
        "status": dossier.status.value,
        "cause": dossier.cause,
        "opened_at": rfc3339(from_epoch_ms(dossier.opened_at_ms)),
        "redrives": redrives,
    }
    if dossier.closed_at_ms is not None:
        desk["closed_at"] = rfc3339(from_epoch_ms(dossier.closed_at_ms))
    return {"desk": desk}


def _receipts(row: MessageRow) -> list[dict[str, object]]:
    if row.receipt_id is None or row.outcome is None:
        return []
    return [
        {
            "id": row.receipt_id,
            "outcome": row.outcome,
            "at": rfc3339(from_epoch_ms(row.outcome_at or 0)),
            "attempts": row.attempts,
            "reference": row.reference,
            "answer": row.answer,
        }
    ]


def _place(position: Position) -> dict[str, object]:
    return {"topic": position.topic, "partition": position.partition, "offset": position.offset}
