"""A bundle's parts and its one answer, as records: copies that open and withdraw parts, and the broker's joined words.

Everything follows from the record that is judged, the states and the ledger: judged again, it makes the same ids and
bytes. All of it stands on the parent's partition, so that parent and parts have one order. Source: ADR 0015.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Final, cast

from broker.core.bundle import bundles
from broker.core.bundle.bundles import BundleState, PartState, PartStatus, Said, Word
from broker.core.case.case_state import CaseState, Status, evolve
from broker.core.case.guards import Facts
from broker.core.catalogue.directory import Directory
from broker.core.ids import CaseId, Party, derived_id, part_case, split_part
from broker.core.message import Message, from_epoch_ms, from_record, to_headers
from broker.core.records import NewRecord, Position, Record
from broker.exchange.joined_words import joined_words
from broker.log.admin import topics
from broker.log.values.codec import Codec
from broker.store.rows import Name
from broker.telemetry import get_log

_log = get_log("exchange")

States = MutableMapping[CaseId, CaseState]
"""Cases by id, of which what changed is to be stored: whoever gives them notes what is set."""

_WORDS: Final[Mapping[str, Word]] = {
    bundles.ACCEPTED: Word.ACCEPTED,
    bundles.REFUSED: Word.REFUSED,
    bundles.WITHDRAWN: Word.WITHDRAWN,
    bundles.ISSUED: Word.ISSUED,
}


def current(states: Mapping[CaseId, CaseState], message: Message) -> CaseState | None:
    """The state that ``message`` is to be judged on: its case's, as its bundle sees it.

    When the whole was withdrawn, its open parts are from that very record on, though the copies that say so to their
    authorities come later on the ledger: a decision between the two is refused. The copy itself always stands.
    """
    state = states.get(message.case)
    if state is None or state.part_of is None:
        return state
    parent, named = states.get(state.part_of), split_part(message.case)
    part = parent.bundle.part(named[1]) if parent and parent.bundle and named else None
    if part is None or part.status is not PartStatus.WITHDRAWN:
        return state
    if message.part_of is None:
        return evolve(state, {"status": Status.WITHDRAWN, "ended_at": state.ended_at or state.updated_at})
    if state.status is Status.WITHDRAWN:  # what was said meanwhile must not keep the copy from its authority
        return evolve(state, {"status": Status.SUBMITTED, "ended_at": None})
    return state


def whole_of(states: Mapping[CaseId, CaseState], message: Message) -> CaseState | None:
    """The case of which ``message`` opens a part, by a copy that the broker made: the part is under the terms of the
    whole, whichever directory is in force when it is opened. None: it is no such copy.
    """
    named = split_part(message.case) if message.part_of is not None else None
    return states.get(named[0]) if named is not None else None


def follow(
    codec: Codec,
    states: States,
    message: Message,
    facts: Facts,
    record: Record,
    *,
    before: CaseState | None,
    directory: Directory,
    originals: MutableMapping[Name, Record],
) -> list[NewRecord]:
    """What becomes of a bundle when ``message`` stands: the records for its ledger partition, in their order.

    To be called when ``states`` holds the case's new state; ``before`` is the one before. Changes the parent's in
    ``states``, and puts a parent's submission into ``originals``: parts that open later are copies of it, and those of
    earlier batches are there already (``originals.py``). ``directory``: the one that the case was opened under.
    Costs two comparisons for a case that has no parts and is none.
    """
    state = states.get(message.case)
    if state is None:
        return []
    if state.bundle is not None:
        parent, bundle, outputs = state, state.bundle, []
        if message.type == _SUBMITTED:
            position = record.position
            bundle = bundles.registered(bundle, message.name, position.partition, position.offset)
            originals[message.source, message.id] = record
            bundle = bundles.begin(bundle) if bundle.answer == "broker" else bundle
        elif message.type == bundles.ACCEPTED and bundle.answer == "lead":
            bundle = bundles.begin(bundle)
        elif message.type == bundles.WITHDRAWN:
            outputs = _withdrawals(record, message, before, bundle)
    elif state.part_of is not None:
        found = states.get(state.part_of)
        if found is None or found.bundle is None:
            return []
        parent, bundle, outputs = found, _heard(found.bundle, message, facts, record), []
    else:
        return []
    bundle, opened = _open(record, parent, bundle, originals)
    says, after = bundles.owed(bundle)
    if after is not parent.bundle:
        states[parent.case] = evolve(parent, {"bundle": after})
    return [
        *outputs,
        *opened,
        *joined_words(codec, parent, bundle, says, message, facts, record, directory),
    ]


def open_part_record(original: Record, part: PartState, source: Position) -> NewRecord:
    """The parent's submission ``original`` as the submission of one part, derived from the record at ``source``.

    The value's bytes are untouched; its compartment opens with the parent's key (``events.compartment_aad``). The
    parent's expiry is over: it was in time. Nobody signed the copy, so it has no signature: the original has it.
    """
    return _copy(original, from_record(original), part, source)


def withdrawn_part_record(record: Record, message: Message, part: PartState) -> NewRecord:
    """The withdrawal of the whole as the withdrawal of one open part."""
    return _copy(record, message, part, record.position)


_SUBMITTED: Final = "case.submitted"


def _copy(original: Record, message: Message, part: PartState, source: Position) -> NewRecord:
    copy = replace(
        message,
        id=derived_id("p", message.name, part.name),
        case=part_case(message.case, part.name),
        destination=Party(part.authority),
        item=part.item,
        correlation=message.name,
        expires=None,
        sequence=None,
        signature=None,
        signed=None,
        trusted_channel=False,
        accepted_at=None,
        source_position=source,
        part_of=message.name,
    )
    return NewRecord(
        topic=topics.LEDGER,
        key=topics.ledger_key(message.case),
        value=original.value,
        headers=to_headers(copy),
        partition=source.partition,
    )


def _open(
    record: Record, parent: CaseState, bundle: BundleState, originals: Mapping[Name, Record]
) -> tuple[BundleState, list[NewRecord]]:
    """Open what is ready. Without the submission's record nothing is: the parts stay held, and that is told."""
    due = bundles.ready(bundle)
    if not due:
        return bundle, []
    original = originals.get(bundles.submission_name(bundle))
    if original is None:
        _log.error("parts_not_opened", case=parent.case, position=str(record.position), count=len(due))
        return bundle, []
    records = [open_part_record(original, part, record.position) for part in due]
    return bundles.opened(bundle, due), records


