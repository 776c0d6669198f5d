"""The partner API on a real Kafka and a real store: what was signed is there, and proves itself, years later."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from broker.core.case import lifecycle
from broker.core.events import compartment_aad, event_digest
from broker.core.ids import CaseId, MessageId, PartnerId, Party, receipt_id
from broker.core.message import Message, from_record
from broker.core.records import Position, Record
from broker.core.signatures import verify
from broker.intake.adapters import StoreMailboxes, StoreView, VaultOpener
from broker.intake.intake import Intake, Parts
from broker.intake.options import IntakeOptions
from broker.intake.submitting.gather import utc_now
from broker.log.admin import topics
from broker.log.options import KafkaOptions
from broker.log.reading import scan
from broker.log.values.compartment import open_value
from broker.log.writing.writer import Writer
from broker.store.access.engine import Store
from broker.store.delivering import frames, mailbox
from broker.store.rows import CaseRow, MessageRow, OutcomeRow
from broker.store.vault import Vault
from broker.store.view import ledger_view
from deploy.kafka.cluster import EmbeddedKafka
from tests.intake.fakes import CODEC, KEYS, A, B, FakeDirectory, Reply, event, example, signed, token


@dataclass
class Road:
    """The real parts around one intake. ``follow`` brings the view to the ledger's end, as the exchange does."""

    kafka: KafkaOptions
    intake: Intake
    store: Store
    vault: Vault
    session: aiohttp.ClientSession

    async def send(
        self, path: str, body: object = None, caller: PartnerId = A, media_type: str = ""
    ) -> Reply:
        url = f"http://127.0.0.1:{self.intake.port}{path}"
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        if body is None:
            request = self.session.get(url, headers=token(caller))
        else:
            headers = signed(raw, caller, utc_now()) | {
                "Content-Type": media_type or "application/cloudevents+json"
            }
            request = self.session.post(url, data=raw, headers=headers)
        async with request as response:
            return Reply(status=response.status, headers=response.headers, content=await response.read())

    async def record(self, reply: Reply) -> Record:
        place = reply.json["position"]
        assert isinstance(place, dict)
        position = Position(place["topic"], place["partition"], place["offset"])
        (record,) = await scan.read_at(self.kafka, [position])
        return record

    async def ends(self) -> Mapping[int, int]:
        return await ends_of(self.kafka)

    async def follow(self, records: list[Record], outcomes: tuple[OutcomeRow, ...] = ()) -> None:
        for partition, end in (await self.ends()).items():
            held = await self.store.read(ledger_view.positions, [partition])
            mine = [record for record in records if record.position.partition == partition]
            batch = ledger_view.LedgerBatch(
                partition=partition,
                since=held[partition][0] if partition in held else 0,
                until=end,
                directory_version="v",
                cases=[CaseRow(state=opened(from_record(record))) for record in mine],
                messages=[row_of(record) for record in mine],
                outcomes=outcomes if mine or not records else (),
            )
            if end > batch.since or batch.outcomes:
                await self.store.call(ledger_view.apply, [batch])


async def ends_of(options: KafkaOptions) -> Mapping[int, int]:
    return {part: end for part, (_, end) in (await scan.offsets(options, topics.LEDGER)).items()}


def listed(reply: Reply, member: str) -> list[dict[str, Any]]:
    assert reply.status < 300, reply.content
    found = reply.json[member]
    assert isinstance(found, list)
    return found


def opened(message: Message) -> lifecycle.CaseState:
    advanced = lifecycle.advance(None, message, utc_now())
    assert isinstance(advanced, lifecycle.Advanced)
    assert advanced.state is not None
    return advanced.state


