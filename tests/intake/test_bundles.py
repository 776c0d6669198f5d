"""Bundles at the partner API: which case numbers they may have, where what is said on parts goes, with whose key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from broker.core.bundle.bundles import BundleState, begin, expand, opened, ready
from broker.core.case.lifecycle import CaseState, Status
from broker.core.catalogue.directory import read_directory
from broker.core.events import compartment_aad, structured_event
from broker.core.ids import CaseId, part_case
from broker.core.message import Mode
from broker.log.admin.topics import ledger_partition
from broker.log.values.compartment import open_value
from broker.store.vault import KeyDestroyed
from tests.intake.fakes import (
    CODEC,
    ITEM,
    START,
    A,
    B,
    C,
    FakeKeys,
    World,
    documents,
    event,
    example,
    world,
)
from tests.intake.test_mailboxes import acknowledge, message

PARENT = CaseId(f"{A}/2026-0001")
PART = part_case(PARENT, "luohu")


def with_a_bundle(here: World) -> None:
    here.directory.directory = read_directory(
        {
            **documents(),
            f"bundles/{ITEM}.toml": (
                f'code="{ITEM}"\nname="一件事"\nlead="{B}"\nanswer="broker"\n'
                f'parts=[{{name="luohu", item="{ITEM}", authority="{B}"}},'
                f' {{name="canbao", item="{ITEM}", authority="{C}", after=["luohu"]}}]\n'
            ),
        }
    )


def a_part() -> CaseState:
    return CaseState(
        case=PART,
        opening=A,
        responsible=B,
        item=ITEM,
        mode=Mode.COLLECTED,
        status=Status.SUBMITTED,
        opened_at=START,
        updated_at=START,
        part_of=PARENT,
    )


def urged(case: str = PART) -> dict[str, object]:
    return event(
        subject=case, type="cn.tongban.case.urged", data=example("case.urged"), item=..., mode=..., id="m-9"
    )


async def test_a_number_that_leaves_no_room_for_parts_is_refused_for_a_bundle_alone() -> None:
    long = f"{A}/" + "9" * 40
    async with world() as here:
        assert (await here.post(event(subject=long))).status == 202
    async with world() as here:
        with_a_bundle(here)
        reply = await here.post(event(subject=long))
        assert (reply.status, reply.code, reply.pointers) == (400, "event-invalid", ["/subject"])
        assert here.ledger.records == []
        assert (await here.post(event(subject=f"{A}/" + "9" * 39))).status == 202


async def test_what_is_said_on_a_part_stands_on_its_parents_partition_under_its_key() -> None:
    async with world() as here:
        here.view.cases[PART] = a_part()
        reply = await here.post(urged())
        assert reply.status == 202, reply.content
        (record,) = here.ledger.records
        (said,) = here.ledger.messages
        assert (said.case, record.key) == (PART, PARENT.encode())
        assert record.position.partition == ledger_partition(PARENT, 8)
        key = (await here.keys.keys([PARENT]))[PARENT]
        opened = open_value(CODEC, record.value, key=key, aad=compartment_aad(said))
        assert opened.verbatim != b""


async def test_a_case_that_was_erased_takes_nothing_on_its_parts_either() -> None:
    class Erased(FakeKeys):
        async def keys(self, case_ids: Collection[CaseId]) -> Mapping[CaseId, bytes]:
            if PARENT in case_ids:
                raise KeyDestroyed(frozenset({PARENT}))
            return await super().keys(case_ids)

    async with world(keys=Erased()) as here:
        here.view.cases[PART] = a_part()
        reply = await here.post(urged())
        assert (reply.status, reply.code) == (422, "case-unknown")
        assert here.ledger.records == []


async def test_both_sides_of_a_bundles_case_see_its_parts_and_a_parts_authority_sees_whose_it_is() -> None:
    async with world() as here:
        with_a_bundle(here)
        expanded = expand(here.directory.directory.bundles[ITEM], case=PARENT)
        assert isinstance(expanded, BundleState)
        begun = begin(expanded)
        begun = opened(begun, ready(begun))
        here.view.cases[PARENT] = replace(a_part(), case=PARENT, part_of=None, bundle=begun)
        here.view.cases[PART] = a_part()
        parent = (await here.get(f"/v1/cases/{PARENT}", caller=A)).json
        assert parent["parts"] == [
            {
                "name": "luohu",
                "item": ITEM,
                "authority": f"/partners/{B}",
                "after": [],
                "status": "open",
                "case": PART,
            },
            {
                "name": "canbao",
                "item": ITEM,
                "authority": f"/partners/{C}",
                "after": ["luohu"],
                "status": "held",
                "case": f"{PARENT}~canbao",
            },
        ]
        assert "parent" not in parent
        part = (await here.get(f"/v1/cases/{PART}", caller=B)).json
        assert (part["case"], part["parent"]) == (PART, PARENT)
        assert "parts" not in part


async def test_a_pulled_copy_says_whose_part_it_is_and_its_receipt_that_it_is_a_copy() -> None:
    async with world() as here:
        copy = replace(message(), case=PART, part_of=f"{A}/m-0")
        here.mailboxes.place(B, copy)
        pulled = (await here.get("/v1/mailbox", caller=B)).json["messages"]
        assert pulled == [structured_event(copy, {"opened": copy.name})]
        assert isinstance(pulled, list)
        assert pulled[0]["parent"] == PARENT
        await acknowledge(here, {"source": f"/partners/{A}", "id": "m-1", "outcome": "delivered"})
        (receipt,) = here.ledger.messages
        assert (receipt.type, receipt.part_of) == ("receipt.delivered", f"{A}/m-0")
        assert here.ledger.records[0].key == PARENT.encode()
