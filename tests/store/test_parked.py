from __future__ import annotations

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.records import TopicPartition
from broker.store.access.engine import Store
from broker.store.delivering import awaiting, marks, parked
from broker.store.delivering.awaiting import Awaited
from broker.store.delivering.parked import ParkedLane, ParkedMessage

HERE, SENDER, CASE = PartnerId("430423"), Party("451300"), CaseId("451300/1")


def message(offset: int, case: str = CASE, partition: int = 0) -> ParkedMessage:
    return ParkedMessage(
        case=CaseId(case),
        outbox_partition=partition,
        outbox_offset=offset,
        source=SENDER,
        id=MessageId(f"m{offset}"),
        record=b"%d" % offset,
    )


def lane(case: str = CASE, *, at: int = 1, attempts: int = 3, next_at: int = 50) -> ParkedLane:
    return ParkedLane(case=CaseId(case), parked_at=at, attempts=attempts, next_at=next_at, reason="503")


async def test_a_lane_keeps_its_records_in_order_and_its_first_time(store: Store) -> None:
    await store.call(parked.park, HERE, lane(), [message(5), message(7)])
    await store.call(parked.append, HERE, [message(9), message(8)], 60)
    await store.call(parked.park, HERE, lane(at=99, attempts=4, next_at=500), [])
    assert [each.outbox_offset for each in await store.read(parked.messages, HERE, CASE)] == [5, 7, 8, 9]
    (found,) = await store.read(parked.lanes, HERE, 0)
    assert found == lane(at=1, attempts=4, next_at=500)
    assert await store.read(parked.lanes, HERE, 1) == []
    assert await store.read(parked.known, HERE, 0, [4, 5, 9]) == {5, 9}
    assert await store.read(parked.counts) == {HERE: 1}


async def test_settling_moves_the_head_and_ends_the_lane_with_its_last_record(store: Store) -> None:
    await store.call(parked.park, HERE, lane(), [message(5), message(7)])
    assert not await store.call(parked.settle, HERE, CASE, [(0, 5)])
    (found,) = await store.read(parked.lanes, HERE, 0)
    assert found.attempts == 0
    assert not await store.call(parked.settle, HERE, CASE, [])
    assert await store.call(parked.settle, HERE, CASE, [(0, 7)])
    assert await store.read(parked.lanes, HERE, 0) == []


async def test_a_record_that_comes_as_its_lane_ends_begins_it_anew(store: Store) -> None:
    await store.call(parked.park, HERE, lane(), [message(5)])
    assert await store.call(parked.settle, HERE, CASE, [(0, 5)])
    await store.call(parked.append, HERE, [message(6)], 70)
    (found,) = await store.read(parked.lanes, HERE, 0)
    assert (found.next_at, found.attempts) == (70, 0)


async def test_awaited_receipts_fall_due_in_order(store: Store) -> None:
    def owed(offset: int, due_at: int, attempts: int = 1) -> Awaited:
        return Awaited(
            partner=HERE,
            source=SENDER,
            id=MessageId(f"m{offset}"),
            case=CASE,
            outbox_partition=0,
            outbox_offset=offset,
            record=b"r",
            attempts=attempts,
            due_at=due_at,
        )

    await store.call(awaiting.put, [owed(1, 300), owed(2, 100), owed(3, 200)])
    await store.call(awaiting.put, [owed(2, 400, attempts=2)])
    assert [row.outbox_offset for row in await store.read(awaiting.due, 300, 10, [HERE])] == [3, 1]
    assert (
        await store.read(awaiting.due, 300, 10, [PartnerId("999999")]) == []
    )  # one that is down hides nobody
    assert await store.read(awaiting.known, HERE, 0, [2, 9]) == {2}
    (found,) = await store.read(awaiting.find, HERE, [(SENDER, MessageId("m2"))])
    assert found == owed(2, 400, attempts=2)
    assert await store.call(awaiting.remove, HERE, [(SENDER, MessageId("m2"))]) == 1
    assert await store.read(awaiting.find, HERE, [(SENDER, MessageId("m2"))]) == []


async def test_marks_are_those_of_their_partition(store: Store) -> None:
    one, other = TopicPartition("tongban.outbox.430423", 0), TopicPartition("tongban.outbox.430423", 1)
    await store.call(marks.write, {one: {0: 10, 4: 7}, other: {1: 3}})
    await store.call(marks.write, {one: {0: 12}})
    assert await store.read(marks.read, *one) == {0: 12, 4: 7}
    assert await store.read(marks.read, *other) == {1: 3}
    assert await store.read(marks.read, "tongban.outbox.350200", 0) == {}