def row_of(record: Record) -> MessageRow:
    message = from_record(record)
    return MessageRow(
        source=message.source,
        id=message.id,
        case_id=message.case,
        type=message.type,
        destination=message.destination,
        item=message.item,
        mode=message.mode,
        message_class=message.message_class,
        correlation=message.correlation,
        digest=message.digest,
        proof="signature",
        said_at=0,
        expires_at=None,
        ledger_partition=record.position.partition,
        ledger_offset=record.position.offset,
        accepted_at=record.timestamp_ms,
        verdict="applied",
    )


@asynccontextmanager
async def road(kafka: EmbeddedKafka, folder: Path) -> AsyncIterator[Road]:
    options = KafkaOptions(bootstrap=kafka.bootstrap)
    await topics.ensure_topics(options, [])
    store = await Store.open(f"sqlite:///{folder}/view.db")
    vault = await Vault.open(f"sqlite:///{folder}/vault.db", {"k1": secrets.token_bytes(32)}, "k1")
    writer = Writer(options, client_id="test-intake")
    await writer.start()

    async def ends() -> Mapping[int, int]:
        return await ends_of(options)

    intake = Intake(
        IntakeOptions(port=0, recent=0, view_wait_s=5.0),
        Parts(
            ledger=writer,
            view=StoreView(store, ends),
            keys=vault,
            directory=FakeDirectory(),
            mailboxes=StoreMailboxes(store),
            opener=VaultOpener(vault, CODEC),
            codec=CODEC,
            partitions=options.ledger_partitions,
        ),
    )
    await intake.start()
    async with aiohttp.ClientSession() as session:
        here = Road(kafka=options, intake=intake, store=store, vault=vault, session=session)
        try:
            yield here
        finally:
            await intake.close()
            await writer.close()
            await store.close()
            await vault.close()


@pytest.fixture
async def here(kafka: EmbeddedKafka, tmp_path: Path) -> AsyncIterator[Road]:
    async with road(kafka, tmp_path) as made:
        yield made


def fresh() -> dict[str, object]:
    """An event of a case that nobody has opened yet."""
    number = secrets.token_hex(6)
    return event(id=f"m-{number}", subject=f"{A}/{number}")


async def test_what_was_signed_can_be_proved_from_the_ledger_alone(here: Road) -> None:
    body = orjson.dumps(fresh(), option=orjson.OPT_INDENT_2)
    reply = await here.send("/v1/messages", body)
    assert reply.status == 202, reply.content
    record = await here.record(reply)
    message = from_record(record)
    assert record.key == message.case.encode()
    applicant = example("case.submitted")["sealed"]
    assert isinstance(applicant, dict)
    assert applicant["applicant"]["name"].encode() not in record.value
    keys = await here.vault.known([message.case])
    sealed = open_value(CODEC, record.value, key=keys[message.case], aad=compartment_aad(message))
    assert sealed.verbatim == body
    assert event_digest(orjson.loads(sealed.verbatim)) == message.digest == reply.json["digest"]
    facts = dict(part.split("=", 1) for part in str(message.signed).split(";"))
    fault = verify(
        str(message.signature),
        facts["id"],
        int(facts["timestamp"]),
        sealed.verbatim,
        now_s=int(facts["timestamp"]),
        public_keys=(KEYS[A].verify_key,),
        secrets=(),
    )
    assert fault is None


async def test_a_batch_can_be_proved_from_its_records(here: Road) -> None:
    body = orjson.dumps([fresh(), fresh(), fresh()], option=orjson.OPT_INDENT_2)
    reply = await here.send("/v1/messages", body, media_type="application/cloudevents-batch+json")
    assert reply.status == 202, reply.content
    results = listed(reply, "results")
    rebuilt = b""
    for result in results:
        place = result["position"]
        (record,) = await scan.read_at(
            here.kafka, [Position(place["topic"], place["partition"], place["offset"])]
        )
        message = from_record(record)
        keys = await here.vault.known([message.case])
        verbatim = open_value(
            CODEC, record.value, key=keys[message.case], aad=compartment_aad(message)
        ).verbatim
        facts = dict(part.split("=", 1) for part in str(message.signed).split(";"))
        plain = b"," if rebuilt else b"["
        rebuilt += bytes.fromhex(facts.get("lead", plain.hex())) + verbatim
        tail = bytes.fromhex(facts.get("tail", b"]".hex()))
    rebuilt += tail
    assert rebuilt == body


