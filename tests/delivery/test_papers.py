"""Opening papers: a bundle's parts with their parent's key, and what was destroyed not at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from broker.core.events import compartment_aad
from broker.core.ids import CaseId, MessageId, Party
from broker.core.message import Message, MessageClass
from broker.delivery.lines.papers import Papers
from broker.errors import Corrupt
from broker.log.values.compartment import seal_value
from broker.store.vault import KeyDestroyed
from connectors.base import Features
from connectors.mapping import PartnerMapping
from tests.delivery.fakes import CODEC

PARENT, OTHER = CaseId("430423/1"), CaseId("430423/2")
PART = CaseId("430423/1~luohu")
KEY = bytes(range(32))
WHEN = datetime(2026, 3, 2, tzinfo=UTC)


class Vault:
    """Keys in memory; ``destroyed`` ones raise, as the vault does."""

    def __init__(self, *destroyed: CaseId) -> None:
        self.destroyed = frozenset(destroyed)
        self.asked: list[set[CaseId]] = []

    async def known(self, case_ids: Collection[CaseId]) -> Mapping[CaseId, bytes]:
        self.asked.append(set(case_ids))
        if gone := self.destroyed.intersection(case_ids):
            raise KeyDestroyed(gone)
        return {case: KEY for case in case_ids if case in {PARENT, OTHER}}


def said(type_: str, data: Mapping[str, object], *, case: CaseId, source: str, destination: str) -> Message:
    """A message as its sender said it, nothing sealed yet."""
    return Message(
        id=MessageId("m-1"),
        source=Party(source),
        type=type_,
        case=case,
        destination=Party(destination),
        time=WHEN,
        message_class=MessageClass.INITIAL if type_ == "case.submitted" else MessageClass.RESPONSE,
        digest="sha-256:00",
        dataschema=CODEC.dataschema(type_),
        value=CODEC.encode(type_, data),
    )


async def test_a_parts_key_is_its_parents_and_is_asked_for_once() -> None:
    vault = Vault()
    keys = await Papers(CODEC, vault).keys([PARENT, PART, OTHER, CaseId("430423/none")])
    assert keys == {PARENT: KEY, PART: KEY, OTHER: KEY}
    assert vault.asked == [{PARENT, OTHER, CaseId("430423/none")}]


async def test_a_parent_that_was_erased_erases_its_parts() -> None:
    assert await Papers(CODEC, Vault(PARENT)).keys([PART, PARENT, OTHER]) == {OTHER: KEY}


async def test_a_part_is_opened_with_it_and_with_nothing_else() -> None:
    data: dict[str, object] = {"item_name": "x", "mode": "online", "title": "x", "submitted_at": WHEN}
    submission = said("case.submitted", data, case=PARENT, source="430423", destination="430400")
    sealed = seal_value(
        CODEC, submission.value, b"{}", key=KEY, nonce=bytes(12), aad=compartment_aad(submission)
    )
    copy = replace(submission, id=MessageId("p-1"), case=PART, value=sealed, part_of=submission.name)
    papers = Papers(CODEC, Vault())
    features = Features(opens=True, maps=False)
    key = (await papers.keys([PART]))[PART]
    assert papers.open(copy, key, features, PartnerMapping([])).value == submission.value
    with pytest.raises(Corrupt):
        papers.open(copy, bytes(32), features, PartnerMapping([]))
    with pytest.raises(Corrupt):
        papers.open(copy, None, features, PartnerMapping([]))


async def test_what_an_authority_seals_on_its_part_is_opened_for_the_opening_side_with_the_key_of_the_whole() -> (
    None
):
    """Its own record is brought, not a copy: bound to the part's case and to itself."""
    papers_of: dict[str, object] = {
        "applicant": None,
        "agent": None,
        "documents": [],
        "form": {"证照号码": "无此号码"},
    }
    result = said(
        "case.result-issued",
        {"issued_at": WHEN, "sealed": papers_of},
        case=PART,
        source="430400-weijian",
        destination="430423",
    )
    sealed = seal_value(CODEC, result.value, b"{}", key=KEY, nonce=bytes(12), aad=compartment_aad(result))
    brought = replace(result, value=sealed)
    papers = Papers(CODEC, Vault())
    key = (await papers.keys([PART]))[PART]
    opened = papers.open(brought, key, Features(opens=True, maps=True), PartnerMapping([]))
    assert opened.data is not None
    assert opened.data["sealed"] == papers_of
    assert "无此号码".encode() not in sealed
