"""What the broker says on a bundle's parent for all parts together: values that the codec encodes, and their records.

Ids are derived from the record that caused them, times are that record's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from broker.core.bundle import bundles
from broker.core.bundle.bundles import BundleState, PartState, Saying
from broker.core.case.case_state import CaseState
from broker.core.case.guards import Facts
from broker.core.case.terms import terms
from broker.core.catalogue.directory import Directory
from broker.core.ids import BROKER, PartnerId, Party, derived_id
from broker.core.message import Message, MessageClass, from_epoch_ms, to_headers, value_digest
from broker.core.records import NewRecord, Record
from broker.core.times import china_day
from broker.log.admin import topics
from broker.log.values.codec import Codec

MOST_DOCUMENTS: Final = 200
"""Documents that one ``case.result-issued`` may name (its schema)."""
_MOST_NAME: Final = 200
_MOST_BASIS: Final = 500
_MOST_NOTE: Final = 1000
_NO_BASIS: Final = "中华人民共和国行政许可法第三十二条"
_ALL_WITHDRAWN: Final = "各事项均已撤回"


def joined_words(
    codec: Codec,
    parent: CaseState,
    bundle: BundleState,
    says: Iterable[Saying],
    message: Message,
    facts: Facts,
    record: Record,
    directory: Directory,
) -> list[NewRecord]:
    """The records that say ``says`` on ``parent``, because ``message`` stands; ``bundle`` is its parts after it.

    To the opening partner; where the lead answers, also to the lead, as a message of its own.
    """
    recipients = (parent.opening,) if bundle.answer == "broker" else (parent.opening, parent.responsible)
    written: list[NewRecord] = []
    for saying in says:
        value = codec.encode(saying.type, _datum(saying, parent, bundle, facts, record, directory))
        for recipient in recipients:
            said = _message(codec, saying, parent, bundle, message, record, value, recipient)
            written.append(
                NewRecord(
                    topic=topics.LEDGER,
                    key=topics.ledger_key(parent.case),
                    value=value,
                    headers=to_headers(said),
                    partition=record.position.partition,
                )
            )
    return written


def _message(
    codec: Codec,
    saying: Saying,
    parent: CaseState,
    bundle: BundleState,
    cause: Message,
    record: Record,
    value: bytes,
    recipient: PartnerId,
) -> Message:
    about = saying.part.name if saying.part else ""
    return Message(
        id=derived_id("j", cause.name, saying.type, about, recipient),
        source=BROKER,
        type=saying.type,
        case=parent.case,
        destination=Party(recipient),
        time=from_epoch_ms(record.timestamp_ms),
        message_class=MessageClass.RESPONSE,
        digest=value_digest(value),
        dataschema=codec.dataschema(saying.type),
        value=value,
        item=parent.item or None,
        mode=parent.mode or None,
        correlation=bundle.submission or None,
        traceparent=cause.traceparent,
        source_position=record.position,
    )


def _datum(
    saying: Saying,
    parent: CaseState,
    bundle: BundleState,
    facts: Facts,
    record: Record,
    directory: Directory,
) -> dict[str, object]:
    at = from_epoch_ms(record.timestamp_ms)
    match saying.type:
        case bundles.ACCEPTED:
            return _accepted(saying.part, parent, facts, at, directory)
        case bundles.STEP:
            assert saying.part is not None, "a step is a part's"
            return _step(saying.part, at, directory)
        case bundles.DECIDED:
            granted, reason = bundles.answer(bundle, _item_names(directory))
            return {
                "outcome": "granted" if granted else "denied",
                "decided_at": at,
                "reason": reason,
                "legal_basis": None if granted else bundles.legal_basis(bundle, _MOST_BASIS),
            }
        case bundles.REFUSED:
            _, reason = bundles.answer(bundle, _item_names(directory))
            return {
                "refused_at": at,
                "reason": (reason or "")[:1000],
                "legal_basis": bundles.legal_basis(bundle, _MOST_BASIS) or _NO_BASIS,
            }
        case bundles.WITHDRAWN:
            return {"withdrawn_at": at, "reason": _ALL_WITHDRAWN}
        case _:
            return _issued(bundle, at)


def _accepted(
    part: PartState | None, parent: CaseState, facts: Facts, at: datetime, directory: Directory
) -> dict[str, object]:
    promise = terms(
        directory,
        item=parent.item,
        item_class=parent.item_class,
        opening=parent.opening,
        responsible=parent.responsible,
        sender=BROKER,
    )
    return {
        "accepted_on": facts.get("accepted_on") or china_day(at),
        "promised_days": promise.promised_days or 0,
        "department": _authority(part, directory) if part else None,
    }


def _step(part: PartState, at: datetime, directory: Directory) -> dict[str, object]:
    item = directory.items.get(part.item)
    return {
        "completed_at": at,
        "step": part.name,
        "step_name": (item.name if item and item.name else part.item)[:_MOST_NAME],
        "department": _authority(part, directory),
        "result": bundles.RESULTS[part.status],
        "note": part.reason or None,
    }


def _issued(bundle: BundleState, at: datetime) -> dict[str, object]:
    issued = sorted(
        (each for each in bundle.parts if each.issued_at is not None),
        key=lambda part: part.issued_at or datetime.max.replace(tzinfo=UTC),
    )
    papers = [paper for each in issued for paper in each.papers]
    couriers = [each for each in issued if each.courier_number]
    licences = [each for each in issued if each.licence_name or each.licence_number]
    only = licences[0] if len(licences) == 1 else None
    return {
        "issued_at": at,
        "licence_name": only.licence_name or None if only else None,
        "licence_number": only.licence_number or None if only else None,
        "documents": [paper._asdict() for paper in papers[:MOST_DOCUMENTS]],
        "courier_company": couriers[-1].courier_company or None if couriers else None,
        "courier_number": couriers[-1].courier_number if couriers else None,
        "note": _note([] if only else licences, len(papers) - MOST_DOCUMENTS),
    }


def _note(licences: Iterable[PartState], left_out: int) -> str | None:
    """What has no field of its own in one result of several parts: their licences, and documents that are too many."""
    texts = [f"{each.licence_name} {each.licence_number}".strip() for each in licences]
    if left_out > 0:
        texts.insert(0, f"另有 {left_out} 份结果文书，见各事项办件")
    return "；".join(texts)[:_MOST_NOTE] or None


def _item_names(directory: Directory) -> Mapping[str, str]:
    return {code: item.name for code, item in directory.items.items()}


def _authority(part: PartState, directory: Directory) -> str:
    partner = directory.partners.get(part.authority)
    return (partner.name if partner and partner.name else part.authority)[:_MOST_NAME]
