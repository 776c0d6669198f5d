"""Submitting: what 202 promises, repeats, concurrency, batches, binary mode, and a log that is away."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from broker.core.case.lifecycle import CaseState, Status
from broker.core.events import event_digest
from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.message import Mode
from broker.errors import NotDurable, Unreachable
from broker.intake.options import IntakeOptions
from tests.intake.fakes import (
    ITEM,
    START,
    A,
    B,
    C,
    avro,
    base64_of,
    event,
    example,
    known,
    signed,
    signed_v1,
    world,
)

BATCH = "application/cloudevents-batch+json"
CASE = CaseId(f"{A}/2026-0001")


def state(**changes: object) -> CaseState:
    made = CaseState(
        case=CASE,
        opening=A,
        responsible=B,
        item=ITEM,
        mode=Mode.COLLECTED,
        status=Status.SUBMITTED,
        opened_at=START,
        updated_at=START,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def test_a_yes_says_where_the_message_is() -> None:
    async with world() as here:
        sent = event()
        reply = await here.post(sent)
        assert reply.status == 202
        (message,) = here.ledger.messages
        position = here.ledger.records[0].position
        assert reply.json == {
            "id": "m-1",
            "case": CASE,
            "digest": event_digest(sent),
            "position": {"topic": "tongban.exchange", "partition": position.partition, "offset": 0},
            "duplicate": False,
            "links": {"status": f"/v1/messages/{A}/m-1", "case": f"/v1/cases/{CASE}"},
        }
        assert reply.headers["Location"] == f"/v1/messages/{A}/m-1"
        assert here.ledger.records[0].key == CASE.encode()
        assert message.digest == event_digest(sent)
        assert message.signed is not None
        assert message.signed.endswith(";index=0;count=1")
        assert message.message_class == 0
        assert not message.trusted_channel


@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize("named", [False, True])
async def test_avro_is_taken_raw_and_framed(framed: bool, named: bool) -> None:
    schema_id, raw = avro()
    value = b"\x00" + schema_id.to_bytes(4, "big") + raw if framed else raw
    named_schema = f"/schemas/ids/{schema_id}" if named else ...
    async with world() as here:
        reply = await here.post(event(data_base64=base64_of(value), dataschema=named_schema))
        assert reply.status == 202, reply.content
        assert here.ledger.messages[0].dataschema == f"/schemas/ids/{schema_id}"


async def test_a_repeat_gets_the_same_answer_and_writes_nothing() -> None:
    async with world() as here:
        first = await here.post(event())
        # The same event in another spelling is the same event.
        again = await here.post(orjson.dumps(event(), option=orjson.OPT_INDENT_2))
        assert again.status == 202
        assert again.json == {**first.json, "duplicate": True}
        assert len(here.ledger.records) == 1


async def test_a_repeat_that_only_the_view_knows_gets_the_same_answer() -> None:
    async with world(IntakeOptions(recent=0)) as here:
        here.view.known[Party(A), MessageId("m-1")] = known(event_digest(event()))
        reply = await here.post(event())
        assert reply.status == 202
        assert reply.json["duplicate"] is True
        assert reply.json["position"] == {"topic": "tongban.exchange", "partition": 3, "offset": 7}
        assert here.ledger.records == []


@pytest.mark.parametrize("recent", [0, 10])
async def test_an_id_with_other_content_is_refused(recent: int) -> None:
    async with world(IntakeOptions(recent=recent)) as here:
        first = await here.post(event())
        if not recent:
            here.view.known[Party(A), MessageId("m-1")] = known(str(first.json["digest"]))
        reply = await here.post(event(sequence="2"))
        assert (reply.status, reply.code) == (409, "message-id-reused")
        assert len(here.ledger.records) == 1


async def test_the_same_id_of_another_partner_is_another_message() -> None:
    async with world() as here:
        await here.post(event())
        here.view.cases[CASE] = state()
        reply = await here.post(
            event(
                source=f"/partners/{B}",
                destination=f"/partners/{A}",
                type="cn.tongban.case.accepted",
                data=example("case.accepted"),
            ),
            caller=B,
        )
        assert reply.status == 202, reply.content
        assert len(here.ledger.records) == 2


async def test_twenty_at_once_with_one_id_are_one_write() -> None:
    async with world() as here:
        here.ledger.held = asyncio.Event()
        posts = [asyncio.create_task(here.post(event())) for _ in range(20)]
        other = asyncio.create_task(here.post(event(sequence="9")))
        await asyncio.sleep(0.3)
        here.ledger.held.set()
        replies = await asyncio.gather(*posts)
        codes = {reply.status for reply in replies}
        assert codes == {202}
        assert sum(reply.json["duplicate"] is False for reply in replies) == 1
        assert len(here.ledger.records) == 1
        assert (await other).status == 409


async def test_many_at_once_share_reads_and_writes() -> None:
    async with world() as here:
        here.ledger.held = asyncio.Event()
        posts = [asyncio.create_task(here.post(event(id=f"m-{n}", subject=f"{A}/c-{n}"))) for n in range(60)]
        await asyncio.sleep(0.5)
        here.ledger.held.set()
        replies = await asyncio.gather(*posts)
        assert {reply.status for reply in replies} == {202}
        assert len({str(reply.json["position"]) for reply in replies}) == 60
        assert sum(here.ledger.writes) == 60
        assert len(here.ledger.writes) <= 4
        assert here.view.loads <= 4


@pytest.mark.parametrize("fault", [NotDurable(), Unreachable()])
async def test_without_the_log_there_is_no_yes(fault: Exception) -> None:
    async with world() as here:
        here.ledger.away = fault
        reply = await here.post(event())
        assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "not-durable", "2")
        status = await here.get(f"/v1/messages/{A}/m-1")
        assert status.status == 404
        here.ledger.away = None
        reply = await here.post(event())
        assert reply.status == 202
        assert reply.json["duplicate"] is False


async def test_without_the_view_or_the_vault_there_is_no_yes() -> None:
    async with world() as here:
        here.view.away = Unreachable()
        reply = await here.post(event())
        assert (reply.status, reply.code) == (503, "unavailable")
        assert "Retry-After" in reply.headers
        here.view.away, here.keys.away = None, Unreachable()
        assert (await here.post(event())).status == 503
        here.keys.away = None
        assert (await here.post(event())).status == 202
        assert len(here.ledger.records) == 1


async def test_a_fault_of_ours_is_told_as_one_and_ends_nothing() -> None:
    async with world() as here:
        here.keys.away = KeyError("a person's name")
        reply = await here.post(event())
        assert (reply.status, reply.code) == (500, "internal")
        assert b"person" not in reply.content
        here.keys.away = None
        assert (await here.post(event())).status == 202


async def test_the_life_cycle_refuses_when_the_view_is_not_behind() -> None:
    async with world() as here:
        here.view.cases[CASE] = state(status=Status.DECIDED)
        reply = await here.post(event(type="cn.tongban.case.withdrawn", data=example("case.withdrawn")))
        assert (reply.status, reply.code) == (409, "transition-illegal")
        assert reply.json["state"] == "decided"
        assert reply.json["role"] == "opening"
        assert isinstance(reply.json["allowed"], list)
        assert here.ledger.records == []


async def test_the_life_cycle_does_not_refuse_by_a_view_that_is_behind() -> None:
    async with world() as here:
        here.view.fresh = False
        reply = await here.post(event(type="cn.tongban.case.withdrawn", data=example("case.withdrawn")))
        assert reply.status == 202
        assert len(here.ledger.records) == 1


async def test_a_view_that_catches_up_is_asked_again() -> None:
    async with world() as here:
        here.view.on_catching_up = {CASE: state()}
        reply = await here.post(event(type="cn.tongban.case.withdrawn", data=example("case.withdrawn")))
        assert reply.status == 202


async def test_a_batch_keeps_the_order_of_its_cases() -> None:
    async with world() as here:
        batch = [
            event(id="1"),
            event(id="2", type="cn.tongban.case.withdrawn", data=example("case.withdrawn")),
            event(id="3", subject=f"{A}/other"),
        ]
        reply = await here.post(batch, media_type=BATCH)
        assert reply.status == 202, reply.content
        results = reply.json["results"]
        assert isinstance(results, list)
        assert [(each["id"], each["status"]) for each in results] == [("1", 202), ("2", 202), ("3", 202)]
        assert [message.id for message in here.ledger.messages] == ["1", "2", "3"]
        signed_parts = [str(message.signed).split(";")[2:] for message in here.ledger.messages]
        assert signed_parts == [[f"index={index}", "count=3"] for index in range(3)]


async def test_a_batch_answers_each_by_itself() -> None:
    async with world() as here:
        batch = [
            event(id="1"),
            event(id="2", subject=f"{A}/x", item="no-such-item"),
            {"id": "3"},
            event(id="1"),
        ]
        reply = await here.post(batch, media_type=BATCH)
        assert reply.status == 207
        results = reply.json["results"]
        assert isinstance(results, list)
        assert [each.get("code", each["status"]) for each in results] == [
            202,
            "item-unknown",
            "event-invalid",
            202,
        ]
        assert results[3]["duplicate"] is True
        assert len(here.ledger.records) == 1


async def test_a_batch_can_be_put_together_again_for_its_signature() -> None:
    body = (
        b"[ " + orjson.dumps(event(id="1")) + b" ,\n" + orjson.dumps(event(id="2", subject=f"{A}/x")) + b" ]"
    )
    async with world() as here:
        assert (await here.post(body, media_type=BATCH)).status == 202
        first, second = (str(message.signed) for message in here.ledger.messages)
        assert first.endswith(";lead=5b20")
        assert second.endswith(";lead=202c0a;tail=205d")


async def test_a_batch_without_the_log_is_no_yes_at_all() -> None:
    async with world() as here:
        here.ledger.away = NotDurable()
        reply = await here.post([event(id="1"), event(id="2", subject=f"{A}/x")], media_type=BATCH)
        assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "not-durable", "2")


async def test_gzip_is_undone_before_the_signature_is_checked() -> None:
    async with world() as here:
        body = orjson.dumps(event())
        headers = signed(body, A, here.clock())
        headers |= {"Content-Type": "application/cloudevents+json", "Content-Encoding": "gzip"}
        reply = await here.send("POST", "/v1/messages", body=gzip.compress(body), headers=headers)
        assert reply.status == 202, reply.content


async def test_a_shared_secret_signs_for_those_who_have_one() -> None:
    async with world() as here:
        here.view.fresh = False
        body = orjson.dumps(
            event(
                source=f"/partners/{C}",
                subject=f"{C}/1",
                type="cn.tongban.case.urged",
                data=example("case.urged"),
            )
        )
        headers = signed_v1(body, here.clock()) | {"Content-Type": "application/cloudevents+json"}
        reply = await here.send("POST", "/v1/messages", body=body, headers=headers)
        assert reply.status == 202, reply.content
        assert str(here.ledger.messages[0].signature).startswith("v1,")


def binary_headers(caller: str, schema_id: int, **more: str) -> dict[str, str]:
    return {
        "tongban-partner": caller,
        "Content-Type": "application/avro",
        "ce-specversion": "1.0",
        "ce-id": "b-1",
        "ce-source": f"/partners/{caller}",
        "ce-type": "cn.tongban.case.urged",
        "ce-time": "2026-11-22T08:00:00Z",
        "ce-subject": f"{caller}/1",
        "ce-destination": f"/partners/{B}",
        "ce-dataschema": f"/schemas/ids/{schema_id}",
        "ce-class": "1",
        **more,
    }


@pytest.mark.parametrize(
    ("caller", "proxy", "named", "status"),
    [
        (C, True, C, 202),
        (C, True, "35020", 403),
        (C, True, f"{C}0", 403),
        (C, True, "", 403),
        (C, False, C, 403),
        (A, True, A, 403),
    ],
)
async def test_binary_mode_is_for_a_proven_trusted_channel(
    caller: PartnerId, proxy: bool, named: str, status: int
) -> None:
    schema_id, raw = avro("case.urged")
    options = IntakeOptions(proxy_header="x-client-cn", proxy_addresses=("127.0.0.1",) if proxy else ())
    async with world(options) as here:
        here.view.fresh = False
        headers = binary_headers(caller, schema_id) | {"x-client-cn": named}
        reply = await here.send("POST", "/v1/messages", body=raw, headers=headers)
        assert reply.status == status, reply.content
        assert len(here.ledger.records) == (status == 202)
        if status == 202:
            assert here.ledger.messages[0].trusted_channel
            assert here.ledger.messages[0].signature is None
        else:
            assert reply.code == "not-allowed"


async def test_two_channel_names_prove_nothing() -> None:
    schema_id, raw = avro("case.urged")
    options = IntakeOptions(proxy_header="x-client-cn", proxy_addresses=("127.0.0.1",))
    async with world(options) as here:
        headers = [*binary_headers(C, schema_id).items(), ("x-client-cn", C), ("x-client-cn", A)]
        async with here.session.post(f"{here.url}/v1/messages", data=raw, headers=headers) as response:
            assert response.status == 403


async def test_back_pressure_is_told_with_its_time() -> None:
    async with world(pressure=lambda: 7.2) as here:
        reply = await here.post(event())
        assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "unavailable", "7")
        receipts: dict[str, object] = {"receipts": []}
        said = await here.post(receipts, path="/v1/mailbox/receipts", media_type="application/json")
        assert said.status != 503, "a receipt lessens the backlog"


async def test_too_many_in_hand_are_turned_away_and_room_comes_back() -> None:
    async with world(IntakeOptions(in_flight=2, in_flight_per_partner=1)) as here:
        here.ledger.held = asyncio.Event()
        first = asyncio.create_task(here.post(event()))
        await asyncio.sleep(0.1)
        share = await here.post(event(id="2", subject=f"{A}/2"))
        assert (share.status, share.code) == (429, "too-many-requests")
        assert "Retry-After" in share.headers
        here.ledger.held.set()
        assert (await first).status == 202
        assert (await here.post(event(id="2", subject=f"{A}/2"))).status == 202


async def test_bodies_in_hand_are_bounded_together() -> None:
    large = event(data=example("case.submitted") | {"note": "x" * 900})
    async with world(IntakeOptions(in_flight_bytes=4096)) as here:
        here.ledger.held = asyncio.Event()
        posts = [
            asyncio.create_task(here.post(large | {"id": f"m-{n}", "subject": f"{A}/{n}"})) for n in range(9)
        ]
        await asyncio.sleep(0.3)
        here.ledger.held.set()
        replies = await asyncio.gather(*posts)
        assert {reply.status for reply in replies} == {202, 503}
        assert {reply.code for reply in replies if reply.status == 503} == {"unavailable"}
        assert (await here.post(large | {"id": "last", "subject": f"{A}/last"})).status == 202
        assert here.intake.bytes_in_hand == 0


async def test_the_order_of_a_case_is_kept_while_the_view_is_asked_again() -> None:
    """The second of a case must not overtake a first that the view would refuse and is asked about again."""
    async with world() as here:
        here.view.on_catching_up = {CASE: state()}
        here.view.asked = asyncio.Event()
        withdrawn = event(id="1", type="cn.tongban.case.withdrawn", data=example("case.withdrawn"))
        urged = event(id="2", type="cn.tongban.case.urged", data=example("case.urged"))
        first = asyncio.create_task(here.post(withdrawn))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(here.post(urged))
        await asyncio.sleep(0.1)
        assert here.ledger.records == []
        here.view.asked.set()
        assert [(await each).status for each in (first, second)] == [202, 202]
        assert [message.id for message in here.ledger.messages] == ["1", "2"]


async def test_a_caller_that_hangs_up_leaves_its_message_in_order() -> None:
    async with world() as here:
        here.ledger.held = asyncio.Event()
        asking = asyncio.create_task(here.post(event()))
        async with asyncio.timeout(10):
            while not here.view.loads:  # it is in hand once it was judged, however slow the machine
                await asyncio.sleep(0.01)
        asking.cancel()
        here.ledger.held.set()
        reply = await here.post(event())
        assert reply.status == 202
        assert reply.json["duplicate"] is True
        assert len(here.ledger.records) == 1


async def test_what_expires_while_it_waits_is_refused() -> None:
    async with world() as here:
        soon = here.clock().astimezone(UTC)
        reply = await here.post(event(expirytime=soon.isoformat()))
        assert (reply.status, reply.code) == (422, "expired")
        assert datetime.now(UTC) >= soon
