"""Acts of named persons as records of the ledger: on the desk's dossiers, and on the levers of a partner's line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal, assert_never

from broker.core.ids import BROKER, CaseId, PartnerId, Party, derived_id
from broker.core.message import Message, MessageClass, rfc3339, to_headers, value_digest
from broker.core.operating.desk import Act, Dossier
from broker.core.operating.levers import levers_case
from broker.core.records import NewRecord
from broker.log.admin import topics
from broker.log.values.codec import Codec

Lever = Literal["paused", "resumed", "limited", "probed"]


def act_record(
    codec: Codec,
    act: Act,
    dossier: Dossier,
    *,
    by: str,
    reason: str,
    now: datetime,
    ledger_partitions: int,
    owner: str | None = None,
    due_on: date | None = None,
    note: str | None = None,
) -> NewRecord:
    """The act of ``by`` on a dossier, as a record of its case; the exchange judges it in the log's order.

    ``owner`` and ``due_on`` are for :attr:`Act.ASSIGNED` (None: as before), ``note`` for :attr:`Act.NOTED`.
    The same act at the same time is the same record. Raises WrongUse when a fact does not fit its schema.
    """
    facts: dict[str, object] = {"message": dossier.message, "partner": dossier.partner}
    match act:
        case Act.ASSIGNED:
            facts |= {"owner": owner or dossier.owner, "due_on": due_on}
            to = BROKER
        case Act.NOTED:
            facts = {"message": dossier.message, "note": note}
            to = BROKER
        case Act.RETURNED:
            to = dossier.name[0]
        case Act.REDRIVEN | Act.SKIPPED:
            to = Party(dossier.partner)
        case _ as never:
            assert_never(never)
    said = {**facts, "by": by, "reason": reason, "at": now}
    return _record(codec, act.type, dossier.case, to, said, now, ledger_partitions, of=dossier.message)


def lever_record(
    codec: Codec,
    kind: Lever,
    partner: PartnerId,
    *,
    by: str,
    reason: str,
    now: datetime,
    ledger_partitions: int,
    in_flight: int | None = None,
    per_second: float | None = None,
    batch: int | None = None,
    queue_bytes: int | None = None,
) -> NewRecord:
    """A lever pulled by ``by``: pause, resume, limits (None: as the directory says) or probe of a partner's line."""
    said: dict[str, object] = {"partner": partner, "by": by, "reason": reason, "at": now}
    if kind == "limited":
        said |= {
            "in_flight": in_flight,
            "per_second": per_second,
            "batch": batch,
            "queue_bytes": queue_bytes,
        }
    case = levers_case(partner)
    return _record(codec, f"operator.{kind}", case, BROKER, said, now, ledger_partitions, of=None)


def _record(
    codec: Codec,
    type_: str,
    case: CaseId,
    to: Party,
    said: Mapping[str, object],
    now: datetime,
    ledger_partitions: int,
    *,
    of: str | None,
) -> NewRecord:
    value = codec.encode(type_, dict(said))
    message = Message(
        id=derived_id("o", type_, of or case, str(said["by"]), rfc3339(now)),
        source=BROKER,
        type=type_,
        case=case,
        destination=to,
        time=now,
        message_class=MessageClass.INITIAL,
        digest=value_digest(value),
        dataschema=codec.dataschema(type_),
        value=value,
        correlation=of,
    )
    return NewRecord(
        topic=topics.LEDGER,
        key=topics.ledger_key(case),
        value=value,
        headers=to_headers(message),
        partition=topics.ledger_partition(case, ledger_partitions),
    )
