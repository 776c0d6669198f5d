"""A case that is there is judged at the door under the directory that it was opened under, as the exchange judges it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from broker.core.case import routing
from broker.core.case.case_state import CaseState, Fee, Rating, Status
from broker.core.case.lifecycle import Advanced
from broker.core.case.routing import Applied, Refused
from broker.core.catalogue.directory import Directory, read_directory
from broker.core.problems import Refusal
from broker.core.times import china_day
from broker.intake.adapters import StoreView
from broker.intake.submitting.events import Origin, Submission, check
from broker.intake.submitting.judging import Judge
from broker.store.access.engine import Store
from broker.store.rows import DirectoryRow
from broker.store.view import ledger_view
from broker.store.view.ledger_view import LedgerBatch
from tests.intake.fakes import (
    CODEC,
    ITEM,
    START,
    A,
    B,
    C,
    FakeDirectory,
    FakeView,
    documents,
    event,
    example,
    world,
)
from tests.intake.test_submissions import CASE, state

TREASURY = f'treasury_for = ["{B}"]\n'


def changed(**files: str | None) -> Directory:
    """The directory of these tests, some of its documents written otherwise or (None) left out."""
    found = {**documents(), **{name.replace("__", "/"): text for name, text in files.items()}}
    return read_directory({path: text for path, text in found.items() if text is not None})


def with_treasury() -> Directory:
    text = documents()[f"partners/{C}.toml"]
    return changed(**{f"partners/{C}.toml": text.replace("[connector]", f"{TREASURY}[connector]")})


PLAIN = read_directory(documents())
ENDED = documents()[f"agreements/{B}--{A}.toml"] + "until = 2021-01-01\n"
OTHER = documents()[f"agreements/{B}--{A}.toml"].replace(ITEM, "000109017000")
NARROW = f'code = "{ITEM}"\nname = "Item"\npromised_days = 1\n'
BUNDLE = f"""code="{ITEM}"
name="一件事"
lead="{B}"
answer="broker"
parts=[{{name="luohu", item="000109017000", authority="{C}"}}]
"""
VERSIONS: Mapping[str, Directory] = {
    "as it was": PLAIN,
    "the agreement has ended": changed(**{f"agreements/{B}--{A}.toml": ENDED}),
    "the agreement is gone": changed(**{f"agreements/{B}--{A}.toml": None}),
    "the agreement is on another item": changed(**{f"agreements/{B}--{A}.toml": OTHER}),
    "the item is withdrawn": changed(
        **{f"items/{ITEM}.toml": None, f"agreements/{B}--{A}.toml": OTHER},
    ),
    "another promise": changed(**{f"items/{ITEM}.toml": NARROW}),
    "the item is a bundle": changed(**{f"bundles/{ITEM}.toml": BUNDLE}),
    "with a treasury": with_treasury(),
}
STANDS: Mapping[str, CaseState | None] = {
    "submitted": state(),
    "supplement asked": state(status=Status.SUPPLEMENT_REQUESTED),
    "accepted": state(status=Status.ACCEPTED),
    "to pay": state(
        status=Status.DECIDED,
        fee=Fee.REQUESTED,
        fee_request=f"{B}/f",
        fee_notice="JK2026030200001",
        fee_fen=1000,
    ),
    "issued": state(status=Status.ISSUED, rating=Rating.POOR),
}
WORDS = (
    *((type_, B, A) for type_ in ("case.supplement-requested", "case.accepted", "case.refused")),
    *((type_, B, A) for type_ in ("case.step-completed", "case.paused", "case.extended", "case.decided")),
    *((type_, B, A) for type_ in ("case.result-issued", "case.rectified", "fee.requested", "case.delivered")),
    *((type_, A, B) for type_ in ("case.supplemented", "case.withdrawn", "fee.paid", "case.urged")),
    *((type_, A, B) for type_ in ("case.submitted", "case.decided")),
    *((type_, C, B) for type_ in ("fee.paid", "case.urged")),
)


def said(type_: str, source: str, to: str) -> dict[str, object]:
    opens = {} if type_ == "case.submitted" else {"item": ..., "mode": ...}
    return event(
        id="e-1",
        type=f"cn.tongban.{type_}",
        source=f"/partners/{source}",
        destination=f"/partners/{to}",
        subject=CASE,
        data=example(type_),
        **opens,
    )


def submission(type_: str, source: str, to: str) -> Submission:
    origin = Origin(caller=type(A)(source), signature="v1a,x", signed="id=1")
    made = check(said(type_, source, to), origin, CODEC, START)
    assert isinstance(made, Submission), made
    return made


@pytest.mark.parametrize("now", VERSIONS, ids=str)
@pytest.mark.parametrize("then", ["as it was", "with a treasury", "the item is a bundle"])
async def test_the_door_and_the_exchange_say_the_same_of_a_case_that_is_there(then: str, now: str) -> None:
    opened_under, in_force = VERSIONS[then], VERSIONS[now]
    view, directory = FakeView(directories={opened_under.version: opened_under}), FakeDirectory()
    directory.directory = in_force
    judge = Judge(directory, view, 10)
    for name, stands in STANDS.items():
        assert stands is not None
        case = replace(stands, directory=opened_under.version)
        await judge.prepare([case])
        for type_, source, to in WORDS:
            made = submission(type_, source, to)
            answer = judge.of(made, case, START, china_day(START))
            judged = routing.judge(
                made.message, case, None, in_force, START, facts=made.examined.datum, under=opened_under
            )
            assert isinstance(judged, Applied | Refused)
            here = answer.code if isinstance(answer, Refusal) else answer.state
            there = judged.refusal.code if isinstance(judged, Refused) else judged.state
            assert here == there, (name, type_, source)


async def test_a_treasury_that_spoke_for_a_case_at_its_opening_speaks_for_it_to_its_end() -> None:
    then = VERSIONS["with a treasury"]
    async with world() as here:
        here.view.directories[then.version] = then
        to_pay = STANDS["to pay"]
        assert to_pay is not None
        here.view.cases[CASE] = replace(to_pay, directory=then.version)
        assert here.directory.current().version != then.version
        reply = await here.post(said("fee.paid", C, B), caller=C)
        assert reply.status == 202, reply.content


async def test_one_that_was_named_since_does_not_and_is_told_so_at_the_door() -> None:
    async with world() as here:
        here.directory.directory = with_treasury()
        here.view.directories[PLAIN.version] = PLAIN
        to_pay = STANDS["to pay"]
        assert to_pay is not None
        here.view.cases[CASE] = replace(to_pay, directory=PLAIN.version)
        reply = await here.post(said("fee.paid", C, B), caller=C)
        assert (reply.status, reply.code) == (403, "party-not-involved")


async def test_a_version_that_the_view_does_not_have_is_no_reason_to_refuse() -> None:
    async with world() as here:
        here.view.cases[CASE] = replace(state(), directory="gone")
        reply = await here.post(said("case.urged", A, B))
        assert reply.status == 202, reply.content


async def test_a_case_shows_the_clock_of_the_directory_that_it_was_opened_under() -> None:
    closed = "closures = [2026-11-23, 2026-11-24]\n"
    text = documents()[f"partners/{B}.toml"]
    since = changed(**{f"partners/{B}.toml": text.replace("[connector]", f"{closed}[connector]")})
    async with world() as here:
        judge = Judge(FakeDirectory(), here.view, 10)
        accepted = judge.of(submission("case.accepted", B, A), state(), START, china_day(START))
        assert isinstance(accepted, Advanced)
        assert accepted.state is not None
        here.view.directories[PLAIN.version] = PLAIN
        here.view.cases[CASE] = replace(accepted.state, directory=PLAIN.version)
        before = (await here.get(f"/v1/cases/{CASE}")).json["clock"]
        here.directory.directory = since
        assert (await here.get(f"/v1/cases/{CASE}")).json["clock"] == before


async def test_the_store_s_view_knows_every_version_and_parses_each_once(tmp_path: Path) -> None:
    async def nowhere() -> Mapping[int, int]:
        raise AssertionError("nobody asks for the ledger's end here")

    store = await Store.open(f"sqlite:///{tmp_path / 'view.db'}")
    try:
        row = DirectoryRow(
            version=PLAIN.version,
            documents=json.dumps(documents()),
            applied_at=1,
            applied_by="t",
            reason="t",
        )
        batch = LedgerBatch(
            partition=0, since=0, until=1, directory_version=PLAIN.version, directories=(row,)
        )
        await store.call(ledger_view.apply, [batch])
        view = StoreView(store, nowhere)
        found = await view.directory(PLAIN.version)
        assert found == PLAIN
        assert await view.directory(PLAIN.version) is found
        assert await view.directory("never applied") is None
    finally:
        await store.close()
