"""The hall's sender: its plan, its lead, and what it does when batches are turned away or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import orjson

from bench.hall_days import Said, said
from bench.hall_lead import LOOK_S, Lead
from bench.hall_letters import SIDES, Writer
from bench.hall_load import MOST_READY, Load
from bench.hall_plan import Batch, Plan
from bench.house import free_port
from bench.lean_http import Answering
from broker.core.signatures import SigningKey
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec

CODEC = Codec(SchemaSet.load())


def _plan(sequence: Iterator[Said], size: int) -> Plan:
    return Plan(sequence, Writer("t", CODEC), size)


def test_batches_hold_all_messages_and_wait_for_those_before_them() -> None:
    plan = _plan(said(400), 50)
    batches: list[Batch] = []
    while (batch := plan.next()) is not None:
        batches.append(batch)
    assert sum(len(batch.events) for batch in batches) == 1600
    where = {
        orjson.loads(event)["id"].rpartition("x")[2]: batch.number
        for batch in batches
        for event in batch.events
    }
    by_number = {batch.number: batch for batch in batches}
    for name, number in where.items():
        case, _, step = name.rpartition("-")
        if int(step) > 1:
            before = where[f"{case}-{int(step) - 1}"]
            assert before == number or before in by_number[number].after


def test_a_batch_knows_when_it_waits_for_one_that_is_not_full() -> None:
    sequence = [Said(0.0, 0, 0, 0), Said(1.0, 0, 1, 0)]
    plan = _plan(iter([*sequence, Said(2.0, 1, 0, 0)]), 1)
    first = plan.next()
    second = plan.next()
    assert first is not None
    assert second is not None
    assert second.after == {first.number}
    assert not plan.waits_for_building(second)
    slow = _plan(iter(sequence), 2)
    third = slow.next()
    assert third is not None, "the end makes batches that are not full"
    fourth = slow.next()
    assert fourth is not None
    assert fourth.after == {third.number}
    assert slow.next() is None


def _free() -> Lead:
    """A lead that holds nobody back."""
    return Lead(10**9, lambda: 0)


def test_what_has_no_receipt_is_bounded_and_what_was_turned_away_does_not_count() -> None:
    receipts, clock = [0], [0.0]
    lead = Lead(100, lambda: receipts[0], lambda: clock[0])
    for _ in range(2):
        assert lead.allows(50)
        lead.sent(50)
    assert not lead.allows(1)
    lead.turned_away(50)
    assert lead.allows(50)
    lead.sent(50)
    receipts[0] = 30
    assert not lead.allows(30), "the view is not asked again at once"
    clock[0] += LOOK_S
    assert lead.allows(30)
    assert not lead.allows(31)


def test_a_batch_larger_than_the_lead_goes_alone() -> None:
    receipts = [0]
    lead = Lead(10, lambda: receipts[0], lambda: 0.0)
    assert lead.allows(50)
    lead.sent(50)
    assert not lead.allows(1)


async def test_the_load_waits_for_receipts_and_goes_on_by_itself() -> None:
    taken, most_ahead = [0], [0]
    settled = [0]

    def receipted() -> int:
        """Everything but the last batch has its receipt by the next look."""
        most_ahead[0] = max(most_ahead[0], taken[0] - settled[0])
        settled[0] = max(settled[0], taken[0] - 40)
        return settled[0]

    def answer(head: bytes, body: bytes) -> bytes:
        del head
        taken[0] += len(orjson.loads(body))
        return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

    port = free_port()
    server = await asyncio.get_running_loop().create_server(lambda: Answering(answer), "127.0.0.1", port)
    keys = {side: SigningKey.from_seed(bytes(32)) for side in SIDES}
    load = Load(_plan(said(300), 40), keys, "t", 2, Lead(120, receipted))
    async with asyncio.timeout(30):
        await load.run(port)
    server.close()
    assert (load.taken, load.first_fault) == (1200, None)
    assert 80 <= most_ahead[0] <= 120


async def test_no_more_is_made_than_a_few_batches_of_each_side_while_the_load_is_held_back() -> None:
    made = [0]

    def counted() -> Iterator[Said]:
        for each in said(5000):
            made[0] += 1
            yield each

    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    port = free_port()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(lambda head, body: answer), "127.0.0.1", port)
    keys = {side: SigningKey.from_seed(bytes(32)) for side in SIDES}
    load = Load(_plan(counted(), 40), keys, "t", 2, Lead(400, lambda: 0))
    sending = asyncio.create_task(load.run(port))
    async with asyncio.timeout(10):
        while load.taken < 400:
            await asyncio.sleep(0.01)
    await asyncio.sleep(3 * LOOK_S)
    load.finished.set()
    await sending
    server.close()
    assert load.taken == 400
    assert made[0] <= 400 + 2 * (MOST_READY + 2) * 40


async def test_the_ledger_gets_every_case_in_order_though_the_broker_turns_batches_away() -> None:
    taken: list[str] = []
    turned_away: list[bytes] = []

    def answer(head: bytes, body: bytes) -> bytes:
        del head
        if len(turned_away) < 5:
            turned_away.append(body)
            return b"HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
        taken.extend(event["id"] for event in orjson.loads(body))
        return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

    port = free_port()
    server = await asyncio.get_running_loop().create_server(lambda: Answering(answer), "127.0.0.1", port)
    keys = {side: SigningKey.from_seed(bytes(32)) for side in SIDES}
    load = Load(_plan(said(300), 40), keys, "t", 2, _free())
    async with asyncio.timeout(30):
        await load.run(port)
    server.close()
    assert (load.taken, load.first_fault, load.statuses[503]) == (1200, None, 5)
    last: dict[str, int] = {}
    for name in taken:
        case, _, step = name.rpartition("x")[2].partition("-")
        assert int(step) == last.get(case, 0) + 1
        last[case] = int(step)
    assert len(last) == 300


async def test_a_refusal_ends_the_load_and_is_told() -> None:
    told = orjson.dumps({"results": [{"status": 202}, {"status": 409, "code": "case-exists"}]})
    answer = b"HTTP/1.1 207 Multi\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told)
    port = free_port()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(lambda head, body: answer), "127.0.0.1", port)
    keys = {side: SigningKey.from_seed(bytes(32)) for side in SIDES}
    load = Load(_plan(said(100), 40), keys, "t", 1, _free())
    async with asyncio.timeout(30):
        await load.run(port)
    server.close()
    assert load.first_fault is not None
    assert "case-exists" in load.first_fault
