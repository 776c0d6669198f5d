"""What records do to the desk and to the levers: failures open dossiers, acts of persons change them.

Everything follows from the record, the dossiers that the view holds and the originals on the ledger: judged
again, it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import cast

from broker.core.case.routing import Acted, Settled
from broker.core.catalogue.directory import Directory
from broker.core.ids import BROKER, CaseId, PartnerId, Party
from broker.core.message import Message, as_partner, is_partner
from broker.core.operating import desk, levers
from broker.core.operating.desk import Act, Dossier
from broker.core.operating.desk_lanes import Desk
from broker.core.operating.levers import Levers
from broker.core.problems import Refusal
from broker.core.receipts import Outcome
from broker.core.records import Record
from broker.errors import Corrupt
from broker.exchange import rows
from broker.log.values.codec import Codec, Datum
from broker.store.rows import ActRow, Name


def facts_of(codec: Codec, message: Message) -> Datum:
    """What a record of the broker's own says. Raises :class:`Corrupt` when that is not a value of its type."""
    decoded = codec.decode(message.value)
    if decoded.schema.type != message.type:
        raise Corrupt(f"a value of {decoded.schema.type} under the type {message.type}")
    return decoded.datum


def clear_facts_of(codec: Codec, message: Message) -> Datum:
    """What a record says in clear: the compartment, sealed or not, is not looked at. Raises :class:`Corrupt`."""
    if not codec.schema_of(message.value).has_compartment:
        return facts_of(codec, message)
    decoded, _ = codec.decode_head(message.value)
    if decoded.schema.type != message.type:
        raise Corrupt(f"a value of {decoded.schema.type} under the type {message.type}")
    return decoded.datum


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A dossier after a record, the entry of its history, and the partners that are told by that record itself.

    ``redriven``: the original record, to be put on the partner's outbox anew.
    """

    dossier: Dossier
    entry: ActRow
    told: tuple[PartnerId, ...] = ()
    redriven: Record | None = None


def after_outcome(
    book: Desk, facts: Datum, record: Record, settled: Settled, case: CaseId, place: tuple[int, int]
) -> Change | None:
    """What the end of a delivery does to the desk. ``place``: where its message stands on the ledger.

    A message that was delivered and never was on the desk (the rule) leaves it alone: None. A delivery of one
    that held its lane from the desk is told to its recipient's outbox too, so that the lane is let go there.
    """
    at_ms = record.timestamp_ms
    name = cast("Name", settled.name)
    before = book.find(name)
    if settled.outcome is Outcome.DELIVERED:
        if before is None:
            return None
        entry = rows.act_row(record, before, desk.DELIVERED, by=BROKER, reason="")
        told = (before.partner,) if before.holds_its_lane else ()
        return Change(dossier=desk.delivered(before, at_ms=at_ms), entry=entry, told=told)
    cause = cast("str | None", facts["answer_code"]) or settled.outcome.value
    detail = cast("str | None", facts["detail"]) or ""
    if before is None:
        after = desk.opened(
            name,
            partner=PartnerId(cast("str", facts["recipient"])),
            case=case,
            outcome=settled.outcome,
            cause=cause,
            detail=detail,
            place=place,
            at_ms=at_ms,
        )
    else:
        after = desk.failed_again(before, outcome=settled.outcome, cause=cause, detail=detail, at_ms=at_ms)
    entry = rows.act_row(record, after, desk.FAILED, by=BROKER, reason=cause, detail=detail)
    return Change(dossier=after, entry=entry)


def after_act(
    book: Desk,
    codec: Codec,
    record: Record,
    message: Message,
    acted: Acted,
    originals: Mapping[Name, Record],
    directory: Directory,
) -> Change | Refusal:
    """What a person's act does to the desk. Raises :class:`Corrupt` when its value does not read."""
    facts = facts_of(codec, message)
    dossier = _dossier(book, message, facts, acted)
    answer = desk.act(
        dossier,
        acted.act,
        at_ms=record.timestamp_ms,
        first=None if dossier is None else book.first(dossier.partner, dossier.case),
        owner=cast("str | None", facts.get("owner")),
        due_on=cast("date | None", facts.get("due_on")),
    )
    if isinstance(answer, Refusal):
        return answer
    assert dossier is not None, "an act on no dossier is refused"
    original = None
    if acted.act is Act.REDRIVEN:
        if dossier.partner not in directory.partners:
            return Refusal(code="partner-unknown", detail=f"{dossier.partner} is not in the directory")
        original = originals.get(dossier.name)
        if original is None:
            return Refusal(code="original-missing", detail=f"the ledger has no record of {dossier.message}")
    entry = rows.act_row(
        record,
        answer,
        acted.act.value,
        by=cast("str", facts["by"]),
        reason=cast("str", facts["reason"]),
        detail=_detail(acted.act, facts, answer),
    )
    return Change(dossier=answer, entry=entry, told=_told(acted.act, dossier), redriven=original)


def after_pull(codec: Codec, record: Record, message: Message, before: Levers) -> Levers:
    """The levers of a line after this record. Raises :class:`Corrupt` when its value does not read."""
    facts = facts_of(codec, message)
    if facts["partner"] != before.partner:
        raise Corrupt("a lever of one partner under the key of another")
    try:
        return levers.pull(before, message.type, facts, record.timestamp_ms)
    except ValueError as fault:
        raise Corrupt(str(fault)) from fault


def _dossier(book: Desk, message: Message, facts: Datum, acted: Acted) -> Dossier | None:
    """The dossier that an act names, if it names it right: by message, case and partner, in key and value."""
    found = book.find(acted.name)
    if found is None or found.case != message.case or facts.get("message") != found.message:
        return None
    wrong_partner = facts.get("partner", found.partner) != found.partner
    redriven_elsewhere = acted.act is Act.REDRIVEN and message.destination != Party(found.partner)
    return None if wrong_partner or redriven_elsewhere else found


def _told(act: Act, dossier: Dossier) -> tuple[PartnerId, ...]:
    """Whose outboxes get the act itself: the sender's if it comes back, the recipient's if its lane is let go."""
    told: list[PartnerId] = []
    sender = dossier.name[0]
    if act is Act.RETURNED and is_partner(sender):
        told.append(as_partner(sender))
    if act in {Act.RETURNED, Act.SKIPPED} and dossier.holds_its_lane and dossier.partner not in told:
        told.append(dossier.partner)
    return tuple(told)


def _detail(act: Act, facts: Datum, after: Dossier) -> str:
    if act is Act.ASSIGNED:
        due_on = facts["due_on"]
        return after.owner if due_on is None else f"{after.owner} · {due_on}"
    return cast("str", facts["note"]) if act is Act.NOTED else ""
