from __future__ import annotations

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.store.access.engine import Store
from broker.store.delivering import mailbox
from broker.store.delivering.mailbox import Lying, Placed

HERE, SENDER = PartnerId("350200"), Party("451300")


def placed(offset: int, case: str = "451300/1", *, partner: PartnerId = HERE, record: bytes = b"r") -> Placed:
    return Placed(
        partner=partner,
        outbox_partition=0,
        outbox_offset=offset,
        source=SENDER,
        id=MessageId(f"m{offset}"),
        case=CaseId(case),
        record=record,
        placed_at=1000 + offset,
    )


async def lease(
    store: Store, name: str, *, most: int = 10, now_ms: int = 0, max_bytes: int = 1000
) -> list[Lying]:
    return await store.call(
        mailbox.lease,
        HERE,
        lease=name,
        max_messages=most,
        max_bytes=max_bytes,
        now_ms=now_ms,
        until_ms=now_ms + 100,
    )


def offsets(found: list[Lying]) -> list[int]:
    return [each.outbox_offset for each in found]


async def test_placing_twice_is_placing_once(store: Store) -> None:
    await store.call(mailbox.place, [placed(1), placed(2)])
    await store.call(mailbox.place, [placed(2, record=b"other"), placed(3)])
    found = await lease(store, "a")
    assert offsets(found) == [1, 2, 3]
    assert {each.record for each in found} == {b"r"}
    assert await store.read(mailbox.waiting, HERE) == (3, 1001)


async def test_a_lease_holds_back_the_later_messages_of_its_cases(store: Store) -> None:
    await store.call(mailbox.place, [placed(1), placed(2), placed(3, "451300/2"), placed(4)])
    assert offsets(await lease(store, "a", most=1)) == [1]
    assert offsets(await lease(store, "b", now_ms=50)) == [3]
    assert offsets(await lease(store, "c", now_ms=99)) == []
    again = await lease(store, "d", now_ms=100)
    assert offsets(again) == [1, 2, 4]
    assert [each.attempts for each in again] == [2, 1, 1]


async def test_a_lease_is_bounded_by_bytes_but_never_empty(store: Store) -> None:
    await store.call(mailbox.place, [placed(n, f"451300/{n}", record=b"x" * 600) for n in range(3)])
    assert offsets(await lease(store, "a")) == [0]
    assert offsets(await lease(store, "b", max_bytes=10)) == [1]


async def test_what_is_acknowledged_is_found_and_removed(store: Store) -> None:
    await store.call(mailbox.place, [placed(n) for n in range(1200)])
    names = [(SENDER, MessageId(f"m{n}")) for n in range(1100)]
    assert len(await store.read(mailbox.find, HERE, names)) == 1100
    assert await store.call(mailbox.remove, HERE, names) == 1100
    assert await store.call(mailbox.remove, HERE, names) == 0
    assert (await store.read(mailbox.waiting, HERE))[0] == 100


async def test_mailboxes_do_not_mix(store: Store) -> None:
    other = PartnerId("430400")
    await store.call(mailbox.place, [placed(1), placed(1, partner=other)])
    assert await store.call(mailbox.remove, other, [(SENDER, MessageId("m1"))]) == 1
    assert offsets(await lease(store, "a")) == [1]
    assert await store.read(mailbox.known, HERE, 0, [1, 2]) == {1}
    assert await store.read(mailbox.known, other, 0, [1, 2]) == set()


async def test_free_says_whether_a_lease_would_hold_anything(store: Store) -> None:
    assert not await store.read(mailbox.free, HERE, 0)
    await store.call(mailbox.place, [placed(1)])
    assert await store.read(mailbox.free, HERE, 0)
    await lease(store, "a")
    assert not await store.read(mailbox.free, HERE, 50)
    assert await store.read(mailbox.free, HERE, 100)