def _withdrawals(
    record: Record, message: Message, before: CaseState | None, after: BundleState
) -> list[NewRecord]:
    if before is None or before.bundle is None:
        return []
    open_before = {each.name for each in before.bundle.parts if each.status is PartStatus.OPEN}
    return [
        withdrawn_part_record(record, message, part)
        for part in after.parts
        if part.name in open_before and part.status is PartStatus.WITHDRAWN
    ]


def _heard(bundle: BundleState, message: Message, facts: Facts, record: Record) -> BundleState:
    word = _WORDS.get(message.type)
    if message.type == bundles.DECIDED:
        word = Word.GRANTED if facts.get("outcome") == "granted" else Word.DENIED
    named = split_part(message.case)
    if word is None or named is None:
        return bundle
    return bundles.heard(bundle, named[1], word, _said(facts, record))


def _said(facts: Facts, record: Record) -> Said:
    documents = cast("Sequence[Mapping[str, object]]", facts.get("documents") or ())
    return Said(
        at=from_epoch_ms(record.timestamp_ms),
        reason=_text(facts, "reason"),
        legal_basis=_text(facts, "legal_basis"),
        papers=tuple(
            bundles.Paper(
                title=str(each["title"]),
                media_type=str(each["media_type"]),
                sha256=str(each["sha256"]),
                size=cast("int", each["size"]),
            )
            for each in documents
        ),
        courier_company=_text(facts, "courier_company"),
        courier_number=_text(facts, "courier_number"),
        licence_name=_text(facts, "licence_name"),
        licence_number=_text(facts, "licence_number"),
    )


def _text(facts: Facts, name: str) -> str:
    found = facts.get(name)
    return found if isinstance(found, str) else ""
