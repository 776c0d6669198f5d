"""A complaint by one door, as its sender sees it: the same whether or not there is a case that it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from broker.core.case.case_state import CaseState, Status
from broker.core.case.opening import forwarded_id
from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, Party
from tests.intake.fakes import START, A, B, C, World, world
from tests.intake.test_authorisation import whereabouts
from tests.intake.test_submissions import state

TICKET = CaseId(f"{C}/12345-1")
ABOUT = CaseId(f"{A}/2026-0001")
COPY = forwarded_id(f"{C}/t-1")


def filed(here: World, answers: PartnerId, *, opening: PartnerId = C) -> CaseState:
    """A complaint that ``opening`` handed in at the broker, which brought it to ``answers``; with a card of each side."""
    case = CaseId(f"{opening}/12345-1")
    made = CaseState(
        case=case,
        opening=opening,
        responsible=answers,
        item="",
        mode="",
        status=Status.FILED,
        opened_at=START,
        updated_at=START,
        about=ABOUT,
        answer_by=date(2026, 12, 11 if answers == B else 4),
    )
    here.view.cases[case] = made
    copy = forwarded_id(f"{opening}/t-1")
    for source, identity, to, correlation in (
        (opening, "t-1", BROKER, None),
        (opening, copy, answers, f"{opening}/t-1"),
        (BROKER, "c-1", opening, None),
        (BROKER, "c-2", answers, None),
    ):
        row = whereabouts(Party(source), identity, Party(to), case)
        row = replace(row, row=replace(row.row, correlation=correlation))
        here.view.rows[Party(source), MessageId(identity)] = row
    return made


async def seen(here: World, *, caller: str = C) -> tuple[object, ...]:
    """All that a partner may ask about the complaint."""
    case = await here.get(f"/v1/cases/{TICKET}", caller=caller)
    timeline = await here.get(f"/v1/cases/{TICKET}/timeline", caller=caller)
    copy = await here.get(f"/v1/messages/{C}/{COPY}", caller=caller)
    own = await here.get(f"/v1/messages/{C}/t-1", caller=caller)
    return case.json, timeline.json, copy.status, own.status


async def test_its_sender_sees_the_same_of_a_case_that_is_there_and_of_one_that_is_not() -> None:
    async with world() as here:
        here.view.cases[ABOUT] = replace(state(), responsible=B)
        filed(here, B)
        there = await seen(here)
        del here.view.cases[ABOUT]
        filed(here, A)
        assert await seen(here) == there
        case, timeline, copy, own = there
        assert isinstance(case, dict)
        assert case["responsible"] == "/tongban"
        assert "12-11" not in str(there), "each place has days of its own"
        assert isinstance(timeline, dict)
        assert [each["id"] for each in timeline["messages"]] == ["t-1", "c-1"]
        assert (copy, own) == (404, 200)


async def test_whoever_is_to_answer_it_sees_all_of_it() -> None:
    async with world() as here:
        filed(here, A)
        case, timeline, copy, _ = await seen(here, caller=A)
        assert isinstance(case, dict)
        assert case["responsible"] == f"/partners/{A}"
        assert isinstance(timeline, dict)
        assert len(timeline["messages"]) == 4
        assert copy == 200


@pytest.mark.parametrize("why", ["answered", "a party to the case", "not by the one door"])
async def test_else_nothing_is_kept_back(why: str) -> None:
    async with world() as here:
        made = filed(here, B)
        here.view.cases[ABOUT] = replace(state(), responsible=B)
        if why == "answered":
            here.view.cases[TICKET] = replace(made, status=Status.ANSWERED)
        elif why == "a party to the case":
            here.view.cases[ABOUT] = replace(state(), opening=C)
        else:
            del here.view.rows[Party(C), COPY]
        case = (await here.get(f"/v1/cases/{TICKET}", caller=C)).json
        assert case["responsible"] == f"/partners/{B}"
        if why != "not by the one door":
            assert (await here.get(f"/v1/messages/{C}/{COPY}", caller=C)).status == 200
