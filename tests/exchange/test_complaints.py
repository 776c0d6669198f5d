"""One door for complaints: what comes to the broker reaches whoever is responsible for the case concerned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio

from broker.core.case.case_state import Status
from broker.core.events import compartment_aad
from broker.core.ids import BROKER, CaseId, MessageId, Party
from broker.core.message import Message, from_record, value_digest
from broker.log.admin.topics import LEDGER
from broker.store.access.engine import Store
from broker.store.view import cases, messages
from tests.exchange.fakes import CODEC, NOW, message
from tests.exchange.test_stage import A, B, World

CASE = CaseId("451300/LB-1")
COMPLAINT = CaseId("451300/12345-77")


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await Store.open(f"sqlite:///{tmp_path / 'view.db'}")
    yield World(store)
    await store.close()


def complaint(about: CaseId | None = CASE, *, at: datetime = NOW) -> Message:
    value = CODEC.encode(
        "complaint.filed",
        {"filed_at": at, "subject": "逾期未办结", "channel": "hotline", "about_case": about},
    )
    plain = message("q-1", "complaint.filed", case=COMPLAINT, destination=BROKER, item=None, mode=None)
    return replace(
        plain, value=value, digest=value_digest(value), dataschema=CODEC.dataschema("complaint.filed")
    )


async def test_a_complaint_to_the_broker_reaches_the_city_responsible_for_its_case(world: World) -> None:
    world.ledger.put(message("m-1"))
    world.ledger.put(complaint())
    async with world.at_work():
        await world.caught_up()
    (_, brought) = world.ledger.outbox(B)
    heard = from_record(brought)
    assert (heard.type, heard.case, heard.source, heard.correlation) == (
        "complaint.filed",
        COMPLAINT,
        Party(A),
        f"{A}/q-1",
    )
    assert compartment_aad(heard) == compartment_aad(complaint()), "its papers open as they were sealed"
    state = await world.store.read(cases.case_state, COMPLAINT)
    assert state is not None
    assert (state.status, state.responsible, state.about) == (Status.FILED, B, CASE)
    assert state.answer_by is not None
    first = await world.store.read(messages.message, Party(A), MessageId("q-1"))
    assert first is not None
    assert first.verdict == "recorded", "the copy is what is owed, not the letter to the broker"


async def test_a_complaint_about_no_case_goes_back_with_the_reason(world: World) -> None:
    world.ledger.put(complaint(CaseId("451300/never-opened")))
    async with world.at_work():
        await world.caught_up()
    (notice,) = world.ledger.outbox(A)
    said = CODEC.decode(from_record(notice).value).datum
    assert said["code"] == "case-unknown"
    assert not world.ledger.outbox(B)
    assert await world.store.read(cases.case_state, COMPLAINT) is None


async def test_the_same_complaint_again_is_brought_once(world: World) -> None:
    world.ledger.put(message("m-1"))
    for _ in range(2):
        world.ledger.put(complaint())
    async with world.at_work(batch=1):
        await world.caught_up()
    copies = [each for each in world.ledger.records[LEDGER, 0] if from_record(each).part_of is not None]
    assert len(copies) == 1
    assert len(world.ledger.outbox(B)) == 2


STRANGER = CaseId("350200/12345-78")


def by_a_stranger(about: CaseId) -> Message:
    """A third city complains about a case that it is no party to."""
    plain = complaint(about)
    return replace(plain, id=MessageId("q-3"), source=Party("350200"), case=STRANGER)


@pytest.mark.parametrize(("about", "answers"), [(CASE, B), (CaseId(f"{B}/never-opened"), B)])
async def test_who_is_no_party_is_not_told_whether_there_is_such_a_case(
    world: World, about: CaseId, answers: str
) -> None:
    """Nothing comes back; somebody is to answer, by the same clock."""
    world.ledger.put(message("m-1"))
    world.ledger.put(by_a_stranger(about))
    async with world.at_work():
        await world.caught_up()
    assert world.ledger.outbox("350200") == []
    heard = from_record(world.ledger.outbox(answers)[-1])
    assert (heard.type, heard.case, heard.source) == ("complaint.filed", STRANGER, Party("350200"))
    state = await world.store.read(cases.case_state, STRANGER)
    assert state is not None
    assert (state.status, state.responsible, state.about) == (Status.FILED, answers, about)
    assert state.answer_by is not None
    first = await world.store.read(messages.message, Party("350200"), MessageId("q-3"))
    assert first is not None
    assert (first.verdict, first.code) == ("recorded", None)


async def test_a_number_of_a_place_that_is_no_partner_goes_back(world: World) -> None:
    world.ledger.put(complaint(CaseId("999999/1")))
    async with world.at_work():
        await world.caught_up()
    (notice,) = world.ledger.outbox(A)
    assert CODEC.decode(from_record(notice).value).datum["code"] == "case-unknown"