async def test_a_message_on_its_way_through_view_mailbox_and_receipt(here: Road) -> None:
    sent = fresh()
    first = await here.send("/v1/messages", sent)
    record = await here.record(first)
    message = from_record(record)
    await here.follow([record])

    again = await here.send("/v1/messages", sent)
    assert again.json == {**first.json, "duplicate": True}
    status = (await here.send(f"/v1/messages/{message.name}")).json
    assert (status["state"], status["position"]) == ("routed", first.json["position"])
    case = (await here.send(f"/v1/cases/{message.case}", caller=B)).json
    assert (case["status"], case["role"]) == ("submitted", "responsible")

    placed = mailbox.Placed(
        partner=B,
        outbox_partition=0,
        outbox_offset=0,
        source=message.source,
        id=message.id,
        case=message.case,
        record=frames.pack(record),
        placed_at=0,
    )
    await here.store.call(mailbox.place, [placed])
    assert (await here.send(f"/v1/messages/{message.name}")).json["state"] == "delivering"
    pulled = await here.send("/v1/mailbox?wait_s=5", caller=B)
    (delivered,) = listed(pulled, "messages")
    assert delivered["digest"] == first.json["digest"]
    assert delivered["data"]["sealed"] == example("case.submitted")["sealed"]
    assert (await here.send("/v1/mailbox", caller=B)).json["messages"] == []

    acknowledgement = {
        "receipts": [{"source": delivered["source"], "id": delivered["id"], "outcome": "delivered"}]
    }
    (result,) = listed(
        await here.send("/v1/mailbox/receipts", acknowledgement, caller=B, media_type="application/json"),
        "results",
    )
    identity = receipt_id(message.name, B, "delivered")
    assert (result["status"], result["receipt"], result["duplicate"]) == (202, identity, False)
    assert await here.store.read(mailbox.find, B, [(message.source, message.id)]) == []
    outcome = OutcomeRow(
        source=message.source,
        id=message.id,
        outcome="delivered",
        outcome_at=1,
        attempts=1,
        reference=None,
        answer=None,
        receipt_id=identity,
    )
    await here.follow([], (outcome,))
    (repeated,) = listed(
        await here.send("/v1/receipts", acknowledgement, caller=B, media_type="application/json"), "results"
    )
    assert repeated == {**result, "duplicate": True}
    status = (await here.send(f"/v1/messages/{message.name}")).json
    assert status["state"] == "delivered"


async def test_a_refusal_waits_for_the_view_and_then_holds(here: Road) -> None:
    opening = fresh()
    record = await here.record(await here.send("/v1/messages", opening))
    await here.follow([record])
    wrong = event(
        id=f"{opening['id']}-2",
        subject=opening["subject"],
        type="cn.tongban.case.supplemented",
        data=example("case.supplemented"),
    )
    reply = await here.send("/v1/messages", wrong)
    assert (reply.status, reply.code) == (409, "transition-illegal")
    assert reply.json["state"] == "submitted"


async def test_what_a_destroyed_key_held_is_neither_shown_nor_added_to(here: Road) -> None:
    sent = fresh()
    record = await here.record(await here.send("/v1/messages", sent))
    message = from_record(record)
    assert await here.vault.destroy(message.case)
    reply = await here.send("/v1/messages", {**sent, "id": "another"})
    assert (reply.status, reply.code) == (422, "case-unknown")
    opened_data = await VaultOpener(here.vault, CODEC).open([message])
    assert opened_data == [None]
    assert CaseId(str(sent["subject"])) == message.case
    assert message.name == f"{Party(A)}/{MessageId(str(sent['id']))}"
