"""Pulling and acknowledging: nothing leaves the mailbox before its receipt is on the ledger."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from broker.core.events import structured_event
from broker.core.ids import BROKER, CaseId, MessageId, Party, receipt_id
from broker.core.message import Message, MessageClass
from broker.errors import NotDurable
from tests.intake.fakes import CODEC, A, B, C, World, world
from tests.intake.test_authorisation import whereabouts

JSON = "application/json"


def message(identity: str = "m-1", *, case: str = f"{A}/1") -> Message:
    schema = CODEC.schemas.latest("case.submitted")
    assert schema is not None
    return Message(
        id=MessageId(identity),
        source=Party(A),
        type="case.submitted",
        case=CaseId(case),
        destination=Party(B),
        time=datetime(2026, 11, 22, tzinfo=UTC),
        message_class=MessageClass.INITIAL,
        digest="sha-256:00",
        dataschema=schema.dataschema,
        value=b"\x00",
        accepted_at=datetime(2026, 11, 22, tzinfo=UTC),
    )


def receipt(identity: str = "m-1", **more: object) -> dict[str, object]:
    return {"source": f"/partners/{A}", "id": identity, "outcome": "delivered", **more}


async def acknowledge(
    here: World, *receipts: object, path: str = "/v1/mailbox/receipts", caller: str = B
) -> list[dict[str, object]]:
    reply = await here.post({"receipts": list(receipts)}, caller=caller, path=path, media_type=JSON)
    assert reply.status == 200, reply.content
    results = reply.json["results"]
    assert isinstance(results, list)
    return results


async def test_what_lies_there_is_leased_as_structured_events() -> None:
    async with world() as here:
        here.mailboxes.place(B, message())
        pulled = (await here.get("/v1/mailbox", caller=B)).json
        assert pulled["lease"]
        assert pulled["messages"] == [structured_event(message(), {"opened": f"{A}/m-1"})]
        empty = (await here.get("/v1/mailbox", caller=B)).json
        assert empty == {"lease": None, "expires_at": None, "messages": []}
        assert (await here.get("/v1/mailbox", caller=C)).json["messages"] == []


async def test_max_is_kept() -> None:
    async with world() as here:
        for n in range(5):
            here.mailboxes.place(B, message(f"m-{n}"))
        pulled = (await here.get("/v1/mailbox?max=2", caller=B)).json["messages"]
        assert [each["id"] for each in pulled] == ["m-0", "m-1"]  # type: ignore[attr-defined]


async def test_a_long_poll_answers_when_something_comes() -> None:
    async with world() as here:
        waiting = asyncio.create_task(here.get("/v1/mailbox?wait_s=20", caller=B))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        here.mailboxes.place(B, message())
        reply = await asyncio.wait_for(waiting, 2)
        assert len(reply.json["messages"]) == 1  # type: ignore[arg-type]


async def test_a_long_poll_ends_empty_when_its_time_is_over() -> None:
    async with world() as here:
        begun = asyncio.get_running_loop().time()
        reply = await here.get("/v1/mailbox?wait_s=1", caller=B)
        assert reply.json["messages"] == []
        assert 0.9 < asyncio.get_running_loop().time() - begun < 3


async def test_a_stop_does_not_wait_for_long_polls() -> None:
    async with world() as here:
        waiting = asyncio.create_task(here.get("/v1/mailbox?wait_s=25", caller=B))
        await asyncio.sleep(0.2)
        await asyncio.wait_for(here.intake.close(), 3)
        assert (await waiting).json["messages"] == []


async def test_nothing_is_leased_to_a_caller_that_has_gone() -> None:
    async with world() as here:
        waiting = asyncio.create_task(here.get("/v1/mailbox?wait_s=20", caller=B))
        await asyncio.sleep(0.2)
        waiting.cancel()
        await asyncio.sleep(0.2)
        here.mailboxes.place(B, message())
        await asyncio.sleep(0.5)
        assert len((await here.get("/v1/mailbox", caller=B)).json["messages"]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/v1/mailbox/receipts", "/v1/receipts"])
@pytest.mark.parametrize("outcome", ["delivered", "rejected"])
async def test_a_receipt_goes_onto_the_ledger_and_then_out_of_the_mailbox(path: str, outcome: str) -> None:
    async with world() as here:
        here.mailboxes.place(B, message())
        said = receipt(
            outcome=outcome, code="E1", reason="页码缺失", reference="衡山-7", at="2026-11-22T10:00:00+08:00"
        )
        (result,) = await acknowledge(here, said, path=path)
        expected = receipt_id(f"{A}/m-1", B, outcome)
        assert (result["status"], result["receipt"], result["duplicate"]) == (202, expected, False)
        (written,) = here.ledger.messages
        assert written.id == expected
        assert written.type == f"receipt.{outcome}"
        assert (written.source, written.destination, written.case) == (BROKER, Party(A), CaseId(f"{A}/1"))
        assert (written.message_class, written.correlation) == (MessageClass.RECEIPT, f"{A}/m-1")
        datum = CODEC.decode(written.value).datum
        assert datum["reference"] == "衡山-7"
        assert here.mailboxes.lying[B] == []


async def test_without_the_log_nothing_leaves_the_mailbox() -> None:
    async with world() as here:
        here.mailboxes.place(B, message())
        here.ledger.away = NotDurable()
        reply = await here.post({"receipts": [receipt()]}, caller=B, path="/v1/receipts", media_type=JSON)
        assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "not-durable", "2")
        assert len(here.mailboxes.lying[B]) == 1


async def test_a_repeated_acknowledgement_gets_the_same_answer() -> None:
    async with world() as here:
        here.mailboxes.place(B, message())
        (first,) = await acknowledge(here, receipt())
        found = whereabouts(Party(A), "m-1", Party(B), f"{A}/1")
        row = replace(found.row, outcome="delivered", outcome_at=1, receipt_id=str(first["receipt"]))
        here.view.rows[Party(A), MessageId("m-1")] = replace(found, row=row)
        (again,) = await acknowledge(here, receipt())
        assert again == {**first, "duplicate": True}
        (other,) = await acknowledge(here, receipt(outcome="rejected"))
        assert (other["status"], other["code"], other["outcome"]) == (409, "lease-unknown", "delivered")
        assert len(here.ledger.records) == 1


async def test_the_same_message_twice_in_one_request_is_one_receipt() -> None:
    async with world() as here:
        here.mailboxes.place(B, message())
        first, second = await acknowledge(here, receipt(), receipt())
        assert first["receipt"] == second["receipt"]
        assert len(here.ledger.records) == 1


async def test_only_what_is_owed_is_acknowledged() -> None:
    async with world() as here:
        here.mailboxes.place(B, message())
        (foreign,) = await acknowledge(here, receipt(), caller=C)
        (missing,) = await acknowledge(here, receipt("none"))
        assert foreign == {**missing, "id": "m-1"}
        assert (missing["status"], missing["code"]) == (409, "lease-unknown")
        assert here.ledger.records == []


BAD_RECEIPTS: dict[str, object] = {
    "no source": {"id": "m-1", "outcome": "delivered"},
    "a source of another form": receipt(source="x"),
    "no id": {"source": A, "outcome": "delivered"},
    "an id with a dot": receipt("a.b"),
    "no outcome": {"source": A, "id": "m-1"},
    "an outcome that is the broker's": receipt(outcome="expired"),
    "an outcome as a number": receipt(outcome=1),
    "a time without offset": receipt(at="2026-11-22T10:00:00"),
    "the year 1": receipt(at="0001-01-01T00:00:00+08:00"),
    "a reason of 1,001": receipt(reason="x" * 1001),
    "a code with a line end": receipt(code="a\nb"),
    "an unknown member": receipt(note="x"),
    "no object": "m-1",
}


@pytest.mark.parametrize("said", BAD_RECEIPTS.values(), ids=BAD_RECEIPTS.keys())
async def test_a_bad_receipt_is_refused_by_itself(said: object) -> None:
    async with world() as here:
        here.mailboxes.place(B, message())
        bad, good = await acknowledge(here, said, receipt())
        assert (bad["status"], bad["code"]) == (400, "event-invalid")
        assert str(bad["errors"]).startswith("[{'pointer': '/receipts/0")
        assert good["status"] == 202


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "json-invalid"),
        (b"[]", "event-invalid"),
        (b"{}", "event-invalid"),
        (b'{"receipts":[]}', "event-invalid"),
        (b'{"receipts":{}}', "event-invalid"),
        (b'{"receipts":[' + b"1," * 1000 + b"1]}", "too-large"),
    ],
)
async def test_a_bad_body_is_refused_whole(body: bytes, code: str) -> None:
    async with world() as here:
        reply = await here.post(body, caller=B, path="/v1/receipts", media_type=JSON)
        assert reply.code == code
        assert here.ledger.records == []
